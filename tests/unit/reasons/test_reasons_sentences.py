"""Sentences: numbers as people write them, and nouns that agree with them."""

import pytest

from lifecycle_ml.matrix.feature import Feature
from lifecycle_ml.matrix.measures import count
from lifecycle_ml.reasons.sentences import fill_template, write_number, write_sentence


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (1204.0, "events", "1,204"),
        (31.27, "users", "31"),
        (9.96, "users", "10"),
        (3.5, "users", "3.5"),
        (3.0, "users", "3"),
        (0.996, "users", "1"),
        (0.352, "users", "0.35"),
        (0.0401, "users", "0.04"),
        (0.0041, "users", "0.004"),
        (0.085, "share", "8%"),
        (14.6, "days", "15"),
        (0.00001, "users", "0"),
        (-0.00001, "users", "0"),
        (-12.0, "days", "-12"),
        (0.12, "share", "12%"),
        (0.004, "share", "0.4%"),
        (1.5, "ratio", "150%"),
        (0.0, "ratio", "0%"),
        (49200.4, "ARR", "49,200"),
        (1.0, "yes/no", "yes"),
        (0.0, "yes/no", "no"),
    ],
)
def test_numbers_are_written_as_people_write_them(value, unit, written):
    """Thousands have commas, large numbers no decimals, shares are percent."""
    assert write_number(value, unit) == written


@pytest.mark.parametrize(
    ("template", "value", "usual", "unit", "said"),
    [
        ("{value} active users in the last 28 days", 9, None, "users", "9 active users in the last 28 days"),
        ("{value} active users in the last 28 days", 1, None, "users", "1 active user in the last 28 days"),
        ("{value} active users in the last 28 days", 0, None, "users", "no active users in the last 28 days"),
        ("{value} meetings; usually {usual}", 0, 0, "meetings", "no meetings; usually none"),
        ("{value} meetings; usually {usual}", 1, 2.5, "meetings", "1 meeting; usually 2.5"),
        ("{value} meetings; usually {usual}", 1, 0.33, "meetings", "1 meeting; usually under 1"),
        (
            "{value} events per seat; usually {usual}",
            0,
            0.33,
            "events per seat",
            "no events per seat; usually 0.33",
        ),
        ("{value} invoices are overdue", 1, None, "invoices", "1 invoice is overdue"),
        ("{value} people have left", 1, None, "people", "1 person has left"),
        ("{value} business reviews in a year", 1, None, "reviews", "1 business review in a year"),
        ("{value} days since anyone used it", 0, None, "days", "0 days since anyone used it"),
        ("last used {value} days ago", 1, None, "days", "last used 1 day ago"),
        ("{value} of the milestones are late", 0, None, "milestones", "none of the milestones are late"),
        ("seats in use: {value}", 0, None, "share", "seats in use: 0%"),
        ("came through {value}", "paid_search", None, "category", "came through paid search"),
        ("{value} capabilities missing", 1, None, "capabilities", "1 capability missing"),
    ],
)
def test_nouns_and_verbs_agree_with_the_number(template, value, usual, unit, said):
    """One is singular, none is "no" or "none", and a verb right after the noun follows."""
    value = value if isinstance(value, str) else float(value)
    assert fill_template(template, value, None if usual is None else float(usual), unit) == said


def _feature(**changes):
    base = {
        "name": "meetings_84d",
        "value": count("touchpoints", days=84),
        "usual": count("touchpoints", days=84, ago=84),
        "unit": "meetings",
        "null_means": "none",
        "direction": "lowers",
        "category": "poor_stakeholder_ownership",
        "says": "{value} meetings in the last 84 days; usually {usual}",
    }
    return Feature(**(base | changes))


def test_a_null_usual_value_is_not_mentioned():
    """Without a past the comparison is left out rather than shown as a gap."""
    assert write_sentence(_feature(), 2.0, float("nan")) == "2 meetings in the last 84 days"
    assert write_sentence(_feature(), 2.0, None) == "2 meetings in the last 84 days"


def test_a_null_value_says_nothing_unless_the_feature_says_it():
    """Null is silent, except where the definition has a sentence for it."""
    assert write_sentence(_feature(), float("nan"), 3.0) is None
    spoken = _feature(says_null="no meeting on record")
    assert write_sentence(spoken, None, 3.0) == "No meeting on record"


def test_a_sentence_starts_with_a_capital():
    """Zero becomes a word, and a word at the start is capitalised."""
    assert write_sentence(_feature(), 0.0, 3.2) == "No meetings in the last 84 days; usually 3.2"


def test_zero_days_have_words_of_their_own():
    """Nobody writes "0 days ago" or "0 days late"."""
    last = _feature(name="last_use", unit="days", usual=None, says="last used {value} days ago")
    late = _feature(name="late", unit="days", usual=None, says="invoices were paid {value} days late")

    assert write_sentence(last, 0.0) == "Last used today"
    assert write_sentence(late, 0.2) == "Invoices were paid on time"


def test_a_template_that_needs_a_null_is_refused():
    """A template can never print NaN."""
    with pytest.raises(ValueError, match=r"needs \{usual\}"):
        fill_template("{value} of {usual}", 1.0, float("nan"), "users")
