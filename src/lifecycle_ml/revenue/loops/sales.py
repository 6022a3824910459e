"""What sales should hear: where customers who do not fit come from, and what became of poor hand-offs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from lifecycle_ml.revenue.intervals import kaplan_meier, wilson
from lifecycle_ml.revenue.loops.loop import Column, Loop, in_a_hundred, judged, sentences, times
from lifecycle_ml.revenue.loops.rates import rate_ratios

if TYPE_CHECKING:
    from lifecycle_ml.revenue.loops.at_risk import AtRisk

POOR_FIT = 0.4
"""Below this fit to the ideal customer profile an account does not fit, as in serving/taxonomy.toml."""
BAD_FIT = "bad_fit_customer_sold"
YEAR = 365
BY = {
    "channel": "acquisition channel",
    "segment": "segment",
    "discount": "discount on the first contract",
    "seller": "seller",
}
BANDS = (
    (0.0, "none"),
    (0.10, "up to 10%"),
    (0.20, "over 10 to 20%"),
    (1.0, "over 20%"),
)


def bad_fit(about: AtRisk) -> Loop:
    """Share of customers that do not fit, by segment, channel, discount and seller."""
    asked = Loop(
        receiver="sales",
        name="bad_fit",
        question="Where do customers who do not fit come from?",
        method=f"A customer does not fit if its fit to the ideal customer profile is below {POOR_FIT}, or "
        "bad fit was recorded as the reason it left. Each group beside all others told apart the same way "
        "(Fisher's exact test, one-sided).",
        columns=(
            Column("by", "by", "text"),
            Column("group", "group", "text"),
            Column("accounts", "customers", "count"),
            Column("bad_fit", "do not fit", "count"),
            Column("share", "share", "share"),
            Column("share_elsewhere", "elsewhere", "share"),
        ),
    )
    outcomes = (
        f"SELECT DISTINCT account_id FROM ({about.known['outcomes']}) "
        f"WHERE outcome = 'churned' AND reason = '{BAD_FIT}'"
        if "outcomes" in about.names
        else "SELECT NULL AS account_id WHERE FALSE"
    )
    customers = about.frame(f"""
        SELECT a.account_id, segment, acquisition_channel AS channel, sales_owner AS seller,
               CAST(discount AS DOUBLE) AS discount,
               coalesce(CAST(icp_fit AS DOUBLE) < {POOR_FIT}, FALSE) OR o.account_id IS NOT NULL AS bad,
               icp_fit IS NOT NULL OR o.account_id IS NOT NULL AS told
        FROM ({about.known["accounts"]}) AS a
        JOIN (SELECT DISTINCT account_id FROM steps WHERE arr > 0) USING (account_id)
        LEFT JOIN (SELECT account_id, arg_min(discount, starts_on) AS discount
                   FROM ({about.known["contracts"]}) GROUP BY 1) AS c USING (account_id)
        LEFT JOIN ({outcomes}) AS o USING (account_id)
        ORDER BY a.account_id""")
    if not customers["told"].any():
        return replace(asked, lacks="Needs accounts.icp_fit, or recorded reasons in `outcomes`.")
    limits = [limit for limit, _ in BANDS]
    band = np.searchsorted(limits, customers["discount"].fillna(0).clip(0, 1).round(6), side="left")
    names = pd.Series(np.array([name for _, name in BANDS])[band], index=customers.index)
    customers["discount"] = names.where(customers["discount"].notna(), None)
    return replace(asked, rows=judged(_shares(customers), ["by", "group"]))


def _shares(customers: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for by, words in BY.items():
        known = customers[customers[by].notna()]
        if known[by].nunique() < 2:
            continue
        table = known.groupby(by)["bad"].agg(["size", "sum"])
        accounts, bad = table["size"].to_numpy(), table["sum"].to_numpy()
        share, elsewhere = bad / accounts, (bad.sum() - bad) / (accounts.sum() - accounts)
        low, high = wilson(share, accounts)
        parts.append(
            pd.DataFrame(
                {
                    "by": words,
                    "group": table.index.astype(str),
                    "accounts": accounts,
                    "bad_fit": bad,
                    "share": share,
                    "share_low": low,
                    "share_high": high,
                    "share_elsewhere": elsewhere,
                    "p": stats.hypergeom.sf(bad - 1, accounts.sum(), bad.sum(), accounts),
                }
            )
        )
    if not parts:
        return pd.DataFrame()
    rows = pd.concat(parts, ignore_index=True)
    rows["says"] = sentences(
        rows,
        lambda row: (
            f"{row['by']} {row['group']}: {in_a_hundred(row['share'])} customers do not fit, elsewhere "
            f"{in_a_hundred(row['share_elsewhere'])}."
        ),
    )
    return rows


def hand_offs(about: AtRisk) -> Loop:
    """Retention of accounts handed over with missing fields, by how many and by which."""
    asked = Loop(
        receiver="sales",
        name="hand_offs",
        question="What became of customers handed over with fields missing?",
        method="Kept after a year: Kaplan-Meier from the first contract. Losses beside those of all other "
        "customers alike in segment, size, tenure, quarter, term and activity (Poisson regression).",
        columns=(
            Column("missing", "missing at hand-off", "text"),
            Column("accounts", "customers", "count"),
            Column("kept", "kept after a year", "share"),
            Column("events", "lost", "count"),
            Column("expected", "expected", "rate"),
            Column("ratio", "times as often", "ratio"),
        ),
    )
    given = about.frame(f"""
        SELECT l.account_id, handoff_missing AS fields, l.from_day - began AS entry,
               l.to_day - began AS leave, ended
        FROM lives AS l JOIN ({about.known["accounts"]}) USING (account_id)
        WHERE handoff_missing IS NOT NULL ORDER BY l.account_id, began""")
    if given.empty:
        return replace(asked, lacks="Needs accounts.handoff_missing: what sales left empty.")
    exposed = f"""
        WITH handed AS (SELECT account_id, handoff_missing AS fields, len(handoff_missing) AS many
                        FROM ({about.known["accounts"]}) WHERE handoff_missing IS NOT NULL),
        labels AS (
            SELECT account_id, unnest(list_distinct(fields)) AS label FROM handed
            UNION ALL SELECT account_id, 'nothing' FROM handed WHERE many = 0
            UNION ALL SELECT account_id, '1 or 2 fields' FROM handed WHERE many BETWEEN 1 AND 2
            UNION ALL SELECT account_id, '3 or more fields' FROM handed WHERE many >= 3)
        SELECT label, account_id, -1000000 AS from_day, 1000000 AS to_day FROM labels"""
    rows = rate_ratios(about, "SELECT account_id, to_day AS day FROM lives WHERE ended", exposed, "more")
    if rows.empty:
        return replace(asked, rows=rows)
    many = given["fields"].map(len)
    chosen = {"nothing": many == 0, "1 or 2 fields": (many > 0) & (many < 3), "3 or more fields": many >= 3}
    curves = []
    for label in rows["label"]:
        of = chosen[label] if label in chosen else given["fields"].map(set).map(lambda s, one=label: one in s)
        part = given[of]
        curves.append(kaplan_meier(part["entry"], part["leave"], part["ended"]).at(YEAR))
    rows[["kept", "kept_low", "kept_high"]] = np.array(curves)
    # A complete hand-off is there to be compared with, not to be found.
    rows["p"] = rows["p"].where(rows["label"] != "nothing")
    rows = rows.rename(columns={"label": "missing"})
    rows["says"] = sentences(
        rows,
        lambda row: (
            f"Handed over without {str(row['missing']).replace('_', ' ')}: {in_a_hundred(row['kept'])} "
            f"customers are kept for a year; they are lost {times(row['ratio'])} as others."
        ),
    )
    return replace(asked, rows=judged(rows, ["missing"]))
