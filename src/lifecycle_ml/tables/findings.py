"""What is found about the data: one value per rule, table and column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "advice"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "advice")


@dataclass(frozen=True)
class Costs:
    """What is lost while a finding stands: features that cannot be built, categories left unevidenced."""

    features: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing `check` has to say about one table.

    `rule` is a name of `tables.rules.RULES`; `rows` counts the rows concerned (0 where the finding is about
    a whole table or column); `examples` are at most three values or keys; `advice` says in one or two
    sentences what is so and what to do about it.
    """

    severity: Severity
    rule: str
    table: str
    column: str | None = None
    rows: int = 0
    examples: tuple[str, ...] = ()
    advice: str = ""
    costs: Costs = field(default=Costs())

    def to_json(self) -> dict[str, Any]:
        """Return the finding as `check --json` prints it."""
        return {
            "severity": self.severity,
            "rule": self.rule,
            "table": self.table,
            "column": self.column,
            "rows": self.rows,
            "examples": list(self.examples),
            "advice": self.advice,
            "costs": {"features": list(self.costs.features), "categories": list(self.costs.categories)},
        }


def in_order(findings: list[Finding] | tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Sort errors before warnings before advice, then by rows concerned, then by name."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (SEVERITIES.index(f.severity), -f.rows, f.table, f.rule, f.column or ""),
        )
    )
