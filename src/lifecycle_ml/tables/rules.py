"""Every rule about the data in one list: what it says, how grave it is, and what becomes of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lifecycle_ml.errors import counted
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
    Rule("recipe_skipped", "advice", "nothing", "A recipe lacks a table it needs, so it is not trained."),
    Rule("rule_idle", "advice", "nothing", "A rule of serving/ waits for a table or column: it never fires."),
    Rule("rule_unreachable", "warning", "nothing", "A condition of serving/ can never be true."),
    Rule("rule_always", "warning", "nothing", "A condition of serving/ is true of every account."),
    Rule(
        "rule_shadowed", "warning", "nothing", "A rule of serving/ stands behind one that always comes first."
    ),
    Rule("stage_flaps", "warning", "nothing", "What enters a stage leaves it the next day."),
    Rule(
        "thresholds_overlap",
        "warning",
        "nothing",
        "Limits or levels overlap, so that one of them is useless.",
    ),
    Rule("way_back_impossible", "warning", "nothing", "Criteria of a way back contradict each other."),
    Rule(
        "never_reviewed", "warning", "nothing", "A red playbook ends without anybody deciding how to go on."
    ),
    Rule("role_unheld", "warning", "nothing", "A role has work, and nobody holds it or has hours for it."),
    Rule("step_too_late", "warning", "nothing", "A step of a checkpoint is due after the day that decides."),
    Rule(
        "evidence_unseen",
        "advice",
        "nothing",
        "Topics or milestones by which checkpoints know their evidence never occur.",
    ),
    Rule(
        "hand_off_field_unknown",
        "warning",
        "nothing",
        "accounts.handoff_missing names a field that serving/motion.toml does not list as required.",
    ),
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
        "Rows share a key, differ, and the source gives no known_at: read as versions, of which the latest "
        "wins. Usage events are never versions: each counts.",
    ),
    Rule("before_account", "warning", "kept", "Something is dated before its account exists."),
    Rule("dates_out_of_order", "warning", "kept", "Something ends before it began."),
    Rule("implausible_date", "warning", "kept", "A date lies before 1990: often an empty one, written as 0."),
    Rule("out_of_range", "warning", "kept", "A number lies outside its range."),
    Rule("unknown_value", "warning", "kept", "A value is not on the column's list; no feature counts it."),
    Rule("unknown_parent", "warning", "kept", "The parent account is not in accounts."),
    Rule("unknown_contract", "warning", "kept", "The contract said to be renewed is not in contracts."),
    Rule("outcome_contradicted", "warning", "kept", "Churn was recorded while contracts remain in force."),
    Rule("two_arrs", "warning", "kept", "A year's invoices are far from the ARR of the contracts."),
    Rule("billed_after_end", "warning", "kept", "An account without a contract in force is still billed."),
    Rule("two_currencies", "warning", "kept", "An invoice is in another currency than the contract."),
    Rule("two_payment_terms", "advice", "kept", "Invoices are due at other days than contracts agree."),
    Rule("two_renewal_dates", "advice", "kept", "Contracts of one account end on different days."),
    Rule("two_renewal_owners", "warning", "kept", "Contracts of one account name different renewal owners."),
    Rule("two_owners", "advice", "kept", "The renewal owner is neither of the account's two owners."),
    Rule("covered_twice", "advice", "kept", "An account and the one above it both have a contract."),
    Rule("after_as_of", "warning", "unseen", "Dated or known after as_of, so not seen at this as_of."),
    Rule("table_empty", "warning", "nothing", "A table is there, but has no row known at as_of."),
    Rule("feed_late", "warning", "nothing", "A feed has been silent for longer than it usually is."),
    Rule("feed_thin", "warning", "nothing", "A feed brought far fewer rows last week than it usually does."),
    Rule(
        "column_empties",
        "warning",
        "nothing",
        "A column that used to be filled is empty in the last 28 days.",
    ),
    Rule(
        "overlapping_contracts",
        "advice",
        "kept",
        "Contracts of one account and product overlap; ARR adds up.",
    ),
    Rule("before_contract", "advice", "kept", "The product was used before the account's first contract."),
    Rule("no_contract", "advice", "kept", "An account has no contract, so it is never scored."),
    Rule("table_absent", "advice", "nothing", "An optional table is absent."),
    Rule("column_absent", "advice", "nothing", "An optional column is absent, and features need it."),
    Rule("column_empty", "advice", "nothing", "A column is selected but empty in every row."),
    Rule("value_absent", "advice", "nothing", "A value that features count never occurs in the table."),
    Rule("column_unused", "advice", "nothing", "A SELECT returns a column nobody reads."),
    Rule(
        "as_of_today",
        "advice",
        "nothing",
        "A column is overwritten in place, so its past values are unknown: training leaves it out.",
    ),
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


def rates_missing(counts: Sequence[tuple[str, int]], where: str) -> list[Finding]:
    """Several currencies need rates for all but one of them, the one the rates are quoted in.

    counts: currencies without a rate and the contracts in each; where: the source that gives them.
    """
    if len(counts) < 2:
        return []
    counts = sorted(counts, key=lambda each: (-each[1], each[0]))
    names = [currency for currency, _ in counts]
    return [
        found(
            "rates_missing",
            "contracts",
            "currency",
            rows=sum(rows for _, rows in counts[1:]),
            examples=names,
            advice=f"{where}: contracts are in {', '.join(names)} without rates between them, so ARR "
            "cannot be added up. Fill `fx_rates` for all but the reporting currency, or convert arr.",
        )
    ]


def rows_of(rows: int, table: str) -> str:
    """Say how many rows of which table."""
    return f"{counted(rows, 'row')} of `{table}`"
