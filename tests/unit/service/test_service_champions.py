"""A promoted champion comes with the next publication; a broken one changes nothing for those who ask."""

from __future__ import annotations

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from published_company import AS_OF, KEYS, NOW, document

from lifecycle_ml.service.bundles import BundleCheck
from lifecycle_ml.store.rows import StoredReading

ACCOUNTS = ["A-1", "A-2", "A-3"]
HEADERS = {"X-API-Key": KEYS["read"]}


def publish(store, version):
    """Publish three accounts scored with one version of the model."""
    publication = store.begin(as_of=AS_OF, known_at=NOW, now=NOW)
    made = (document(account, model__churn__version=version) for account in ACCOUNTS)
    store.write_readings(publication, [StoredReading.of(each, state="{}", risk=0.4) for each in made])
    store.publish(publication)


def champion(folder, digest, previous=None):
    """Point to a champion as a promotion does."""
    folder.mkdir(parents=True, exist_ok=True)
    before = None if previous is None else {"digest": previous, "version": "1"}
    pointer = {"digest": digest, "version": "2", "previous": before}
    (folder / "churn.json").write_text(json.dumps(pointer), encoding="utf-8")


@pytest.fixture
def whole(monkeypatch):
    """Bundles of which those named here are whole."""
    names = set()
    monkeypatch.setattr(
        "lifecycle_ml.service.bundles._load_fault",
        lambda _, digest: None if digest in names else "it is broken.",
    )
    return names


def bundle(folder, digest, names):
    """Export a bundle that loads."""
    (folder / digest).mkdir(parents=True)
    (folder / digest / "manifest.json").write_text("{}")
    names.add(digest)


def test_no_request_is_dropped_and_no_answer_torn_while_new_champions_are_published(make_client, store):
    """Four callers ask all the time; every answer is of one publication, and they see more than one."""
    publish(store, "0")
    client, done = make_client(), Event()
    seen = defaultdict(set)

    def ask():
        statuses = []
        while not done.is_set():
            answer = client.post("/v1/score", json={"account_ids": ACCOUNTS}, headers=HEADERS)
            statuses.append(answer.status_code)
            document = answer.json()
            seen[document["publication_id"]] |= {
                each["account"]["model"]["churn"]["version"] for each in document["results"]
            }
        return statuses

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        try:
            for version in range(1, 6):
                publish(store, str(version))
        finally:
            done.set()
        statuses = {status for each in asked for status in each.result()}
    assert statuses == {200}
    assert all(len(versions) == 1 for versions in seen.values())

    last = client.post("/v1/score", json={"account_ids": ACCOUNTS}, headers=HEADERS).json()
    assert {each["account"]["model"]["churn"]["version"] for each in last["results"]} == {"5"}


def test_a_promotion_changes_no_answer_before_the_next_publication(make_client, store, settings):
    """The pointer moves; what is served is what was published."""
    publish(store, "1")
    client = make_client()
    before = client.post("/v1/score", json={"account_ids": ACCOUNTS}, headers=HEADERS).json()
    champion(settings.bundles, "new")
    after = client.post("/v1/score", json={"account_ids": ACCOUNTS}, headers=HEADERS).json()

    assert after | {"request_id": None} == before | {"request_id": None}


def test_the_one_before_is_next_where_the_champion_is_broken(tmp_path, whole):
    """The same choice a nightly run makes."""
    check = BundleCheck(tmp_path)
    assert check.next_to_serve("churn") is None
    bundle(tmp_path, "old", whole)
    bundle(tmp_path, "new", whole)
    champion(tmp_path, "new", "old")
    assert check.next_to_serve("churn") == "new"

    whole.remove("new")
    (tmp_path / "new" / "manifest.json").write_text("half a mani")
    assert check.next_to_serve("churn") == "old"
    (tmp_path / "churn.json").write_text("{")
    assert check.next_to_serve("churn") is None


def test_readiness_names_what_is_next_and_stays_ready_with_a_broken_champion(
    make_client, store, settings, whole
):
    """Operators see it a day before the next run does."""
    publish(store, "1")
    for each in document("A")["model"].values():
        if each["digest"] not in whole:
            bundle(settings.bundles, each["digest"], whole)
    served = document("A")["model"]["churn"]["digest"]
    bundle(settings.bundles, "broken", set())
    champion(settings.bundles, "broken", served)
    ready = make_client().get("/readyz")

    assert ready.status_code == 200, ready.text
    assert ready.json()["checks"]["champions"] == [
        {"recipe": "churn", "digest": "broken", "fault": "it is broken.", "next": served}
    ]


def test_a_bundle_being_written_is_no_fault_of_the_service(tmp_path, whole):
    """A file that is gone between looking and asking counts as not there."""
    bundle(tmp_path, "new", whole)
    (tmp_path / "new" / "gone").symlink_to(tmp_path / "nowhere")

    assert BundleCheck(tmp_path).fault("new") is None
