"""Which two readings are compared when somebody asks why a risk moved."""

import json
from datetime import date, datetime, timedelta

import pytest

from lifecycle_ml.store.between import NoSuchReadingError, choose_pair
from lifecycle_ml.store.rows import Past, Publication

LAST = date(2026, 7, 1)


def reading(day, since):
    """One reading, its account having taken its colour on a day."""
    midnight = datetime.combine(day, datetime.min.time())
    publication = Publication(1, day, midnight, midnight, "nightly", {})
    return Past(publication, json.dumps({"health": {"since": str(since)}}).encode(), "sha256:" + "0" * 64)


def weekly(weeks, since=LAST):
    """Readings a week apart, the newest first."""
    return [reading(LAST - timedelta(weeks=week), since) for week in range(weeks)]


def days(pair):
    """The two dates of a pair."""
    return pair.before.publication.as_of, pair.after.publication.as_of


def test_by_default_four_weeks_before_the_colour_are_compared_with_today():
    """A risk is over its limit for a week before it turns the colour, and windows are four weeks long."""
    since = LAST - timedelta(days=14)

    assert days(choose_pair("A", weekly(12, since))) == (LAST - timedelta(days=42), LAST)


def test_a_colour_it_always_had_is_no_anchor():
    """Then the last four weeks are told."""
    for since in (LAST - timedelta(weeks=11), LAST - timedelta(weeks=40)):
        assert days(choose_pair("A", weekly(12, since))) == (LAST - timedelta(days=28), LAST)


def test_where_no_reading_is_as_old_the_oldest_is_taken():
    """Three weeks of history are three weeks."""
    assert days(choose_pair("A", weekly(3))) == (LAST - timedelta(days=14), LAST)


def test_dates_name_their_readings_exactly():
    """Either or both; the default of the earlier one hangs on the later one given."""
    past, week = weekly(12), timedelta(weeks=1)

    assert days(choose_pair("A", past, LAST - week)) == (LAST - week, LAST)
    assert days(choose_pair("A", past, LAST - 3 * week, LAST - week)) == (LAST - 3 * week, LAST - week)
    assert days(choose_pair("A", past, None, LAST - week))[1] == LAST - week


@pytest.mark.parametrize(
    ("first", "last", "parameter"),
    [
        (LAST - timedelta(days=6), None, "from"),
        (LAST, None, "from"),
        (None, LAST - timedelta(days=1), "to"),
        (None, LAST - timedelta(weeks=11), "to"),
    ],
)
def test_a_date_without_a_reading_offers_those_nearby(first, last, parameter):
    """The error says which date is wrong and which there are, the newest first."""
    with pytest.raises(NoSuchReadingError) as caught:
        choose_pair("A", weekly(12), first, last)

    assert caught.value.parameter == parameter
    assert list(caught.value.dates) == sorted(caught.value.dates, reverse=True)
    assert LAST - timedelta(weeks=1) in caught.value.dates


def test_since_a_day_means_the_last_reading_before_it():
    """People name days, not publications; before the first reading there is nothing."""
    past = weekly(4)

    assert days(choose_pair("A", past, LAST - timedelta(days=8), nearest=True))[0] == LAST - timedelta(
        days=14
    )
    with pytest.raises(NoSuchReadingError, match="its first is as of 2026-06-10"):
        choose_pair("A", past, date(2026, 1, 1), nearest=True)


def test_one_reading_has_nothing_to_compare_with():
    """None, and no error: it is nobody's mistake."""
    assert choose_pair("A", weekly(1)) is None
    assert choose_pair("A", []) is None
