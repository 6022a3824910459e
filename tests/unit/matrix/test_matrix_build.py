"""The matrix as a whole: its shape, its clocks, and what it refuses."""

from __future__ import annotations

import pandas as pd
import pytest

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.measures import IN_FORCE, count, distinct, latest, own_past, present, total
from lifecycle_ml.tables.source import Tables

SAYS = {"unit": "x", "null_means": "unknown", "direction": "none", "category": "context", "says": "{value}"}
EVENTS = count("usage_events", days=28)
NAMED = "account_id|created_at|name\nA|2023-01-01|\nB|2023-01-01|Bee"
USAGE = "account_id | happened_at | user_id | known_at\n"


def features_of(**measures):
    """Features of these names and measures."""
    return FeatureSet(tuple(Feature(name=n, value=m, says_no="no", **SAYS) for n, m in measures.items()))


def test_the_matrix_has_keys_features_and_usual_values(small):
    """Sorted by account and date with float, str and __usual columns in the promised order."""
    tables = small.company(usage_events=USAGE + "A|2024-02-20|u|2024-02-20", accounts=NAMED)
    features = FeatureSet(
        (
            Feature(name="events", value=EVENTS, usual=own_past(EVENTS), **SAYS),
            Feature(name="used", value=present("usage_events", days=28), says_no="no", **SAYS),
            Feature(name="name", value=latest("accounts", "name"), **SAYS),
        )
    )
    spine = small.spine_of(["2024-03-01", "2024-02-01"]).iloc[::-1]
    matrix = build_matrix(tables, features.select(["events", "used", "name"]), spine)
    assert list(matrix.columns) == ["account_id", "as_of", "events", "used", "name", "events__usual"]
    assert list(matrix["account_id"]) == ["A", "A", "B", "B"]
    assert list(matrix["as_of"].dt.month) == [2, 3, 2, 3]
    assert isinstance(matrix.index, pd.RangeIndex)
    assert matrix.dtypes.astype(str).tolist() == [
        "str",
        "datetime64[us]",
        "float64",
        "float64",
        "str",
        "float64",
    ]
    assert matrix["name"].isna().tolist() == [True, True, False, False]
    assert matrix["used"].tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("known_at", ["2024-03-01 00:00", "2024-03-01 02:00", "2024-03-06 00:00"])
def test_a_late_event_counts_from_when_it_was_known(small, known_at):
    """Seen by whoever looks at or after its known_at, whatever the as_of; on midnights and between them."""
    tables = small.company(
        usage_events=USAGE
        + "A|2024-02-20|u1|2024-03-01 02:00\nA|2024-02-21|u2|2024-02-21\nA|2024-02-22|u3|2024-03-01 02:01"
    )
    expected = {"2024-03-01 00:00": 1, "2024-03-01 02:00": 2, "2024-03-06 00:00": 3}[known_at]
    for measure in (EVENTS, distinct("usage_events", "user_id", days=28)):
        assert small.values(tables, measure, "2024-03-01", known_at) == [expected, 0]


def test_an_event_superseded_later_counts_until_then(small):
    """Of two versions of one event the one known then is seen, before and after the correction."""
    tables = small.company(
        usage_events="event_id|account_id|happened_at|quantity|known_at\n"
        "e|A|2024-02-20|5|2024-02-20\ne|A|2024-02-20|7|2024-03-02"
    )
    # Reading tables keeps both as two events; an engine that keeps versions marks the first.
    tables.backend.con.execute(
        "UPDATE usage_events SET superseded_at = TIMESTAMP '2024-03-02' WHERE quantity = 5"
    )
    tables = Tables.of(
        tables.backend,
        provided={name: tables.provided(name) for name in tables.names},
        versioned=frozenset({"usage_events"}),
        findings=(),
    )
    quantity = total("usage_events", "quantity", days=28)
    assert small.values(tables, quantity, "2024-03-01") == [5, 0]
    assert small.values(tables, quantity, "2024-03-03") == [7, 0]
    assert small.values(tables, quantity, "2024-03-01", "2024-03-02 12:00") == [7, 0]


def test_children_without_a_contract_roll_up_to_their_parent(small):
    """Their usage is the parent's until they sign for themselves."""
    tables = small.company(
        accounts="account_id|created_at|parent_account_id\n"
        "A|2023-01-01|\nB|2023-01-01|A\nC|2023-01-01|B\nD|2023-01-01|A\n",
        contracts="contract_id|account_id|starts_on|arr\nc1|A|2023-01-01|100\nc2|D|2024-02-15|50",
        usage_events=USAGE
        + "A|2024-01-20|u1|2024-01-20\nB|2024-01-20|u2|2024-01-20\nC|2024-01-20|u3|2024-01-20\n"
        + "D|2024-01-20|u4|2024-01-20\nD|2024-02-20|u4|2024-02-20",
    )
    users = distinct("usage_events", "user_id", days=56)
    arr = total("contracts", "arr", where=IN_FORCE)
    assert small.values(tables, users, "2024-02-01", accounts=("A",)) == [4]
    assert small.values(tables, users, "2024-03-01", accounts=("A", "D")) == [3, 1]
    assert small.values(tables, arr, "2024-03-01", accounts=("A", "D")) == [100, 50]


