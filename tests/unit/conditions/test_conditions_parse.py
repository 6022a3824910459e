"""What a condition may say, and how the rest is refused."""

from __future__ import annotations

import pytest

from lifecycle_ml.conditions.parse import parse_condition
from lifecycle_ml.errors import ConditionError

COLUMNS = {
    "risk": "number",
    "seats": "number",
    "health": "text",
    "reason": "text",
    "activated": "yes_no",
    "renews_on": "date",
    "as_of": "date",
}
WHERE = "serving/health.toml facts.closure"


def test_condition_lists_the_columns_it_reads():
    """The columns of a condition are known before any table is seen."""
    condition = parse_condition("risk > 0.2 AND coalesce(seats, 1) > 5 OR risk IS NULL", COLUMNS, WHERE)

    assert condition.columns == ("risk", "seats")


@pytest.mark.parametrize(
    "text",
    [
        "risk >= 0.2 AND NOT (seats < 10 OR health = 'red')",
        "reason IN ('champion_left', 'unknown') AND seats NOT IN (-1, 0)",
        "seats BETWEEN 10 AND 20",
        "health IS NOT NULL AND activated IS TRUE",
        "lower(reason) LIKE 'champion%' AND length(upper(health)) <= 6",
        "abs(risk - 0.5) / least(seats, 3) + greatest(1, seats) * 2 > round(risk, 2)",
        "days_between(as_of, renews_on) < 90 AND renews_on > DATE '2026-01-01'",
        "activated AND activated = 1",
    ],
)
def test_everything_on_the_list_is_understood(text):
    """Each construct the reference page names parses."""
    assert parse_condition(text, COLUMNS, WHERE).text == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rsk > 1", "no column 'rsk'. Did you mean 'risk'?"),
        ("lenght(reason) > 1", "function 'lenght' is not on the list. Did you mean 'length'?"),
        ("read_csv('secrets.csv') = 1", "function 'read_csv' is not on the list"),
        ("read_text('secrets') = 'x'", "function 'read_text' is not on the list"),
        ("getenv('HOME') = 'x'", "function 'getenv' is not on the list"),
        ("now() > renews_on", "is not on the list"),
        ("current_date > renews_on", "function 'current_date' is not on the list"),
        ("sum(risk) > 1", "function 'sum' is not on the list"),
        ("risk IN (SELECT 1)", "a subquery or column in IN"),
        ("risk IN (seats)", "'seats' is not one"),
        ("risk > (SELECT max(risk) FROM t)", "a subquery is not understood"),
        ("EXISTS (SELECT 1)", "a subquery is not understood"),
        ("SELECT 1", "a subquery is not understood"),
        ("CASE WHEN risk > 1 THEN TRUE END", "CASE is not understood"),
        ("health::INT > 1", "a cast"),
        ("risk > ?", "a placeholder"),
        ("t.risk > 1", "write the column alone"),
        ("risk > 1; DROP TABLE x", "more than one statement"),
        ("", "is empty"),
        ("risk >", "not an SQL expression"),
        ("0.1 < risk < 0.3", "join two of them with AND"),
        ("risk", "is a value, not a condition"),
        ("risk + 1", "is a value, not a condition"),
        ("'red'", "is a value, not a condition"),
        ("risk AND activated", r"AND needs a yes/no value, but risk is a number (write risk = 1)"),
        ("health > 3", "health is text, 3 is a number"),
        ("health + 1 > 3", "+ needs a number, but health is text"),
        ("renews_on < '2026-01-01'", "Write DATE 'YYYY-MM-DD'"),
        ("renews_on < DATE '2026-13-01'", "'2026-13-01' is not a date"),
        ("renews_on - as_of > 3", "use days_between"),
        ("days_between(renews_on) > 3", "takes two dates"),
        ("days_between(risk, as_of) > 3", "needs a date, but risk is a number"),
        ("health LIKE reason", "a pattern in single quotes"),
        ("activated IS health", "IS is followed by NULL, TRUE or FALSE"),
        ("round(risk, seats) > 1", "a whole number of digits"),
        ("* > 1", "the star"),
        ("risk = NULL", "write IS NULL or IS NOT NULL"),
        ("risk IN ()", "lists no value"),
        ("(" * 2000 + "risk = 1" + ")" * 2000, "nested too deeply"),
    ],
)
def test_refusal_names_file_rule_and_the_nearest_right_name(text, says):
    """What is not on the list is refused with its place and a remedy."""
    with pytest.raises(ConditionError) as refused:
        parse_condition(text, COLUMNS, WHERE)

    assert str(refused.value).startswith(f"{WHERE}: ")
    assert says in str(refused.value)


def test_kinds_are_checked_only_where_they_are_known():
    """Names alone say nothing of kinds, so a mix-up passes until values are seen."""
    assert parse_condition("health > 3", ["health"], WHERE).columns == ("health",)
