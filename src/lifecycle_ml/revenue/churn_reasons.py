"""Why accounts leave, month by month: recorded and predicted reasons with control limits, and who decides.

A month's reasons are a p-chart for each category (Shewhart 1931; Montgomery, Introduction to Statistical
Quality Control, chapter 7): the share of a category among the month's reasons against its share before. The
counts are small, so limits are not three standard deviations but the probabilities these stand for (0.135% on
each side), and since the share before is itself known from few reasons, they are those of the predictive
beta-binomial distribution with Jeffreys' prior.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from pydantic import Field, field_validator
from scipy.special import betaln, gammaln

from lifecycle_ml.reasons.taxonomy import UNKNOWN, Role, the_eleven
from lifecycle_ml.store.schema import listings
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Strict, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from numpy.typing import NDArray

    from lifecycle_ml.revenue.known import Known
    from lifecycle_ml.store.rows import Publication

FILE = "churn_review.toml"
MONTHS = 12
TAIL = 0.00135
"""Chance, on each side, of a month outside the limits while nothing changed: that of three sigma."""
MIN_BEFORE = 20
"""With fewer reasons before a month, no limits are set for it."""
TOLD = (
    "Share of a category among the month's reasons; limits: what 99.73% of months would show if nothing had "
)
TOLD += "changed since the months before, given how many reasons they had."


class Answer(Strict):
    """What the company would do differently if a category rose, and the role that decides it."""

    if_it_rose: str = Field(min_length=20)
    decides: Role


class ReviewFile(Strict):
    """serving/churn_review.toml as written: an answer for each of the eleven categories."""

    categories: dict[str, Answer]

    @field_validator("categories")
    @classmethod
    def _has_exactly_the_eleven(cls, categories: dict[str, Answer]) -> dict[str, Answer]:
        return the_eleven(categories, f"serving/{FILE}")


def load_review(workspace: Workspace) -> ReviewFile:
    """Load serving/churn_review.toml strictly. Raises: ConfigError for a wrong key, value or category."""
    return workspace.load("serving", FILE, ReviewFile)


def control_chart(counts: pd.DataFrame, months: int = MONTHS) -> pd.DataFrame:
    """Hold each month's share of each category against the months before it.

    counts: one row per month (index, consecutive) and a column per category, how many reasons named it.
    Grain: one row per month (the last `months`) and category: month, category, count, of (all reasons of the
    month), share, centre (the share before; NaN without reasons before), low and high (counts within limits
    lie between them; NaN with fewer than MIN_BEFORE before), signal (`above`, `below`, None).
    """
    of = counts.sum(axis=1)
    before, of_before = counts.cumsum().shift(fill_value=0), of.cumsum().shift(fill_value=0)
    rows = []
    for month in counts.index[-months:]:
        number, had = int(of[month]), int(of_before[month])
        limits = np.full((2, len(counts.columns)), np.nan)
        if had >= MIN_BEFORE and number:
            limits = _limits(number, before.loc[month].to_numpy(dtype=float), had)
        for at, category in enumerate(counts.columns):
            count, (low, high) = int(counts.loc[month, category]), limits[:, at]
            rows.append(
                {
                    "month": str(month),
                    "category": category,
                    "count": count,
                    "of": number,
                    "share": count / number if number else np.nan,
                    "centre": int(before.loc[month, category]) / had if had else np.nan,
                    "low": float(low),
                    "high": float(high),
                    "signal": "above" if count > high else "below" if count < low else None,
                }
            )
    return pd.DataFrame(rows)


def _limits(number: int, seen: NDArray[np.float64], had: int) -> NDArray[np.float64]:
    """Counts out of `number` with TAIL below and above, (low and high, categories), given the past.

    The predictive distribution after `seen` of `had` with Jeffreys' prior: beta-binomial.
    """
    count = np.arange(number + 1)
    for_it, against = (seen + 0.5)[:, None], (had - seen + 0.5)[:, None]
    ways = gammaln(number + 1) - gammaln(count + 1) - gammaln(number - count + 1)
    chance = np.exp(ways + betaln(count + for_it, number - count + against) - betaln(for_it, against))
    below = np.cumsum(chance, axis=1)
    low = (below < TAIL).sum(axis=1)
    high = np.minimum((below < 1 - TAIL).sum(axis=1), number)
    return np.stack([low, high]).astype(np.float64)


def recorded_counts(known: Known) -> tuple[pd.DataFrame, int]:
    """Count the categories people recorded for churned accounts, by month of the outcome.

    Grain: one row per month from the first reason to the last whole month before known_on, a column per
    category. Beside it how many churned accounts have no category (unknown, non-payment or nothing) since
    then. Reasons are recorded late, so the newest months still grow.
    """
    rows = known.frame(
        """found AS (SELECT strftime(happened_on, '%Y-%m') AS month, reason, count(*) AS n
                     FROM known_outcomes
                     WHERE outcome = 'churned' AND happened_on < date_trunc('month', {today}) GROUP BY ALL)
           SELECT * FROM found""",
        "outcomes",
    )
    named = rows[rows["reason"].isin(CATEGORIES)]
    last = pd.Period(known.known_on, "M") - 1
    return _by_month(named, last), int(rows.loc[~rows["reason"].isin(CATEGORIES), "n"].sum())


def predicted_counts(engine: sa.Engine, publications: Sequence[Publication], known_on: date) -> pd.DataFrame:
    """Count the first reasons of accounts that newly turned yellow or red, by month.

    Of each whole month the last publication counts; an account counts in the month in which it is yellow or
    red and was neither in the month before (onsets: an account that stays red is one reason, not twelve).
    Accounts whose reason is unknown are left out.
    Grain: as `recorded_counts`; the first month published has no row, for nothing came before it.
    """
    last = pd.Period(known_on, "M") - 1
    newest: dict[pd.Period, Publication] = {}
    for each in sorted(publications, key=lambda one: (one.as_of, one.publication_id)):
        if each.published_at is not None and pd.Period(each.as_of, "M") <= last:
            newest[pd.Period(each.as_of, "M")] = each
    rows = []
    with engine.connect() as connection:
        before: set[str] | None = None
        for month in sorted(newest):
            here = connection.execute(
                sa.select(listings.c.account_id, listings.c.reason).where(
                    listings.c.publication_id == newest[month].publication_id,
                    listings.c.health.in_(("yellow", "red")),
                )
            ).all()
            if before is not None:
                rows += [
                    {"month": str(month), "reason": row.reason, "n": 1}
                    for row in here
                    if row.account_id not in before and row.reason not in (None, UNKNOWN)
                ]
            before = {row.account_id for row in here}
    return _by_month(pd.DataFrame(rows, columns=["month", "reason", "n"]), last)


def _by_month(rows: pd.DataFrame, last: pd.Period) -> pd.DataFrame:
    """Turn (month, reason, n) into a row per month without gaps and a column per category."""
    if rows.empty:
        return pd.DataFrame(columns=list(CATEGORIES), dtype="int64")
    table = rows.pivot_table(index="month", columns="reason", values="n", aggfunc="sum", fill_value=0)
    months = pd.period_range(table.index.min(), max(last, pd.Period(table.index.max(), "M")), freq="M")
    return table.reindex(index=months.strftime("%Y-%m"), columns=list(CATEGORIES), fill_value=0).astype(int)


def reasons_report(
    charts: Mapping[str, pd.DataFrame], review: ReviewFile, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Join the charts (recorded, predicted) with what each category would change and who decides.

    Keys: told_by; charts by name, rows of `control_chart`; categories: one row each: category, label,
    if_it_rose, decides, and signals (where and when it left its limits).
    """
    signals = {
        category: [
            {"chart": name, "month": row["month"], "signal": row["signal"]}
            for name, chart in charts.items()
            for row in chart.to_dict("records")
            if row["category"] == category and not pd.isna(row["signal"])
        ]
        for category in CATEGORIES
    }
    return {
        "told_by": TOLD,
        "charts": {
            name: [
                {str(key): None if pd.isna(value) else value for key, value in row.items()}
                for row in chart.to_dict("records")
            ]
            for name, chart in charts.items()
        },
        "categories": [
            {
                "category": category,
                "label": labels[category],
                "if_it_rose": answer.if_it_rose,
                "decides": answer.decides,
                "signals": signals[category],
            }
            for category, answer in review.categories.items()
        ],
    }
