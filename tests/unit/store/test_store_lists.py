"""Lists: filters, search, renewals, triggers and what there is to choose from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from stored_examples import AS_OF, NOW, document, publish, reading

from lifecycle_ml.errors import UserError
from lifecycle_ml.store.rows import AccountFilters, StoredReading

RENEWAL = {
    "renewal_on": "2026-11-30",
    "notice_on": None,
    "checkpoints": [{"checkpoint": 120, "state": "now"}],
}
TRIGGERS = [
    {"trigger": "usage_near_limit", "says": "96% of the limit used", "owner_role": "account_executive"}
]


@pytest.fixture
def book(store):
    """Four accounts of every sort."""
    made = document("A-grow", "green")
    made["stage"] = None
    made["triggers"] = TRIGGERS
    made["expansion"] |= {"band": "high", "probability": 0.3}
    bare = {"expansion_band": None, "triggers": None, "stage": None}
    rows = [
        StoredReading.of(made, state="", risk=0.1, name="ÜBER Größe & Co_100%", renewal=RENEWAL),
        replace(
            reading("A-late", "red"),
            renewal_on=AS_OF + timedelta(days=300),
            arr=1.0,
            **bare | {"triggers": "[1]"},
        ),
        replace(reading("A-evergreen", "red"), renewal_on=None, name=None, **bare | {"stage": "growth"}),
        replace(reading("A-soon", "yellow"), renewal_on=AS_OF + timedelta(days=5), owner="Noor", **bare),
    ]
    publish(store, *rows)
    return store


def ids(page):
    """The ids of a page."""
    return [row.account_id for row in page.rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("über", ["A-grow"]),
        ("GRÖSSE", ["A-grow"]),
        ("100%", ["A-grow"]),
        ("o_1", ["A-grow"]),
        ("e_e", []),
        ("%", ["A-grow"]),
        ("/", []),
        ("name OF a-s", ["A-soon"]),
        ("EVER", ["A-evergreen"]),
        ("'; DROP TABLE readings; --", []),
        ("", ["A-evergreen", "A-grow", "A-late", "A-soon"]),
    ],
)
def test_a_search_looks_in_name_and_id_whatever_the_case(book, text, expected):
    """Umlauts too, and what is special to SQL stands for itself."""
    assert sorted(ids(book.list_accounts(AccountFilters(text=text)))) == expected


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("of a-late", " Did you mean A-late (Name of A-late)?"),
        ("B/evergreen", " Did you mean A-evergreen?"),
        ("grow", " Did you mean A-grow (ÜBER Größe & Co_100%)?"),
        ("A-soon", ""),
        ("Acme", ""),
        ("", ""),
        ("--", ""),
    ],
)
def test_an_account_is_guessed_from_its_name_or_the_end_of_its_id(book, text, meant):
    """Nothing is guessed where nothing is alike, and never the very id that was given."""
    assert book.meant_by(text) == meant


def test_of_many_alike_three_are_named(book):
    """A word that stands in every id."""
    assert book.meant_by("x a").endswith(", or another?")
    assert book.meant_by("x a").count("A-") >= 3


def test_filters_hold_for_lists_downloads_and_the_mix(book):
    """The three agree on who is asked for."""
    asked = AccountFilters(health=("red", "green"), expansion_band=("high",))

    assert ids(book.list_accounts(asked)) == ["A-grow"]
    assert [row.account_id for row in book.all_accounts(asked)] == ["A-grow"]
    mix = book.mix(asked)
    assert (list(mix), mix["green"].accounts) == (["green"], 1)
    assert {color: each.accounts for color, each in book.mix().items()} == {"red": 2, "yellow": 1, "green": 1}


def test_renewals_come_soonest_first_with_their_checkpoints(book):
    """Evergreen contracts have none; the window leaves out its last day."""
    page = book.renewals()
    assert ids(page) == ["A-soon", "A-grow", "A-late"]
    assert (page.rows[1].renewal, page.rows[0].renewal) == (RENEWAL, None)
    assert ids(book.renewals(before=AS_OF + timedelta(days=300))) == ["A-soon", "A-grow"]
    asked = AccountFilters(renewal_before=AS_OF + timedelta(days=6), owner=("Noor",))
    assert ids(book.renewals(asked, before=AS_OF + timedelta(days=300))) == ["A-soon"]

    first = book.renewals(limit=2)
    assert ids(book.renewals(cursor=first.next, limit=2)) == ["A-late"]
    with pytest.raises(UserError, match="another order"):
        book.list_accounts(sort="renewal", cursor=first.next)


def test_triggers_come_with_most_arr_first(book):
    """Accounts without one are not listed."""
    page = book.triggers()

    assert ids(page) == ["A-grow", "A-late"]
    assert page.rows[0].triggers == TRIGGERS
    assert ids(book.triggers(AccountFilters(health=("red",)))) == ["A-late"]
    assert book.list_accounts(AccountFilters(text="soon")).rows[0].triggers == []


def test_there_is_to_choose_what_accounts_have(book, store):
    """In order, without the missing."""
    found = book.choices()

    assert found["owner"] == ["Maya Lindqvist", "Noor"]
    assert (found["stage"], found["expansion_band"]) == (["growth"], ["high"])
    publication = store.begin(AS_OF + timedelta(days=7), NOW, NOW)
    store.publish(publication)
    assert store.choices() == {name: [] for name in found}
