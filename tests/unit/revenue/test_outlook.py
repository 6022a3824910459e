"""What is taken from publications, and what is not because it was not said at the time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pytest

from lifecycle_ml.revenue.outlook import published_outlook
from lifecycle_ml.store.rows import Publication


def publication(as_of, now, number=1):
    return Publication(
        publication_id=number,
        as_of=date.fromisoformat(as_of),
        known_at=datetime.fromisoformat(now),
        now=datetime.fromisoformat(now),
        kind="nightly",
        digests={},
        published_at=datetime.fromisoformat(now),
    )


def reading(account, tier="full", growth=0.2, horizons=((30, 0.02), (90, 0.05), (180, 0.1))):
    return {
        "account_id": account,
        "churn": {
            "tier": tier,
            "by_horizon": [{"days": days, "probability": value} for days, value in horizons],
        },
        "expansion": {"probability": growth},
    }


@dataclass
class Kept:
    """A store that holds one publication's readings."""

    published: list[Publication]
    documents: list[dict[str, Any]]

    def publications(self, kind):
        assert kind == "nightly"
        return self.published

    def readings(self, account_ids, as_of):
        assert as_of == self.published[0].as_of
        found = {each["account_id"]: json.dumps(each).encode() for each in self.documents}
        return {name: found[name] for name in account_ids if name in found}


def test_the_scores_of_the_days_before_are_taken():
    kept = Kept([publication("2024-06-28", "2024-06-28T02:00")], [reading("A"), reading("B", growth=None)])
    found, says = published_outlook(kept, ["A", "B", "C"], date(2024, 7, 1))

    assert says == found.says == "the scores published for 2024-06-28"
    assert list(found.lost.index) == ["A", "B"]
    assert found.lost.loc["A", 0] == pytest.approx(0.05, abs=0.001)
    assert (1 - found.lost.loc["A"]).prod() == pytest.approx(0.9)
    assert found.grows.to_dict() == {"A": 0.2}


@pytest.mark.parametrize(
    ("published", "documents", "says"),
    [
        ([publication("2024-06-20", "2024-06-20T02:00")], [], "no scores were published for 2024-07-01"),
        # replayed a year later, with a model that has seen what came of it
        ([publication("2024-07-01", "2025-07-01T02:00")], [], "no scores were published for 2024-07-01"),
        (
            [publication("2024-07-01", "2024-07-01T02:00")],
            [reading("A", "advisory", horizons=((90, None),))],
            "are bands and no chances",
        ),
        (
            [publication("2024-07-01", "2024-07-01T02:00")],
            [reading("A", horizons=((90, 0.1),))],
            "reach 90 days, not two quarters",
        ),
    ],
)
def test_why_account_models_do_not_speak(published, documents, says):
    found, why = published_outlook(Kept(published, documents), ["A"], date(2024, 7, 1))

    assert found is None
    assert says in why
