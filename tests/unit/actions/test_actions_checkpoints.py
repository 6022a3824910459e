"""Renewal checkpoints: on the right day, once, for the right person; and what is wrong with renewal data."""

from __future__ import annotations

import tomllib
from datetime import timedelta

import pytest
from planned_company import DAY, FEATURES, RULES, Book, days_after, row, state, table

from lifecycle_ml.actions.checkpoints import CHECKPOINTS, RenewalsFile, check_renewals, renewal_of
from lifecycle_ml.actions.ledger import Complete
from lifecycle_ml.errors import UserError
from lifecycle_ml.workspace import standard_root

TEXT = (standard_root() / "serving" / "renewals.toml").read_text(encoding="utf-8")
RENEWALS = RULES.renewals
CALM = {"A": state()}


def falls(**values):
    """How many days before the renewal each checkpoint of an account falls."""
    renewal = renewal_of(row(days_to_renewal=300, **values), DAY, RENEWALS)
    return {dated.checkpoint: (renewal.renewal_on - dated.falls_on).days for dated in renewal.checkpoints}


def test_without_notice_checkpoints_count_from_the_renewal_date():
    """180, 120, 90, 60 and 30 days before the end of the term."""
    assert falls(term_days=365) == {180: 180, 120: 120, 90: 90, 60: 60, 30: 30}


def test_from_120_on_checkpoints_count_from_the_last_day_of_notice():
    """After that day an automatic renewal is decided; the first one keeps ahead of the second."""
    assert falls(term_days=365, notice_days=30) == {180: 180, 120: 150, 90: 120, 60: 90, 30: 60}
    assert falls(term_days=365, notice_days=90) == {180: 240, 120: 210, 90: 180, 60: 150, 30: 120}


@pytest.mark.parametrize(
    ("term", "kept"),
    [(30, []), (90, [30]), (180, [90, 60, 30]), (240, [120, 90, 60, 30]), (360, [*CHECKPOINTS])],
)
def test_only_terms_of_twice_the_window_have_a_checkpoint(term, kept):
    """A monthly contract is not prepared for half a year."""
    assert list(falls(term_days=term)) == kept


def test_larger_contracts_are_prepared_earlier_where_the_term_allows():
    """One and a half times as early from 250,000; a year is too short for that at the first checkpoint."""
    assert falls(term_days=1095, arr=300_000.0) == {180: 270, 120: 180, 90: 135, 60: 90, 30: 45}
    assert falls(term_days=365, arr=300_000.0) == {180: 210, 120: 180, 90: 135, 60: 90, 30: 45}


def test_a_notice_longer_than_the_term_is_no_date():
    """It is reported as a mistake, not counted with."""
    renewal = renewal_of(row(days_to_renewal=100, term_days=365, notice_days=400), DAY, RENEWALS)

    assert renewal.notice_on is None
    assert renewal.reached.checkpoint == 120


def test_nothing_falls_before_the_term_begins():
    """With a long notice the first checkpoints would lie in the term before."""
    assert list(falls(term_days=365, notice_days=260)) == [90, 60, 30]


def test_evergreen_contracts_are_left_alone():
    """What never ends is never renewed."""
    assert renewal_of(row(), DAY, RENEWALS) is None
    assert Book().run(table(row(renewal_owner_named=0)), CALM) == []


def test_a_signed_renewal_has_nothing_left_to_prepare():
    """Its open checkpoints close."""
    book = Book()
    (opened,) = book.run(table(row(days_to_renewal=100, term_days=365)), CALM)
    signed = row(as_of=days_after(5), days_to_renewal=95, term_days=365, renewal_signed=1)

    (closed,) = book.run(table(signed), CALM)

    assert renewal_of(signed, days_after(5), RENEWALS).checkpoints == ()
    assert (closed.kind, closed.action.action_id) == ("closed", opened.action.action_id)
    assert closed.because == "nothing is left to prepare: the next contract is signed"


