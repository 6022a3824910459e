"""An account is forgotten whole: in every table, in the bytes of the file, and by a run under way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from stored_examples import AS_OF, NOW, WEEK, event, publish, reading

from lifecycle_ml.actions.account_words import Sentiment
from lifecycle_ml.actions.action import Assignment
from lifecycle_ml.actions.ledger import Complete
from lifecycle_ml.store.engine import writing
from lifecycle_ml.store.forgetting import DID, DOCUMENTS, OF_ACCOUNTS, forget, look, nearest, sweep
from lifecycle_ml.store.outbox import Outbox
from lifecycle_ml.store.pruning import prune
from lifecycle_ml.store.remembered import Answer
from lifecycle_ml.store.schema import metadata
from lifecycle_ml.store.store import Store

GONE, STAYS = "GONE-0001", "STAYS-0002"
NAME = f"Name of {GONE}"
SILENT = {
    "alembic_version",
    "api_keys",
    "delivery_points",
    "forgotten",
    "pointer",
    "publications",
    "secrets",
}
"""Tables that cannot name an account."""


def opened_for(account):
    """An action of an account, opened with an assignment."""
    made = event(action_id=f"act-{account}", account_id=account, playbook="red", why=f"{account} is red")
    drawn = Assignment(account, "red", "playbook", date(2026, 6, 1), NOW, "offered", 0.5, None, 0.1, 9.0)
    return replace(made, assignment=drawn)


@pytest.fixture
def company(store):
    """Two accounts, each in every table that can name one."""
    before = store.begin(AS_OF - WEEK, NOW, NOW)
    store.write_readings(before, [reading(STAYS)])
    store.write_unscored(before, {GONE: "no customer"})
    store.write_onboarding_starts(before, {each: [{"criterion": "kickoff"}] for each in (GONE, STAYS)})
    store.publish(before)
    publish(store, reading(GONE), reading(STAYS), events=[opened_for(GONE), opened_for(STAYS)])
    for number, account in enumerate((GONE, STAYS)):
        said = Answer(200, json.dumps({"account_id": account, "status": "done"}).encode())
        store.say(account, Sentiment("happy", f"{account} said so"), "Maya", NOW)
        store.tell_once(
            f"act-{account}",
            Complete("done"),
            "crm",
            NOW,
            key=f"key-{number}",
            caller="crm",
            request_digest="d",
            answer=lambda _, said=said: said,
        )
    ids = [GONE, STAYS]
    store.write_verdict(AS_OF, NOW, {"account_ids": ids, "accounts": 2, "says": f"{GONE} and {STAYS} moved"})
    store.write_effects(AS_OF, NOW, [{"playbook": "red", "accounts": ids}])
    store.write_statement(AS_OF, NOW, {"leaks": [{"account_id": each, "arr": 9.0} for each in ids]})
    store.write_scoreboard(AS_OF, NOW, {"triggers": [{"says": f"{each} grew"} for each in ids]})
    outbox = Outbox(store._engine)
    outbox.take_over(["crm", "erp"], NOW)
    for delivery in outbox.claim("crm", NOW, 9):
        outbox.sent(delivery, NOW)
    return store


def contents(store):
    """All rows of all tables, by table, as text."""
    with store._engine.connect() as connection:
        return {
            name: [str(tuple(row)) for row in connection.execute(sa.select(table))]
            for name, table in metadata.tables.items()
        }


def test_every_table_is_emptied_of_the_account_and_of_no_other(company):
    """A table that is added later must be put on one of the lists, and this fails until it is."""
    before = contents(company)
    listed = {table.name for table in (*OF_ACCOUNTS, *DOCUMENTS)} | {"audit", "idempotency"}
    assert listed | SILENT == set(metadata.tables) | {"alembic_version"}
    for table in DOCUMENTS:
        assert [column.name for column in table.primary_key] == ["as_of"]

    known = look(company._engine, GONE)
    assert set(known.rows) == listed
    assert known.told == {"crm": 1}
    assert contents(company) == before

    assert forget(company._engine, GONE, "Maya", NOW).rows == known.rows
    after = contents(company)
    for name, rows in after.items():
        assert not any(GONE in row for row in rows), name
        assert sum(STAYS in row for row in rows) == sum(STAYS in row for row in before[name]), name
    assert look(company._engine, GONE).rows == {}
    assert company.answers([GONE, STAYS]).bodies.keys() == {STAYS}
    assert [each.accounts for each in company.publications()] == [1, 1]
    assert company.verdict()["says"] == f"[forgotten] and {STAYS} moved"


def test_the_audit_log_says_that_somebody_was_forgotten_and_not_who(company):
    """The line has a hash no other store gives, and what was done with the account before says the same."""
    forget(company._engine, GONE, "Maya", NOW)

    newest, *older = company.audit_log()
    assert (newest.who, newest.did) == ("Maya", DID)
    assert newest.target.startswith("account#")
    assert {each.did for each in older if each.target == newest.target} == {"complete", "sentiment"}
    assert look(company._engine, GONE).before == newest
    assert look(company._engine, STAYS).before is None


def test_two_stores_hash_differently(new_store_url):
    """So that nobody who knows the ids of one company finds them in the log of another."""
    marks = set()
    for _ in range(2):
        store = Store.open(new_store_url("sqlite"))
        forget(store._engine, GONE, "Maya", NOW)
        marks.add(store.audit_log()[0].target)
        store.close()
    assert len(marks) == 2


def test_a_run_under_way_does_not_bring_it_back_and_the_next_one_does(company):
    """What a run read before stays out of what it writes after; the next one asks the source."""
    as_of, now = AS_OF + WEEK, NOW + WEEK
    running = company.begin(as_of, now, now)
    company.write_readings(running, [reading(GONE), reading(STAYS)])
    forget(company._engine, GONE, "Maya", now)

    company.write_readings(running, [reading("OTHER-01")])
    company.write_unscored(running, {GONE: "no customer"})
    company.publish(running, [opened_for(GONE)])
    company.write_verdict(as_of, now, {"account_ids": [GONE, STAYS]})
    company.write_statement(as_of, now, {"leaks": [{"account_id": GONE}, {"account_id": STAYS}]})
    assert look(company._engine, GONE).rows == {}
    assert company.current().accounts == 2
    assert company.verdict() == {"account_ids": [STAYS]}
    assert company.statement() == {"leaks": [{"account_id": STAYS}]}

    publish(company, reading(GONE), as_of=as_of + WEEK, now=now + WEEK)
    assert company.reading(GONE) is not None


def test_a_run_that_goes_on_with_a_killed_one_reads_the_source_anew(company):
    """It has the same publication, and nothing it read is from before."""
    as_of, now = AS_OF + WEEK, NOW + WEEK
    company.begin(as_of, now, now)
    forget(company._engine, GONE, "Maya", now)

    publish(company, reading(GONE), as_of=as_of, now=now)
    assert company.reading(GONE) is not None


def test_an_unknown_account_has_near_ones(company):
    """Whoever mistypes an id is told what it may have been."""
    assert look(company._engine, "GONE-0010").total == 0
    assert nearest(company._engine, "GONE-0010")[0] == GONE
    assert nearest(company._engine, "zzz") == []


def test_nothing_is_erased_when_it_breaks_off(company, monkeypatch):
    """All of it, or none."""
    before = contents(company)
    monkeypatch.setattr(
        "lifecycle_ml.store.forgetting.audit.write", lambda *_: (_ for _ in ()).throw(OSError)
    )
    with pytest.raises(OSError, match=r"^$"):
        forget(company._engine, GONE, "Maya", NOW)
    assert contents(company) == before


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_bytes_are_gone_from_the_file_and_its_log(company, url):
    """Also those of rows that were deleted or written over before."""
    path = Path(url.removeprefix("sqlite:///"))
    publish(company, reading(GONE), as_of=AS_OF + WEEK, now=NOW + WEEK)
    prune(company._engine, 1, "Maya", NOW)

    def holds(word):
        return any(
            word.encode() in each.read_bytes()
            for each in path.parent.iterdir()
            if not each.name.endswith("-shm")
        )

    assert holds(GONE)
    assert holds(NAME)
    forget(company._engine, GONE, "Maya", NOW)
    assert sweep(company._engine) is None
    assert holds(STAYS)
    assert not holds(GONE)
    assert not holds(NAME)


@pytest.mark.parametrize("kind", ["postgres"])
def test_postgres_gives_the_room_back(company):
    """The tables are vacuumed, and answer as before."""
    forget(company._engine, GONE, "Maya", NOW)

    assert sweep(company._engine) is None
    assert company.reading(STAYS) is not None


@pytest.mark.parametrize("kind", ["sqlite"])
def test_who_is_in_the_way_of_a_sweep_is_said(company, monkeypatch):
    """A reader still needs the old state of the file, a writer holds it; the next time nobody does."""
    monkeypatch.setattr("lifecycle_ml.store.forgetting.WAIT_MS", 10)
    with company._engine.connect() as connection:
        connection.execute(sa.text("SELECT count(*) FROM readings")).all()
        forget(company._engine, GONE, "Maya", NOW)
        assert sweep(company._engine) == "another process read it all the time"
    with writing(company._engine):
        assert sweep(company._engine) == "database is locked"
    assert sweep(company._engine) is None
