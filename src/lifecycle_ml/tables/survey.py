"""What is wrong with tables that stay on their engine: the engine counts, and only counts are read."""

from __future__ import annotations

from typing import Any

import ibis
import pandas as pd

from lifecycle_ml.tables.fetch import fetch
from lifecycle_ml.tables.findings import Finding
from lifecycle_ml.tables.given import Given
from lifecycle_ml.tables.rules import RULES, found, rows_of
from lifecycle_ml.tables.schema import KNOWN_AT, TableSchema
from lifecycle_ml.tables.source import may_be_empty

_Rule = tuple[str, str, Any, str]
"""Name, column, condition on a broken row, and what to do about it."""


def rules_of(rows: ibis.Table, schema: TableSchema, *, against_accounts: bool) -> list[_Rule]:
    """Rules that leave rows out; the first that holds counts."""
    rules: list[_Rule] = [
        ("required_empty", c.name, rows[c.name].isnull(), f"fill {c.name}")
        for c in schema.columns
        if c.required
    ]
    if against_accounts and "account_id" in schema.by_name and schema.name != "accounts":
        advice = "add the account to accounts, or map the id to the account that holds the contract"
        rules.append(("unknown_account", "account_id", rows.of_account.isnull(), advice))
    if schema.name == "contracts":
        advice = "give credit notes as a lower ARR of the contract they belong to"
        rules.append(("negative_arr", "arr", rows.arr < 0, advice))
        ended = rows.ends_on < rows.starts_on
        rules.append(("ends_before_start", "ends_on", ended, "mend one of the two dates"))
    if schema.name == "fx_rates":
        advice = "give the value of one unit, above zero"
        rules.append(("rate_not_positive", "rate", rows.rate <= 0, advice))
    return rules


def surveyed(
    backend: Any, given: Given, rows: ibis.Table, rules: list[_Rule]
) -> tuple[list[Finding], frozenset[str]]:
    """Read the table once: which columns are filled, and how many rows each rule leaves out."""
    name, here = given.schema.name, given.columns
    broken, earlier = {}, ibis.literal(value=False)
    for i, (_, _, condition, _) in enumerate(rules):
        held = ibis.coalesce(condition, ibis.literal(value=False))
        broken[f"broken_{i}"] = (held & ~earlier).cast("int32").sum()
        earlier |= held
    given_columns = [column for column in (*given.schema.columns, KNOWN_AT) if column.name in here]
    counted = {f"filled_{column.name}": rows[column.name].count() for column in given_columns}
    answer = fetch(backend, rows.aggregate(rows=rows.count(), **broken, **counted)).iloc[0]
    findings = [
        found(
            rule,
            name,
            column,
            rows=int(answer[f"broken_{i}"]),
            advice=f"{rows_of(int(answer[f'broken_{i}']), name)} left out: {RULES[rule].says[:1].lower()}"
            f"{RULES[rule].says[1:-1]} (`{column}`). To keep them, {remedy} ({given.label}).",
        )
        for i, (rule, column, _, remedy) in enumerate(rules)
        if not pd.isna(answer[f"broken_{i}"]) and answer[f"broken_{i}"] > 0
    ]
    empty = [
        column
        for column in given_columns
        if answer["rows"] and not answer[f"filled_{column.name}"] and not may_be_empty(column)
    ]
    findings += [
        found(
            "column_empty",
            name,
            column.name,
            advice=f"{given.label}: `{name}.{column.name}` is empty in every row; fill it, or leave it out.",
        )
        for column in empty
    ]
    return findings, frozenset(here) - {column.name for column in empty}


def versions_of(backend: Any, given: Given, rows: ibis.Table) -> tuple[bool, list[Finding]]:
    """Whether some row is replaced by another of its key; refuse rows that share key and time but differ."""
    schema, key = given.schema, list(given.schema.key)
    times = rows.group_by([*key, "known_at"]).aggregate(copies=rows.count())
    keys = times.group_by(key).aggregate(versions=times.count(), copies=times.copies.sum())
    answer = fetch(
        backend,
        keys.aggregate(
            later=(keys.versions - 1).sum(), repeats=(keys.copies - keys.versions).sum(), keys=keys.count()
        ),
    ).iloc[0]
    if not answer["keys"]:
        return False, []
    later, repeats = int(answer["later"]), int(answer["repeats"])
    findings, label = [], ", ".join(key)
    if repeats:
        findings += _contradictions(backend, given, rows)
        findings.append(
            found(
                "repeated_row",
                schema.name,
                key[0],
                rows=repeats,
                advice=f"{rows_of(repeats, schema.name)} left out: the same {label} and the same content "
                f"came before ({given.label}).",
            )
        )
    if later and "known_at" not in given.columns:
        findings.append(
            found(
                "repeated_key",
                schema.name,
                key[0],
                rows=later,
                advice=f"{rows_of(later, schema.name)} share {label} with an earlier one and differ from it; "
                "the latest wins. If they are different things, give each its own key; if they are versions "
                f"of one, select a known_at ({given.label}).",
            )
        )
    return later + repeats > 0, findings


def _contradictions(backend: Any, given: Given, rows: ibis.Table) -> list[Finding]:
    schema, key = given.schema, list(given.schema.key)
    different = rows.distinct()
    several = different.group_by([*key, "known_at"]).aggregate(n=different.count()).filter(ibis._.n > 1)
    shown = fetch(backend, several.order_by(key).limit(3))
    if shown.empty:
        return []
    examples = [" ".join(map(str, row)) for row in shown[key].itertuples(index=False)]
    count = int(fetch(backend, several.aggregate(n=several.n.sum()))["n"].iloc[0])
    return [
        found(
            "contradicting_rows",
            schema.name,
            key[0],
            rows=count,
            examples=examples,
            advice=f"{given.label}: {rows_of(count, schema.name)} share {', '.join(key)} and known_at but "
            f"differ, e.g. {', '.join(map(repr, examples))}; give each its own key, or a known_at that says "
            "when each version was written.",
        )
    ]


def unrated(backend: Any, contracts: ibis.Table, rates: ibis.Table | None) -> list[tuple[str, int]]:
    """Return the currencies of contracts that have no rate, and the contracts in each."""
    asked = contracts.filter(~contracts.currency.isnull())
    if rates is not None:
        asked = asked.anti_join(rates, "currency")
    counts = fetch(backend, asked.group_by("currency").aggregate(n=asked.count()))
    return [(str(currency), int(n)) for currency, n in zip(counts["currency"], counts["n"], strict=True)]