def test_the_document_says_what_is_past_what_is_due_and_what_is_ahead():
    """The calendar's own form."""
    values = row(days_to_renewal=130, term_days=365, notice_days=30, auto_renew=1, renewal_owner="Ren")

    document = renewal_of(values, DAY, RENEWALS).to_json()
    evidence = [each.pop("evidence") for each in document["checkpoints"]]

    assert document == {
        "renewal_on": "2026-10-09",
        "notice_on": "2026-09-09",
        "auto_renew": True,
        "owner": "Ren",
        "checkpoints": [
            {"checkpoint": 180, "falls_on": "2026-04-12", "state": "past"},
            {"checkpoint": 120, "falls_on": "2026-05-12", "state": "now"},
            {"checkpoint": 90, "falls_on": "2026-06-11", "state": "ahead"},
            {"checkpoint": 60, "falls_on": "2026-07-11", "state": "ahead"},
            {"checkpoint": 30, "falls_on": "2026-08-10", "state": "ahead"},
        ],
    }
    assert [[one["evidence"] for one in each] for each in evidence] == [
        ["stakeholder_map"],
        ["value_narrative"],
        ["commercial_path"],
        ["plan"],
        ["paperwork"],
    ]


def test_who_prepares_a_renewal_follows_its_size():
    """The success manager, from 50,000 sales; whoever the contract names comes first."""
    small, large, named = (
        renewal_of(row(days_to_renewal=100, sales_owner="Sal", **values), DAY, RENEWALS)
        for values in ({}, {"arr": 60_000.0}, {"arr": 60_000.0, "renewal_owner": "Ren"})
    )

    assert [(item.owner_role, item.owner) for item in (small, large, named)] == [
        ("csm", "Dana"),
        ("account_executive", "Sal"),
        ("account_executive", "Ren"),
    ]


def test_a_whole_term_opens_each_checkpoint_once_on_its_day():
    """Five checkpoints, none late, none twice, done or not."""
    book, ends = Book(), days_after(250)
    # the days around each checkpoint, and some between them
    near = {day - off for day in (*CHECKPOINTS, 150) for off in (-2, -1, 0, 1, 14)}
    for passed in sorted({0, 250} | {250 - left for left in near}):
        as_of = days_after(passed)
        values = {"days_to_renewal": (ends - as_of).days, "term_days": 365, "notice_days": 30}
        book.run(table(row(as_of=as_of, **values)), CALM)
        for action in book.unfinished[:: 1 + passed % 2]:
            book.tell(action, Complete(), book.changed[action.action_id] + timedelta(hours=5))

    opened = {action.playbook: (ends - action.opened_at.date()).days for action in book.of("checkpoint")}
    assert opened == {
        "checkpoint_180": 180,
        "checkpoint_120": 150,
        "checkpoint_90": 120,
        "checkpoint_60": 90,
        "checkpoint_30": 60,
    }
    assert len(book.of("checkpoint")) == 5


def test_a_run_that_comes_late_opens_the_checkpoint_whose_time_it_is_and_no_other():
    """Nobody catches up on what the next checkpoint has replaced."""
    (event,) = Book().run(table(row(days_to_renewal=70, term_days=365)), CALM)

    assert event.action.playbook == "checkpoint_90"
    assert event.because == "the 90-day checkpoint fell on 2026-05-12"


def test_the_steps_go_to_the_renewal_owner_with_the_dates_and_how_the_account_stands():
    """Whoever prepares the renewal reads what decides it."""
    at_risk = row(
        days_to_renewal=100,
        term_days=365,
        notice_days=30,
        auto_renew=1,
        renewal_owner="Ren",
        health="red",
        expansion_band="high",
    )
    events = Book().run(table(at_risk), {"A": state("red")})
    action = next(event.action for event in events if event.action.kind == "checkpoint")

    assert (action.playbook, action.owner) == ("checkpoint_90", "Ren")
    assert action.why.startswith(
        "Acme: notice can be given until 2026-08-10 and the contract renews itself on 2026-09-09. It is red: "
    )
    assert "It could grow, too." in action.why


def test_a_step_with_a_role_of_its_own_stays_with_that_role():
    """The value story is written by success, also where sales prepares the renewal."""
    (event,) = Book().run(
        table(row(days_to_renewal=115, term_days=365, arr=90_000.0, sales_owner="Sal")), CALM
    )

    assert (event.action.step, event.action.owner_role, event.action.owner) == (
        "value_narrative",
        "csm",
        "Dana",
    )


