"""Runs publish, readers read, old publications are pruned and accounts forgotten, all at once."""

from __future__ import annotations

import json
import threading
from contextlib import closing, contextmanager
from queue import Queue

import pytest
from stored_examples import AS_OF, NOW, WEEK, document, event

from lifecycle_ml.store import forgetting
from lifecycle_ml.store.cursor import CursorError
from lifecycle_ml.store.engine import open_engine
from lifecycle_ml.store.pruning import prune
from lifecycle_ml.store.rows import StoredReading
from lifecycle_ml.store.store import Store

RUNS, ACCOUNTS, PATIENCE = 4, 16, 120
IDS = [f"ACCT-{number:04}" for number in range(ACCOUNTS)]


def reading(account_id, as_of):
    """A reading that says of which day it is."""
    return StoredReading.of(
        {**document(account_id), "as_of": str(as_of)}, state="{}", risk=0.4, name=account_id
    )


@contextmanager
def _engine(url):
    """Connections as a command opens them."""
    engine = open_engine(url)
    yield engine
    engine.dispose()


class Company:
    """A store that several work on, each over connections of its own as another process would."""

    def __init__(self, url):
        self.url, self.source = url, list(IDS)
        self.lock, self.over, self.begun = threading.Lock(), threading.Event(), Queue()
        self.faults, self.pages, self.pruned = [], 0, 0

    def run_nightly(self):
        """Publish one as_of after the other, of what the source had when the run began."""
        with closing(Store.open(self.url)) as store:
            for week in range(RUNS):
                as_of, now = AS_OF + week * WEEK, NOW + week * WEEK
                publication = store.begin(as_of, now, now)
                with self.lock:
                    read = list(self.source)
                self.begun.put(week)
                for account in read:
                    store.write_readings(publication, [reading(account, as_of)])
                made = [
                    event(action_id=f"{each}-{week}", account_id=each, at=now, opened_at=now) for each in read
                ]
                store.publish(publication, made)
                store.write_verdict(as_of, now, {"account_ids": read})

    def forget(self):
        """Forget an account while each run is at work: out of the source, then out of the store."""
        with _engine(self.url) as engine:
            for week in range(RUNS):
                assert self.begun.get(timeout=PATIENCE) == week
                with self.lock:
                    self.source.remove(IDS[week])
                forgetting.forget(engine, IDS[week], "Maya", NOW)
                forgetting.sweep(engine)

    def prune(self):
        """Let all but the newest two publications go, again and again."""
        with _engine(self.url) as engine:
            while not self.over.is_set():
                self.pruned += prune(engine, 7, "Maya", NOW).publications
            self.pruned += prune(engine, 7, "Maya", NOW).publications

    def read(self):
        """Read answers and lists page by page: all that is read together is of one publication."""
        with closing(Store.open(self.url)) as store:
            while not self.over.is_set():
                found = store.answers(IDS)
                days = {json.loads(body)["as_of"] for body in found.bodies.values()}
                assert days <= {str(found.publication and found.publication.as_of)}
                self._read_pages(store)
                self.pages += 1

    def _read_pages(self, store):
        days, seen, cursor = set(), [], None
        while True:
            try:
                page = store.list_accounts(sort="name", cursor=cursor, limit=7)
            except CursorError:
                return  # its publication was pruned between two pages
            seen += [row.account_id for row in page.rows]
            days |= {json.loads(row.body)["as_of"] for row in page.rows}
            if (cursor := page.next) is None:
                break
        assert len(days) <= 1
        assert seen == sorted(set(seen))

    def work(self, job):
        """Do a job in a thread and keep what went wrong."""

        def do():
            try:
                job()
            except BaseException as fault:  # noqa: BLE001 - told by the test
                self.faults.append(fault)

        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def company(url):
    """A company nobody works on yet."""
    Store.open(url).close()
    return Company(url)


def test_nobody_is_in_another_ones_way(company):
    """No fault, nothing torn, nothing of the forgotten comes back, and what is old is gone."""
    others = [company.work(job) for job in (company.read, company.read, company.prune)]
    for thread in [company.work(company.run_nightly), company.work(company.forget)]:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    company.over.set()
    for thread in others:
        thread.join(PATIENCE)
        assert not thread.is_alive()

    assert company.faults == []
    assert company.pages > 0
    with closing(Store.open(company.url)) as store:
        gone, stay = IDS[:RUNS], IDS[RUNS:]
        for account in gone:
            assert forgetting.look(store._engine, account).rows == {}, account
        current = store.current()
        assert current.as_of == AS_OF + (RUNS - 1) * WEEK
        assert sorted(store.answers(IDS).bodies) == stay
        assert current.accounts == len(stay)
        assert {action.account_id for action in store.open_actions()} == set(stay)
        assert store.verdict() == {"account_ids": stay}
        assert len(store.publications()) == 2
        deeds = [entry.did for entry in store.audit_log()]
        assert deeds.count(forgetting.DID) == RUNS
        assert deeds.count("publication pruned") == company.pruned == RUNS - 2
