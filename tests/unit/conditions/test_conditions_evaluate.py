"""Three-valued answers, for any number of rows, the same in DuckDB and in Ibis."""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.conditions.parse import parse_condition
from lifecycle_ml.conditions.translate import to_ibis
from lifecycle_ml.errors import ConditionError

YES, NO, UNKNOWN = True, False, None


def scored() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "risk": [0.4, float("nan"), 0.0],
            "seats": [10.0, 4.0, 5.0],
            "reason": pd.array(["champion_left", None, "Unknown"], dtype="str"),
            "due": pd.to_datetime(["2026-01-01", None, "2026-02-03"]).astype("datetime64[us]"),
            "activated": [True, False, True],
        }
    )


TRUTH = [
    ("risk > 0.1", [YES, UNKNOWN, NO]),
    ("NOT risk > 0.1", [NO, UNKNOWN, YES]),
    ("risk > 0.1 AND seats > 100", [NO, NO, NO]),
    ("risk > 0.1 OR seats > 0", [YES, YES, YES]),
    ("risk > 0.1 OR seats > 4", [YES, UNKNOWN, YES]),
    ("risk IS NULL", [NO, YES, NO]),
    ("risk IS NOT NULL", [YES, NO, YES]),
    ("seats / risk > 1", [YES, UNKNOWN, UNKNOWN]),
    ("reason IN ('champion_left', 'x')", [YES, UNKNOWN, NO]),
    ("reason NOT IN ('champion_left')", [NO, UNKNOWN, YES]),
    ("lower(reason) LIKE 'unk%'", [NO, UNKNOWN, YES]),
    ("coalesce(risk, 1) >= 0.4", [YES, YES, NO]),
    ("seats BETWEEN 5 AND 10", [YES, NO, YES]),
    ("days_between(due, DATE '2026-02-03') = 33", [YES, UNKNOWN, NO]),
    ("due < DATE '2026-02-01'", [YES, UNKNOWN, NO]),
    ("activated", [YES, NO, YES]),
    ("activated = 1", [YES, NO, YES]),
    ("activated IS NOT TRUE", [NO, YES, NO]),
    ("-seats < -4.5", [YES, NO, YES]),
    ("round(seats / 3, 2) = 3.33", [YES, NO, NO]),
    ("length(reason) = 7", [NO, UNKNOWN, YES]),
    ("TRUE", [YES, YES, YES]),
]


@pytest.mark.parametrize(("text", "expected"), TRUTH)
def test_null_propagates_as_cannot_tell(text, expected):
    """Nulls and NaN give <NA> unless the rest of the condition already decides."""
    table = scored()

    answer = evaluate({"rule": parse_condition(text, table.columns, "w")}, table)

    assert answer["rule"].dtype == "boolean"
    assert [None if pd.isna(value) else bool(value) for value in answer["rule"]] == expected


@pytest.mark.parametrize(("text", "expected"), TRUTH)
def test_ibis_gives_the_same_answers(text, expected):
    """One grammar, one meaning: filtering through Ibis agrees with the one DuckDB query."""
    table = ibis.memtable(scored())

    answer = ibis.duckdb.connect().to_pandas(table.select(rule=to_ibis(text, table)))["rule"]

    assert [None if pd.isna(value) else bool(value) for value in answer] == expected


def test_ibis_builds_plain_values_too():
    """A feature's measured column is an expression of the same grammar."""
    table = ibis.memtable(scored())

    answer = ibis.duckdb.connect().to_pandas(table.select(value=to_ibis("seats * 2 + 1", table)))

    assert answer["value"].tolist() == [21, 9, 11]


def test_ibis_refuses_an_unknown_column_with_the_place_given():
    """The matrix passes the feature's file and name on to the message."""
    with pytest.raises(ConditionError, match=r"usage.py `x`: no column 'seat'. Did you mean 'seats'"):
        to_ibis("seat > 1", ibis.memtable(scored()), "features/usage.py `x`")


@pytest.mark.parametrize("rows", [0, 1, 100_000])
def test_any_number_of_rows_keeps_order_and_index(rows):
    """Answers line up with the rows they judge, whatever the number and the index."""
    table = pd.DataFrame({"risk": np.random.default_rng(0).random(rows)}, index=np.arange(rows) * 2)
    rules = {f"over_{cut}": parse_condition(f"risk > 0.{cut}", table.columns, "w") for cut in (2, 5)}

    answer = evaluate(rules, table)

    assert list(answer.columns) == ["over_2", "over_5"]
    assert answer.index.equals(table.index)
    assert answer["over_5"].astype(bool).equals(table["risk"] > 0.5)


def test_arrow_tables_are_judged_and_nan_counts_as_null():
    """Arrow keeps NaN apart from null; a condition does not."""
    table = pa.table({"risk": pa.array([0.4, float("nan"), None])})

    answer = evaluate({"high": parse_condition("risk > 0.1", ["risk"], "w")}, table)

    assert answer["high"].tolist() == [True, pd.NA, pd.NA]


def test_a_column_without_any_value_cannot_tell():
    """A column that is empty throughout has no type; comparing it is still allowed."""
    table = pd.DataFrame({"reason": [None, None]})
    rules = {text: parse_condition(text, ["reason"], "w") for text in ("reason = 'x'", "reason > 3")}

    assert evaluate(rules, table).isna().all(axis=None)


def test_no_conditions_give_no_columns():
    """An empty rule file is not an error."""
    assert evaluate({}, scored()).shape == (3, 0)


def test_missing_column_is_named_with_the_nearest():
    """A table that lacks a column says which rule needs it."""
    rule = parse_condition("risk > 1", ["risk"], "serving/x.toml a.b")

    with pytest.raises(ConditionError, match=r"serving/x.toml a.b: the table has no column 'risk'.*'risks'"):
        evaluate({"a": rule}, pd.DataFrame({"risks": [1.0]}))


def test_value_that_cannot_be_compared_names_the_guilty_rule():
    """Of many rules in one query the wrong one is named."""
    table = scored()
    rules = {
        "fine": parse_condition("seats > 3", table.columns, "f.toml fine"),
        "wrong": parse_condition("reason > 3", table.columns, "f.toml wrong"),
    }

    with pytest.raises(ConditionError, match=r"f.toml wrong: 'reason > 3' cannot be evaluated"):
        evaluate(rules, table)


def test_quotes_in_names_and_values_stay_inside_them():
    """A name or value with quotes is data, never SQL."""
    table = pd.DataFrame({'odd "name"': ["it's", "x"]})
    rule = parse_condition('"odd ""name""" = \'it\'\'s\'', table.columns, "w")

    assert evaluate({"a": rule}, table)["a"].tolist() == [True, False]
