"""A wrong feature cannot be built; a right one knows what it needs and which sentence fits."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.measures import count, distinct, greatest, largest, latest, own_past, present

USERS = count("tickets", days=28)
RIGHT = {
    "name": "tickets_28d",
    "value": USERS,
    "unit": "tickets",
    "null_means": "unknown",
    "direction": "raises",
    "category": "service_support_failure",
    "says": "{value} tickets",
}


def test_a_feature_is_frozen():
    """What was checked when built stays as it was."""
    feature = Feature(**RIGHT)
    with pytest.raises(FrozenInstanceError):
        feature.unit = "days"
    assert repr(feature) == "Feature('tickets_28d', 'tickets', 'service_support_failure')"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Tickets 28d"}, "a name is lower case letters"),
        ({"name": "tickets__usual"}, "reserved"),
        ({"name": "as_of"}, "reserved"),
        ({"value": "tickets"}, "is no measure"),
        ({"usual": 3}, "is no measure"),
        ({"value": latest("tickets", "closed_at")}, "use days_since"),
        ({"unit": " "}, "unit is missing"),
        ({"null_means": "nothing"}, "null_means is 'nothing'. Known: "),
        ({"direction": "lower"}, "direction is 'lower'. Did you mean 'lowers'"),
        ({"category": "service_failure"}, "Did you mean 'service_support_failure'"),
        ({"value": latest("accounts", "segment")}, "a text has no more or less"),
        ({"value": present("tickets")}, "needs says_no"),
        ({"says": ""}, "says is empty"),
        ({"says": "{valu} tickets"}, "names {valu}, which is not there. Did you mean 'value'"),
        ({"says": "{value}; usually {usual}"}, "Give usual= to use {usual}"),
        ({"says": "{value tickets"}, "says: "),
        ({"says": None}, "says is None; write a sentence"),
        ({"says_one": 1}, "says_one is 1; write a sentence"),
        ({"says": "{value:.2f} tickets"}, "says how to write {value}; leave that out"),
        ({"unit": None}, "unit is missing"),
        ({"usual": latest("accounts", "segment")}, "what is usual is a number; this measure holds text"),
        ({"movable": "yes"}, "movable is 'yes'; write True or False"),
    ],
)
def test_a_wrong_feature_fails_where_it_is_written(change, says):
    """The message names file, line and feature, and the nearest right word."""
    with pytest.raises(DefinitionError, match=r"^matrix/test_feature\.py:\d+: feature ") as error:
        Feature(**RIGHT | change)
    assert says in str(error.value)


def test_the_sentence_fits_the_value():
    """One, no, nothing and no usual value each have their own way of being said."""
    feature = Feature(
        **RIGHT
        | {
            "usual": own_past(USERS),
            "says": "{value} tickets; usually {usual}",
            "says_one": "1 ticket; usually {usual}",
            "says_null": "No tickets on record",
        }
    )
    assert feature.sentence(2.0, 3.0) == "{value} tickets; usually {usual}"
    assert feature.sentence(2.0) == "{value} tickets"
    assert feature.sentence(2.0, float("nan")) == "{value} tickets"
    assert feature.sentence(1.0, 3.0) == "1 ticket; usually {usual}"
    assert feature.sentence(float("nan")) == "No tickets on record"
    assert Feature(**RIGHT).sentence(None) is None


def test_yes_and_no_have_a_sentence_each():
    """A zero behind a sentence that says yes would be read as yes."""
    feature = Feature(**RIGHT | {"value": present("tickets"), "says": "Tickets", "says_no": "No tickets"})
    assert (feature.sentence(1.0), feature.sentence(0.0)) == ("Tickets", "No tickets")


def test_a_text_is_said_as_it_is():
    """Categories have one sentence."""
    segment = latest("accounts", "segment")
    feature = Feature(**RIGHT | {"value": segment, "direction": "none", "says": "In {value}"})
    assert feature.sentence("smb") == "In {value}"
    assert feature.rests_on_today


def test_a_feature_lacks_what_the_source_has_not(small):
    """Whole tables and single columns, named so that check can say what they cost."""
    tables = small.company(tickets="ticket_id|account_id|opened_at\nt|A|2024-01-01")
    usage = Feature(**RIGHT | {"value": count("usage_events", days=7)})
    severe = Feature(**RIGHT | {"name": "severe", "value": count("tickets", where="severity = 1")})
    assert usage.lacks(tables) == {"usage_events"}
    assert severe.lacks(tables) == {"tickets.severity"}
    assert Feature(**RIGHT).lacks(tables) == frozenset()
    assert FeatureSet((usage, Feature(**RIGHT | {"name": "all"}), severe)).available(tables).names == ("all",)


def test_of_alternatives_one_is_enough(small):
    """A source of ready-made sums has no user_id, but says how many users were behind a row."""
    either = greatest(distinct("usage_events", "user_id", days=7), largest("usage_events", "users", days=7))
    feature = Feature(**RIGHT | {"value": either})
    sums = small.company(usage_events="account_id|happened_at|users\nA|2024-01-01|3")
    bare = small.company(usage_events="account_id|happened_at\nA|2024-01-01")
    assert feature.lacks(sums) == frozenset()
    assert feature.lacks(bare) == {"usage_events.user_id", "usage_events.users"}


def test_a_feature_set_is_found_by_name():
    """Names are unique, and a wrong one is answered with the nearest."""
    first, second = Feature(**RIGHT), Feature(**RIGHT | {"name": "others", "for_model": False})
    features = FeatureSet((first, second))
    assert list(features) == [first, second]
    assert features["others"] is second
    assert "others" in features
    assert features.for_model.names == ("tickets_28d",)
    assert features.select(["others"]).names == ("others",)
    assert features.tables_of("others") == ("tickets",)
    with pytest.raises(DefinitionError, match=r"no feature 'other'\. Did you mean 'others'"):
        features["other"]
    with pytest.raises(DefinitionError, match="'others' is defined 2 times"):
        FeatureSet((second, second))