def test_a_moved_renewal_date_closes_and_begins_anew():
    """The old date's work is not the new one's."""
    book = Book()
    book.run(table(row(days_to_renewal=100, term_days=365)), CALM)

    events = book.run(table(row(as_of=days_after(1), days_to_renewal=89, term_days=365)), CALM)

    assert [(event.kind, event.action.playbook) for event in events] == [
        ("closed", "checkpoint_120"),
        ("opened", "checkpoint_90"),
    ]
    assert events[0].because == "the renewal date moved to 2026-08-30"


def test_everything_wrong_with_renewal_data_is_one_action_that_names_it():
    """Operations reads what is missing; nobody is asked five times."""
    wrong = row(
        days_to_renewal=200,
        term_days=365,
        notice_days=365,
        renewal_owner_named=0,
        auto_renew_known=0,
        notice_given=1,
        renewal_signed=1,
    )

    (event,) = Book().run(table(wrong), CALM)

    assert (event.action.kind, event.action.owner) == ("renewal_data", "Support Operations")
    assert event.action.why == (
        "Acme: nobody is named to renew the contract; nobody recorded whether it renews itself; "
        "the period of notice is as long as the whole term; "
        "notice was given and yet the next contract is signed."
    )


def test_a_mended_record_closes_the_action_and_a_broken_one_waits_for_the_cool_down():
    """It comes again, but not the next morning."""
    book = Book()
    book.run(table(row(days_to_renewal=200, renewal_owner_named=0)), CALM)

    (closed,) = book.run(table(row(as_of=days_after(1), days_to_renewal=199, renewal_owner_named=1)), CALM)
    soon = book.run(table(row(as_of=days_after(2), days_to_renewal=198, renewal_owner_named=0)), CALM)
    later = book.run(table(row(as_of=days_after(61), days_to_renewal=189, renewal_owner_named=0)), CALM)

    assert closed.because == "nothing is missing any more"
    assert soon == []
    assert [event.kind for event in later] == ["opened"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[checkpoints.180]", "[checkpoints.150]", "no checkpoint '150'"),
        ("arr_from = 0\n", "arr_from = 1\n", "one level needs arr_from = 0"),
        ('role = "account_executive"', 'role = "acount_executive"', "Did you mean 'account_executive'"),
        ("renewal_owner_named = 0", "renewal_owner_name = 0", "Did you mean 'renewal_owner_named'"),
        ("{deadline}", "{deadlin}", "braces may hold only"),
        ("times = 1.5", "times = 0.5", "greater than 1"),
    ],
)
def test_wrong_renewals_fail_at_load_with_remedy(old, new, says):
    """Every mistake is found before any checkpoint is missed."""
    assert old in TEXT
    with pytest.raises((UserError, ValueError)) as refused:
        check_renewals(
            RenewalsFile.model_validate(tomllib.loads(TEXT.replace(old, new, 1))), FEATURES, RULES.team
        )

    assert says in str(refused.value)


def test_a_company_without_end_dates_has_no_checkpoints_and_is_told_so():
    """Left out rules are reported with what they lack."""
    lacking = RULES.unavailable(set(FEATURES) - {"days_to_renewal"})

    assert lacking["renewals.checkpoints"] == ("days_to_renewal",)
    assert Book().run(table(row()).drop(columns="days_to_renewal"), CALM) == []


def test_a_desk_full_of_tickets_still_gets_to_the_record():
    """A tenth of the hours is kept for upkeep: two of twenty, eight records, whatever else there is to do."""
    troubled = [row(f"T{n}", health="red") for n in range(60)]
    gaps = [row(f"G{n}", days_to_renewal=100, term_days=365, renewal_owner_named=0) for n in range(20)]
    states = {f"T{n}": state("red", "service_support_failure") for n in range(60)}
    states |= {f"G{n}": state() for n in range(20)}
    book = Book()
    book.run(table(*troubled, *gaps), states)

    desk = [a for a in book.unfinished if a.owner == "Support Operations" and a.status == "open"]
    assert sum(a.hours for a in desk if a.kind == "renewal_data") == pytest.approx(2.0)
    assert sum(a.hours for a in desk) <= 20.0
    assert any(a.status == "over_capacity" for a in book.unfinished)
    assert not book.plan(table(*troubled, *gaps), states, book.ledger[0].at)
