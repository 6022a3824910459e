"""One feedback loop: a question, who asks it, its table, and what of it can be told apart from chance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Receiver = Literal["sales", "marketing", "product"]
Kind = Literal["text", "count", "share", "ratio", "rate", "money", "days"]

FALSE_SHARE = 0.01
"""Share of reported findings that may be chance, controlled across each table (Benjamini-Hochberg)."""

NOTHING = "Nothing stands out."


@dataclass(frozen=True)
class Column:
    """One column of a loop's table as people read it; `<name>_low` and `_high`, where there, are its 95%."""

    name: str
    heading: str
    kind: Kind


@dataclass(frozen=True)
class Loop:
    """One table of a loop.

    rows   one per thing compared, those that stand out first: the columns named in `columns`, `p` (chance of
           at least such a difference if there were none; NaN: too few to compare), `p_adjusted` (the same
           for the whole table), `stands_out`, and `says`, a sentence, None where nothing is compared
    method how the figures come about and what they are adjusted for, in a sentence or two
    lacks  what is missing to answer the question; None where it is answered
    """

    receiver: Receiver
    name: str
    question: str
    method: str
    columns: tuple[Column, ...]
    rows: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)
    lacks: str | None = None
    false_share: float = FALSE_SHARE

    @property
    def findings(self) -> list[str]:
        """The sentences of the rows that stand out."""
        return (
            [] if self.rows.empty else [str(text) for text in self.rows.loc[self.rows["stands_out"], "says"]]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the loop as `lifecycle revenue --loops --json` prints it; what cannot be told is None."""
        rows = self.rows.to_dict("records")
        return {
            "receiver": self.receiver,
            "loop": self.name,
            "question": self.question,
            "method": self.method,
            "false_share": self.false_share,
            "lacks": self.lacks,
            "findings": self.findings,
            "rows": [{str(name): _plain(value) for name, value in row.items()} for row in rows],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def judged(rows: pd.DataFrame, by: list[str], false_share: float = FALSE_SHARE) -> pd.DataFrame:
    """Return the rows with `p_adjusted` and `stands_out`, those that stand out first, then in order of `by`.

    `p` is NaN where there is too little to compare; such rows are no part of the table's family.
    """
    if rows.empty:
        return rows
    rows = rows.assign(p_adjusted=benjamini_hochberg(rows["p"].to_numpy(dtype=np.float64)))
    rows = rows.assign(stands_out=rows["p_adjusted"] <= false_share)
    first = rows.sort_values([*by], kind="stable").sort_values(
        "stands_out", ascending=False, kind="stable", ignore_index=True
    )
    chosen = first["stands_out"]
    ordered = [first[chosen].sort_values("p", kind="stable"), first[~chosen]]
    return pd.concat([part for part in ordered if len(part)], ignore_index=True)


def sentences(rows: pd.DataFrame, sentence: Callable[[dict[str, Any]], str]) -> list[str | None]:
    """Write the sentence of each row that is compared, None of the others."""
    return [
        None if pd.isna(row["p"]) else sentence({str(name): value for name, value in row.items()})
        for row in rows.to_dict("records")
    ]


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p values adjusted for the false discovery rate of all of them (Benjamini and Hochberg 1995).

    NaN stays NaN and does not count.
    """
    adjusted = np.full(len(p), np.nan)
    told = np.flatnonzero(~np.isnan(p))
    order = told[np.argsort(p[told], kind="stable")]
    if len(order):
        scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
        adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def in_a_hundred(share: float) -> str:
    """Write a share as people say it: `27 of 100`, `0.4 of 100`."""
    percent = 100 * share
    return f"{percent:.0f} of 100" if percent >= 1 or percent == 0 else f"{percent:.1f} of 100"


def times(ratio: float) -> str:
    """Write a ratio as people say it: `2.3 times as often`, `0.67 times as often`."""
    return f"{ratio:.1f} times as often" if ratio >= 1.5 else f"{ratio:.2f} times as often"
