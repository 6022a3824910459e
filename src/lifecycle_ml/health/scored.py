"""The scored table: one row per account, every matrix column and the columns named here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

import pandas as pd
from sqlglot import exp

from lifecycle_ml.conditions.grammar import Columns, Kind
from lifecycle_ml.conditions.parse import Condition, parse_condition
from lifecycle_ml.conditions.possible import Ranges, closed
from lifecycle_ml.errors import ConditionError, did_you_mean
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.tables.source import Tables

COLORS: Final = ("green", "yellow", "red")

SCORED_COLUMNS: dict[str, Kind] = {
    "account_id": "text",
    "as_of": "date",
    "name": "text",
    "segment": "text",
    "owner": "text",
    "arr": "number",
    "risk": "number",
    "band": "text",
    "lift": "number",
    "source": "text",
    "tier": "text",
    "reason": "text",
    "health": "text",
    "stage": "text",
    "sales_owner": "text",
    "renewal_owner": "text",
    "expansion_probability": "number",
    "expansion_band": "text",
    "expansion_lift": "number",
}
"""What scoring adds to the features, with the kind of value: rules may name these too."""


BANDS: Final = ("low", "medium", "high")

SCORED_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "health": COLORS,
    "band": BANDS,
    "expansion_band": BANDS,
    "source": ("model", "rules"),
    "tier": ("full", "advisory", "insufficient"),
    "reason": (*CATEGORIES, "unknown"),
    "stage": ("hand_off", "onboarding", "renewal", "growth", "adoption"),
}
"""Scored columns that hold one of a closed list of words: a rule that names another word is a mistake."""

SCORED_RANGES: Final[Ranges] = closed(
    SCORED_VALUES, {"risk": (0, 1), "expansion_probability": (0, 1), "lift": (0, float("inf"))}
)
"""What scored columns may hold, for proofs that a rule can never be true."""


def parse_rule(text: str, columns: Columns, where: str) -> Condition:
    """Parse a rule over the scored table; words of closed lists must be on them.

    Raises: ConditionError with file, rule and the nearest right name or word.
    """
    condition = parse_condition(text, columns, where)
    for node in condition.tree.find_all(exp.EQ, exp.NEQ, exp.In):
        sides = [node.this, *(node.expressions or [node.expression])]
        named = [side.name for side in sides if isinstance(side, exp.Column)]
        known = SCORED_VALUES.get(named[0]) if len(named) == 1 else None
        for side in sides:
            if known and isinstance(side, exp.Literal) and side.is_string and side.name not in known:
                raise ConditionError(
                    f"{where}: {named[0]} is never {side.name!r}.{did_you_mean(side.name, known)} "
                    f"In {text!r}."
                )
    return condition


def columns_of_rules(features: Iterable[str]) -> dict[str, Kind | None]:
    """Return every column a rule may name: the features (kind not known here) and the scored columns."""
    kinds: dict[str, Kind | None] = dict.fromkeys(features)
    return kinds | SCORED_COLUMNS


EXPANSION: Final = ("probability", "band", "lift", "source", "tier")
"""What is kept of an expansion score, in columns named expansion_*."""


def scored_table(
    matrix: pd.DataFrame,
    accounts: pd.DataFrame,
    churn: pd.DataFrame,
    expansion: pd.DataFrame | None,
    said: pd.DataFrame,
    as_of: date,
) -> pd.DataFrame:
    """Join all that rules may speak of: one row per row of `matrix`, in its order.

    accounts: one row per account_id, as `accounts_of` gives them, and more columns at will. churn, expansion:
    scores of the rows of `matrix`, in its order; expansion None where nothing answers for it (its columns are
    null then). said: what reasons say, in the same order. A product without contracts gets a null `arr`.
    """
    own = matrix[["account_id"]].merge(accounts, on="account_id", how="left").drop(columns="account_id")
    kept = matrix.drop(columns=[column for column in (*own.columns, "as_of") if column in matrix])
    if expansion is None:
        growth = pd.DataFrame(dict.fromkeys(EXPANSION), index=matrix.index)
    else:
        growth = expansion[list(EXPANSION)]
    day = pd.Series([as_of] * len(matrix), name="as_of", dtype="object")
    parts = [kept, churn.drop(columns=["account_id", "as_of"]), growth.add_prefix("expansion_"), said, own]
    table = pd.concat([day, *(part.reset_index(drop=True) for part in parts)], axis=1)
    return table if "arr" in table else pd.concat([table, _nothing("arr", len(table))], axis=1)


def accounts_of(tables: Tables, as_of: date) -> pd.DataFrame:
    """Return who the accounts are, as of today: for people to read, and as reference groups.

    Grain: one row per account. account_id, name, segment, owner (of customer success), sales_owner,
    handoff_missing (the hand-off fields sales left empty, in words; None: none, or nobody says), and
    renewal_owner: of the contract in force at `as_of` that ends last.
    """
    table = tables["accounts"]
    latest = table.filter(table.superseded_at.isnull())
    frame: pd.DataFrame = latest.select(
        "account_id", "name", "segment", "sales_owner", "handoff_missing", owner="csm_owner"
    ).execute()
    missing = [_listed(fields) for fields in frame["handoff_missing"]]
    frame["handoff_missing"] = pd.Series(missing, frame.index, dtype="object")
    if "contracts" not in tables:
        return pd.concat([frame, _nothing("renewal_owner", len(frame))], axis=1)
    contracts = tables["contracts"]
    in_force = contracts.filter(
        contracts.superseded_at.isnull() & (contracts.starts_on <= as_of) & (contracts.ends_on > as_of)
    )
    terms: pd.DataFrame = in_force.select("account_id", "contract_id", "ends_on", "renewal_owner").execute()
    last = terms.sort_values(["ends_on", "contract_id"]).drop_duplicates("account_id", keep="last")
    return frame.merge(last[["account_id", "renewal_owner"]], on="account_id", how="left")


def _listed(fields: object) -> str | None:
    """Write the names of fields for people: `go_live_date` is `go live date`."""
    names = [str(name).replace("_", " ") for name in fields] if isinstance(fields, Iterable) else []
    return ", ".join(names) or None


def _nothing(name: str, rows: int) -> pd.Series:
    return pd.Series([float("nan") if name == "arr" else None] * rows, name=name)
