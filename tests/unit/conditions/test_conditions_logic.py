"""Conditions judged without a query say what the query says, nulls included."""

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.conditions.evaluate import FEW, evaluate
from lifecycle_ml.conditions.logic import answer, is_numeric
from lifecycle_ml.conditions.parse import parse_condition
from lifecycle_ml.errors import ConditionError
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.reasons.taxonomy import load_taxonomy
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = standard_root()
STANDARD = Workspace(ROOT, ROOT)
TAXONOMY = load_taxonomy(STANDARD, load_features(STANDARD).names)
COLUMNS = ("a", "b", "c")


def _rows(columns, count=400):
    random = np.random.default_rng(0)
    values = {name: random.choice([-1.5, 0, 0.25, 1, 2, 14, 90], count) for name in columns}
    return pd.DataFrame(
        {name: np.where(random.random(count) < 0.25, np.nan, each) for name, each in values.items()}
    )


def _same(conditions, rows):
    query = evaluate(conditions, rows)
    values = {name: rows[name].to_numpy() for name in rows}
    for key, condition in conditions.items():
        assert is_numeric(condition), condition.text
        true, false = answer(condition, values)
        np.testing.assert_array_equal(true, query[key].to_numpy(dtype=bool, na_value=False), condition.text)
        np.testing.assert_array_equal(false, ~query[key].to_numpy(dtype=bool, na_value=True), condition.text)


def test_every_condition_of_the_standard_taxonomy_over_numbers():
    """Required, outright and each comparison."""
    found = [*TAXONOMY.required.values(), *TAXONOMY.outright.values()]
    found += [item.condition for item in TAXONOMY.comparisons]
    numeric = [item for item in found if is_numeric(item)]
    assert len(numeric) > 0.9 * len(found)
    _same(dict(enumerate(numeric)), _rows(sorted({name for item in numeric for name in item.columns})))


@pytest.mark.parametrize(
    "text",
    [
        "a >= 1 AND b < 2 OR NOT c = 0.25",
        "NOT (a > 1 AND b <> 0)",
        "a IS NULL OR b IS NOT NULL AND c <= a",
        "a BETWEEN b AND 14",
        "NOT a BETWEEN 0 AND 1.5",
        "a / b > 0.5 OR a / 0 = 1",
        "coalesce(a, b, 3) * 2 - 1 >= greatest(b, c)",
        "least(a, b) < abs(-c) AND round(a) = 0",
        "-a < 0.15 * b",
        "a > 0 AND 1 = 1",
    ],
)
def test_any_condition_over_numbers(text):
    """Three-valued AND, OR and NOT, arithmetic, functions and gaps."""
    _same({"it": parse_condition(text, COLUMNS, "here")}, _rows(COLUMNS))


@pytest.mark.parametrize(
    "text",
    ["a = 'x'", "lower(a) = 'x'", "a LIKE 'x%'", "a IN (1, 2)", "a IS TRUE", "round(a, 1) = 0.2", "1 = 1"],
)
def test_what_is_left_to_the_query(text):
    """Texts, lists, yes/no and digits."""
    assert not is_numeric(parse_condition(text, COLUMNS, "here"))


TEXTS = (
    "t = 'x'",
    "t <> 'x' AND a > 0",
    "'y' = t OR u = t",
    "t IN ('x', 'z')",
    "t NOT IN ('x', 'z')",
    "a IN (1, 2, 14) OR NOT a IN (90)",
    "a NOT IN (1, 2)",
    "coalesce(t, u, 'x') = 'x'",
    "coalesce(t, 'y') <> u",
    "t IS NULL AND u IS NOT NULL",
    "NOT (t = 'x' AND a >= 1) OR b IS NULL",
)


@pytest.mark.parametrize("text", [*TEXTS, "empty > 1 OR a > 0", "empty = 'x' OR t = 'x'", "empty IS NULL"])
def test_a_few_rows_are_judged_as_many_are(text):
    """Whether a query is asked depends on the number of rows; what is said does not."""
    random = np.random.default_rng(1)
    rows = _rows(COLUMNS, 200).assign(
        t=pd.Series(random.choice(["x", "y", "z", None], 200), dtype="str"),
        u=pd.Series(random.choice(["x", "y", None], 200), dtype="str"),
        empty=None,
    )
    condition = parse_condition(text, tuple(rows.columns), "here")
    assert len(rows) > FEW
    whole = evaluate({"it": condition}, rows)
    parts = [evaluate({"it": condition}, rows.iloc[at : at + FEW]) for at in range(0, len(rows), FEW)]
    pd.testing.assert_frame_equal(pd.concat(parts), whole)
    assert len(set(whole["it"].astype(str))) > 1 or text == "empty IS NULL"


@pytest.mark.parametrize("text", TEXTS)
def test_few_rows_of_texts_and_lists_ask_no_query(text, monkeypatch):
    """A query costs more than judging one account does."""
    monkeypatch.setattr("lifecycle_ml.conditions.evaluate._run", None)
    rows = pd.DataFrame({"a": [1.0], "b": [np.nan], "t": pd.Series(["x"], dtype="str")}).assign(
        u=pd.Series([None], dtype="str")
    )
    answer = evaluate({"it": parse_condition(text, tuple(rows.columns), "here")}, rows)
    assert answer["it"].dtype == "boolean"


def test_what_cannot_be_compared_is_refused_on_few_rows_too():
    """A text held against a number is a mistake however few rows there are."""
    rows = pd.DataFrame({"a": [1.0], "t": pd.Series(["x"], dtype="str")})
    for text in ("t > 1", "a = 'x'"):
        with pytest.raises(ConditionError, match="cannot be evaluated"):
            evaluate({"it": parse_condition(text, tuple(rows.columns), "here")}, rows)
