"""The reference page of the data contract, written from the schema and the rules themselves."""

from __future__ import annotations

import sys

from lifecycle_ml.tables.conflicts import CONFLICTS
from lifecycle_ml.tables.rules import RULES
from lifecycle_ml.tables.schema import KNOWN_AT, SCHEMAS, Column, TableSchema, Type

_TYPES = {
    Type.TEXT: "text",
    Type.TEXTS: "list of texts",
    Type.WHOLE: "whole number",
    Type.NUMBER: "number",
    Type.YES_NO: "yes/no",
    Type.DATE: "date",
    Type.INSTANT: "instant (UTC)",
}
_CLOCKS = {
    "row": "with the row",
    "dated": "the day after it",
    "effective": "on its day",
    "today": "as of today",
}
_EFFECTS = {
    "stops": "stops the run; the table counts as absent",
    "left out": "rows are left out",
    "kept": "rows are kept",
    "unseen": "rows are not seen at this as_of",
    "nothing": "nothing changes",
}

_HEAD = """# Tables

Generated from the schema and the rules in `lifecycle_ml.tables`. After changing them, write this page again:

    python -m lifecycle_ml.tables.reference > docs/reference/tables.md

Each table is filled by one SELECT, `features/sources/<table>.sql`. **Bold** columns are required. Only
`accounts` is required, and so is what the churn recipe cannot do without: `contracts`, or `usage_events`
where churn is inactivity. `lifecycle check` says what the absence of any other table costs.

**Known** says from when a column can be seen. *With the row*: from the row's `known_at`. *The day after it*:
the column reads as empty until its own date lies before as_of. *On its day*: from 00:00 of its own date.
*With `x`*: as soon as `x` can be seen. *As of today*: systems overwrite it without a date, so training leaves
it out unless versions of the row are kept.

Every table may carry `known_at`: {known_at}. Where it does not, `known_at` is
the first filled one of the columns named under the table; a bare date counts as known when the day is over,
at the next midnight. Several rows with one key and different `known_at` are versions: the latest known wins.
"""

_LIMITS = """`rows` of these findings counts accounts. What was billed is held against ARR only where ARR was
the same on every day of the year before: then monthly, quarterly and annual invoices all come to it. Accounts
that changed within the year, that bought one-off services, or whose invoices lack an amount are not compared.
`two_owners` is silent where most accounts differ: then renewals evidently have owners of their own."""


def reference() -> str:
    """Return docs/reference/tables.md."""
    parts = [_HEAD.format(known_at=KNOWN_AT.says), *(_table(schema) for schema in SCHEMAS.values())]
    return "\n".join([*parts, _rules(), _conflicts()])


def _table(schema: TableSchema) -> str:
    key = ", ".join(f"`{name}`" for name in schema.key)
    known = " or else ".join(
        f"`{name}`{' 00:00' if name in schema.known_at_start else ''}" for name in schema.known
    )
    if schema.known == ("known_at",):
        known = "the account's `known_at`"
    says = [
        schema.says,
        f"Key: {key}." if key else "No key: every row stands for itself.",
        f"Known at: {known}.",
    ]
    if schema.happened:
        says.append(f"Seen from the first as_of after `{schema.happened}`.")
    lines = ["| Column | Type | Holds | Known |", "|---|---|---|---|"]
    lines += [_column(column) for column in schema.columns]
    return "\n".join([f"## {schema.name}", "", " ".join(says), "", *lines, ""])


def _column(column: Column) -> str:
    name = f"**{column.name}**" if column.required else column.name
    holds = column.says
    if column.values:
        holds += f": {', '.join(column.values)}"
    if column.default is not None:
        meaning = column.default.strip("'")
        holds += f" (empty means {'yes' if meaning == 'TRUE' else meaning})"
    known = _CLOCKS.get(column.clock, f"with `{column.clock}`")
    return f"| {name} | {_TYPES[column.type]} | {holds} | {known} |"


def _rules() -> str:
    lines = ["| Rule | Severity | Means | Does |", "|---|---|---|---|"]
    lines += [f"| `{r.name}` | {r.severity} | {r.says} | {_EFFECTS[r.effect]} |" for r in RULES.values()]
    head = (
        "What `lifecycle check` looks for. An error stops `run` before anything is written; a warning or a "
        "piece "
        "of advice does not. Rows left out are always counted."
    )
    return "\n".join(["## Rules", "", head, "", *lines, ""])


def _conflicts() -> str:
    lines = ["| Rule | What is so | Which counts |", "|---|---|---|"]
    lines += [f"| `{each.rule}` | {each.says} | {each.decides} |" for each in CONFLICTS]
    head = (
        "Where two places name one thing differently, `lifecycle check` says for how many of the accounts "
        "that could be compared, shows both values of those with the most ARR, and says which one counts and "
        "how much ARR hangs on it: that of the contracts in force at `--as-of`, or of the last ones where "
        "none is, by currency. It compares what was known then; nothing is changed or left out."
    )
    return "\n".join(["## One account, one truth", "", head, "", *lines, "", _LIMITS, ""])


if __name__ == "__main__":
    sys.stdout.write(reference())