def test_all_at_once_equals_one_by_one(small):
    """A row of the matrix does not depend on its neighbours."""
    tables = small.company(
        usage_events=USAGE + "A|2024-01-05|u|2024-01-05\nB|2024-02-05|v|2024-03-05\nA|2024-02-28|w|2024-02-28"
    )
    features = features_of(events=EVENTS, users=distinct("usage_events", "user_id", days=7))
    dates = ["2024-01-10", "2024-02-14", "2024-03-01", "2024-03-02"]
    spine = small.spine_of(dates)
    whole = build_matrix(tables, features, spine)
    single = [build_matrix(tables, features, spine.iloc[[i]]) for i in range(len(spine))]
    pd.testing.assert_frame_equal(whole, pd.concat(single, ignore_index=True))


def test_an_empty_spine_gives_an_empty_matrix(small):
    """No customers is an answer, with the same columns and types."""
    tables = small.company(usage_events=USAGE + "A|2024-02-20|u|2024-02-20", accounts=NAMED)
    empty = small.spine_of("2024-03-01").iloc[:0]
    matrix = build_matrix(tables, features_of(events=EVENTS, name=latest("accounts", "name")), empty)
    assert matrix.dtypes.astype(str).tolist() == ["str", "datetime64[us]", "float64", "str"]
    assert len(matrix) == 0


def test_a_feature_without_its_table_is_refused(small):
    """Building what cannot be known would give zeros nobody measured."""
    with pytest.raises(DefinitionError, match="'events' needs usage_events, which the source has not"):
        build_matrix(small.company(), features_of(events=EVENTS), small.spine_of("2024-03-01"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"known_at": pd.Timestamp("2024-02-29")},
            "known_at 2024-02-29 00:00:00 lies before as_of 2024-03-01",
        ),
        ({"account_id": "A"}, "account 'A' occurs more than once"),
        ({"as_of": pd.Timestamp("2024-03-01 06:00")}, "as_of must be a midnight"),
        ({"known_at": pd.NaT}, "2 rows have an empty value"),
    ],
)
def test_a_spine_that_is_none_is_refused(small, change, says):
    """One row per account and date, seen at or after the date."""
    spine = small.spine_of("2024-03-01").assign(known_at=pd.Timestamp("2024-03-02"))
    with pytest.raises(ValueError, match=says):
        build_matrix(small.company(), features_of(n=count("accounts")), spine.assign(**change))


def test_a_spine_without_a_column_is_refused(small):
    """Which column, and which there should be."""
    spine = small.spine_of("2024-03-01").drop(columns="known_at")
    with pytest.raises(ValueError, match="column 'known_at' is missing"):
        build_matrix(small.company(), features_of(n=count("accounts")), spine)


def test_customers_have_recurring_arr_as_known_then(small):
    """Neither ended, one-off, free nor not yet known contracts make a customer."""
    tables = small.company(
        accounts="account_id|created_at\n"
        + "".join(f"{a}|2023-01-01\n" for a in "ABCDEF")
        + "G|2024-03-01\n",
        contracts="contract_id|account_id|starts_on|ends_on|arr|is_recurring|cancelled_on|known_at\n"
        "c1|A|2024-01-01||10|yes||2024-01-01\n"
        "c2|B|2023-01-01|2024-03-01|10|yes||2023-01-01\n"
        "c3|C|2024-01-01||10|no||2024-01-01\n"
        "c4|D|2024-01-01||0|yes||2024-01-01\n"
        "c5|E|2024-01-01||10|yes||2024-03-05\n"
        "c6|F|2024-01-01||10|yes|2024-03-01|2024-01-01\n"
        "c7|G|2024-01-01||10|yes||2024-01-01\n",
    )
    before, on = small.day(2024, 2, 29), small.day(2024, 3, 1)
    spine = customers(tables, [on, before])
    assert list(zip(spine["account_id"], spine["as_of"].dt.date, strict=True)) == [
        ("A", before),
        ("A", on),
        ("B", before),
        ("F", before),
    ]
    assert (spine["known_at"] == spine["as_of"]).all()
    later = customers(tables, [on], known_at=small.instant.fromisoformat("2024-03-05"))
    assert later["account_id"].tolist() == ["A", "E"]
    assert customers(tables, [on], account_ids=["E", "A", "nobody"])["account_id"].tolist() == ["A"]
    assert customers(tables, [on], account_ids=[]).empty
    assert customers(tables, []).empty
    with pytest.raises(ValueError, match="lies before as_of 2024-03-01"):
        customers(tables, [before, on], known_at=small.instant.fromisoformat("2024-02-29"))


def test_an_account_reads_the_same_alone_and_among_all(small):
    """Facts are grouped before or after the accounts are picked, whichever is less; late ones among them."""
    names = [f"N{number}" for number in range(5)]
    accounts = "\n".join(f"{name} | 2023-01-01" for name in names)
    events = "\n".join(
        f"{name} | 2024-02-{10 + day} | u{day % 3} | 2024-0{2 + day % 2}-{12 + day}"
        for number, name in enumerate(names)
        for day in range(number + 3)
    )
    tables = small.company(accounts=f"account_id | created_at\n{accounts}", usage_events=USAGE + events)
    features = features_of(events=EVENTS, users=distinct("usage_events", "user_id", days=56))
    dates = ["2024-03-01", "2024-03-15"]
    everybody = build_matrix(tables, features, small.spine_of(dates, names))
    alone = [build_matrix(tables, features, small.spine_of(dates, [name])) for name in names]
    pd.testing.assert_frame_equal(everybody, pd.concat(alone, ignore_index=True))
    assert everybody["users"].max() == 3
