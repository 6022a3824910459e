"""The load of `benchmarks.service --part mixed` for some seconds: nothing breaks, no answer is torn."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from benchmarks.service.mixed import PUBLISHED, copy_of, put_load
from benchmarks.service.servers import KEY, demo_environ, lifecycle

from demo_company import Demo
from lifecycle_ml.promotion.training import champion
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.rows import StoredReading
from lifecycle_ml.store.store import Store
from lifecycle_ml.workspace import standard_root

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]
TURNS = 2
AT_MOST = 300.0
"""Seconds, on a machine that has much else to do."""


def publish_again(company: Path) -> str:
    """Publish the readings there are once more, as scored now by the champion there is.

    Computing them is what a nightly run takes its time for; how they come into the store is the same.
    """
    settings = Settings.read(company, demo_environ(company))
    bundle = champion(settings, "churn")
    with closing(Store.open(settings.store_url)) as store:
        before = store.current()
        assert bundle is not None
        assert before is not None
        model = {"name": bundle.name, "version": bundle.version, "digest": bundle.digest}
        digests = {**before.digests, "models": {**before.digests["models"], "churn": model}}
        later = before.now + timedelta(minutes=1)
        publication = store.begin(before.as_of, before.known_at, later, digests=digests)
        states = store.states(before=before.as_of + timedelta(days=1))
        made = []
        for row in store.all_accounts():
            document = json.loads(row.body)
            document["scored_at"] = instant_text(publication.now)
            document["model"]["churn"] = model
            made.append(
                StoredReading.of(
                    document,
                    state=states[row.account_id].state,
                    risk=document["churn"]["probability"],
                    name=row.name,
                    renewal=row.renewal,
                )
            )
        store.write_readings(publication, made)
        store.publish(publication)
    return PUBLISHED


def test_nobody_notices_a_publication_nor_a_promotion(demo: Demo) -> None:
    """No 5xx, each answer of one publication, one moment and one model, and in the end the last champion."""
    with copy_of(demo.folder) as company, lifecycle(company, standard_root()) as server:
        seen = put_load(server, company, AT_MOST, publish_again, TURNS)
        models = httpx.get(f"{server.address}/v1/models", headers={"X-API-Key": KEY}, timeout=60).json()
        champions = json.loads((company / "out" / "bundles" / "churn.json").read_text("utf-8"))

    assert (seen.broken, seen.torn, dict(seen.runs)) == ({}, [], {PUBLISHED: TURNS})
    assert len(seen.models) == TURNS + 1
    assert {path for path, status in seen.statuses if status == 200} == {
        "/v1/score",
        "/v1/accounts",
        "/v1/actions",
        "/v1/actions/{id}/complete",
        "/v1/what-if",
    }
    # promoted: a second champion, then a third that is broken, so that the second serves on
    first, second, third = (digest for _, (digest,) in sorted(seen.models.items()))
    assert first == champions["previous"]["previous"]["digest"]
    assert second == third == champions["previous"]["digest"] == served(models)


def served(models: dict) -> str:
    """Return the digest of the churn model that /v1/models names."""
    return next(each["digest"] for each in models["models"] if each["recipe"] == "churn")
