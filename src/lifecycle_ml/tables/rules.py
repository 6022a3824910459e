"""Every rule about the data in one list: what it says, how grave it is, and what becomes of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lifecycle_ml.tables.findings import Finding, Severity

Effect = Literal["stops", "left out", "kept", "unseen", "nothing"]


@dataclass(frozen=True)
class Rule:
    """One rule, and what it does: it stops the run, or rows are left out, kept, or unseen at this as_of."""

    name: str
    severity: Severity
    effect: Effect
    says: str


_RULES = (
    Rule("source_fails", "error", "stops", "A source's SELECT cannot be run."),
    Rule("source_unknown", "error", "stops", "A source is named after no canonical table."),
    Rule("table_missing", "error", "stops", "A required table is absent."),
    Rule("column_missing", "error", "stops", "A SELECT lacks a required column."),
    Rule("wrong_type", "error", "stops", "Values cannot be read as the column's type."),
    Rule(
        "contradicting_rows",
        "error",
        "stops",
        "Rows share key and known_at but differ, so nobody can say which of them holds.",
    ),
    Rule(
        "rates_missing",
        "error",
        "stops",
        "Contracts are in several currencies and fx_rates lacks some of them.",
    ),
    Rule("required_empty", "warning", "left out", "A required column is empty."),
    Rule("unknown_account", "warning", "left out", "The account is not in accounts."),
    Rule("negative_arr", "warning", "left out", "A contract's ARR is below zero."),
    Rule("ends_before_start", "warning", "left out", "A contract ends before it starts."),
    Rule("rate_not_positive", "warning", "left out", "An exchange rate is zero or below."),
    Rule("repeated_row", "warning", "left out", "A row repeats another one exactly; one of them stays."),
    Rule(
        "repeated_key",
        "warning",
        "kept",
        "Rows share a key, differ, and no known_at says which came later: read as versions, the latest wins.",
    ),
    Rule("table_absent", "advice", "nothing", "An optional table is absent."),
    Rule("column_unused", "advice", "nothing", "A SELECT returns a column nobody reads."),
)

RULES: dict[str, Rule] = {rule.name: rule for rule in _RULES}
"""Every rule by name. Whether a rule leaves rows out is decided here and nowhere else."""


def found(
    rule: str,
    table: str,
    column: str | None = None,
    *,
    rows: int = 0,
    examples: Iterable[object] = (),
    advice: str,
) -> Finding:
    """Make a finding of a rule of the catalogue."""
    shown = tuple(str(example) for example in examples)[:3]
    return Finding(RULES[rule].severity, rule, table, column, rows, shown, advice)
