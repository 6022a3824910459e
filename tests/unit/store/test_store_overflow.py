"""Who would do the work over capacity, and the colours accounts had."""

from datetime import timedelta

from stored_examples import AS_OF, NOW, event, publish, reading

from lifecycle_ml.actions.next_hour import Waiting


def test_work_over_capacity_comes_with_who_the_account_names(store):
    """What is open, snoozed or done is not waiting; an account that left the list has nobody."""
    work = {"status": "over_capacity", "owner": "Lee", "hours": 1.5}
    listed = reading("A-1")
    assert listed.owner is not None
    events = [
        event(action_id="act-1", **work),
        event(action_id="act-2", **work | {"owner_role": "account_executive", "arr_kept_per_hour": None}),
        event(action_id="act-3", account_id="A-gone", **work),
        event(action_id="act-4", status="open", owner="Dana"),
    ]
    assert store.waiting() == []
    publish(store, listed, events=events)
    publish(store, listed, as_of=AS_OF + timedelta(days=7), now=NOW + timedelta(days=7))
    assert store.waiting() == [
        Waiting("csm", listed.owner, "Lee", 1.5, 10.0),
        Waiting("account_executive", None, "Lee", 1.5, None),
        Waiting("csm", None, "Lee", 1.5, 10.0),
    ]


def test_past_colours_are_those_of_the_newest_publication_beside_a_day(store):
    """Up to four weeks before; of two for one as_of the one published last; a day without has none."""
    publish(store, reading("A-1", "red"))
    publish(store, reading("A-1", "yellow"))
    later = AS_OF + timedelta(days=7)
    publish(store, reading("A-1", "green"), as_of=later, now=NOW + timedelta(days=7))
    days = [AS_OF - timedelta(days=1), AS_OF, later + timedelta(days=20), later + timedelta(days=28)]
    assert store.colors(days) == {AS_OF: {"A-1": "yellow"}, later: {"A-1": "green"}}
    assert store.colors([]) == {}
