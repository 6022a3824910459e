"""Conditions judged without a query say what the query says, nulls included."""

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.conditions.logic import answer, is_numeric
from lifecycle_ml.conditions.parse import parse_condition
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
