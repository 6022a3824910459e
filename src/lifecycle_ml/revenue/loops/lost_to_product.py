"""What product should hear of those who left: gaps that cost ARR, and reasons it can address."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from lifecycle_ml.outcomes.labels import CAUSE_WITHIN_DAYS
from lifecycle_ml.revenue.books import NOT_RECORDED
from lifecycle_ml.revenue.intervals import garwood, wilson
from lifecycle_ml.revenue.loops.at_risk import LOOKED_BACK, day_of, joined
from lifecycle_ml.revenue.loops.loop import Column, Loop, in_a_hundred, judged, sentences, times
from lifecycle_ml.revenue.loops.product import LEFT
from lifecycle_ml.revenue.loops.rates import rate_ratios

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle_ml.revenue.loops.at_risk import AtRisk

GAP_TOPIC = "gap:"
"""A touchpoint whose topic begins so names a missing capability: what follows is its name."""
IN_TICKETS = "any, in tickets"
ALL = "all industries"
MIN_LOST = 5
"""With fewer lost customers a group is not compared."""


def gaps(about: AtRisk) -> Loop:
    """ARR of customers that left within 180 days of naming a missing capability, by it and industry."""
    asked = Loop(
        receiver="product",
        name="gaps",
        question="Which product gaps cost ARR, and where?",
        method=f"Customers that left within {LOOKED_BACK} days of naming a missing capability, in a meeting "
        f"(topic `{GAP_TOPIC}...`) or a ticket of kind feature_gap. Each industry beside all others by "
        "losses per customer and year (exact binomial test, one-sided); over all industries, losses after "
        "naming it beside those of customers alike (Poisson regression).",
        columns=(
            Column("gap", "missing", "text"),
            Column("industry", "industry", "text"),
            Column("accounts", "named it", "count"),
            Column("lost", "of them left", "count"),
            Column("arr_lost", "ARR lost", "money"),
            Column("rate", "left per 100 customers a year", "rate"),
            Column("rate_elsewhere", "elsewhere", "rate"),
            Column("arr_open", "ARR of those that named it lately", "money"),
        ),
    )
    parts = []
    if "tickets" in about.names:
        parts.append(
            f"SELECT '{IN_TICKETS}' AS label, account_id, {day_of('opened_at')} AS day "
            f"FROM ({about.known['tickets']}) WHERE kind = 'feature_gap'"
        )
    if "touchpoints" in about.names:
        parts.append(
            f"SELECT replace(substr(topic, {len(GAP_TOPIC) + 1}), '_', ' ') AS label, account_id, "
            f"{day_of('happened_at')} AS day FROM ({about.known['touchpoints']}) "
            f"WHERE starts_with(topic, '{GAP_TOPIC}')"
        )
    if not parts:
        return replace(asked, lacks=about.lacks("tickets", "touchpoints"))
    about.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE naming AS {joined(" UNION ALL ".join(parts), LOOKED_BACK)}""")
    named = about.frame(
        f"""
        SELECT n.label AS gap, industry, count(DISTINCT n.account_id) AS accounts,
               count(DISTINCT l.life) FILTER (WHERE lost) AS lost,
               coalesce(sum(arr) FILTER (WHERE lost), 0) AS arr_lost,
               coalesce(sum(arr) FILTER (WHERE open), 0) AS arr_open
        FROM (SELECT n.label, n.account_id, l.life, l.arr,
                     bool_or(ended AND n.from_day < l.to_day AND n.to_day >= l.to_day) AS lost,
                     bool_or(NOT ended AND l.to_day >= {about.today} AND n.to_day >= {about.today}) AS open
              FROM naming AS n JOIN lives AS l USING (account_id)
              WHERE n.from_day < l.to_day AND n.to_day >= l.from_day GROUP BY ALL) AS n
        JOIN lives AS l USING (life) JOIN profiles ON profiles.account_id = n.account_id
        GROUP BY ALL ORDER BY 1, 2""".replace("sum(arr)", "sum(n.arr)")
    )
    if named.empty:
        return replace(asked, rows=named)
    years = about.frame("""
        SELECT industry, sum(to_day - from_day) / 365.25 AS years
        FROM lives JOIN profiles USING (account_id) GROUP BY 1""").set_index("industry")["years"]
    everywhere = _everywhere(about, named)
    rows = pd.concat([everywhere, _by_industry(named, years)], ignore_index=True)
    return replace(asked, rows=judged(rows, ["gap", "industry"]))


def _by_industry(named: pd.DataFrame, years: pd.Series) -> pd.DataFrame:
    rows = named[named["industry"] != NOT_RECORDED].copy()
    years = years.drop(NOT_RECORDED, errors="ignore")
    lost, here = rows["lost"].to_numpy(), years[rows["industry"]].to_numpy()
    of_gap = rows.groupby("gap")["lost"].transform("sum").to_numpy()
    low, high = garwood(lost)
    rows["rate"], rows["rate_low"], rows["rate_high"] = 100 * lost / here, 100 * low / here, 100 * high / here
    with np.errstate(invalid="ignore", divide="ignore"):
        rows["rate_elsewhere"] = 100 * (of_gap - lost) / (years.sum() - here)
    chance = stats.binom.sf(lost - 1, of_gap, here / years.sum())
    # What is compared is chosen by what was to be expected here, not by what was seen.
    rows["p"] = np.where((of_gap >= MIN_LOST) & (len(years) > 1), chance, np.nan)
    rows["says"] = sentences(
        rows,
        lambda row: (
            f"{row['industry']}: {row['lost']} customers left within {LOOKED_BACK} days of missing "
            f"{_gap(row['gap'])}, with {row['arr_lost']:,.0f} of ARR; {row['rate']:.1f} per 100 customers a "
            f"year, elsewhere {row['rate_elsewhere']:.1f}."
        ),
    )
    return rows


def _everywhere(about: AtRisk, named: pd.DataFrame) -> pd.DataFrame:
    """One row per gap over all industries: is it followed by losses at all?"""
    sums = named.groupby("gap", as_index=False)[["accounts", "lost", "arr_lost", "arr_open"]].sum()
    ratios = rate_ratios(about, LEFT, "SELECT * FROM naming", "more").rename(columns={"label": "gap"})
    ratios = ratios.reindex(columns=["gap", "years", "ratio", "ratio_low", "ratio_high", "p"])
    rows = sums.merge(ratios, "left", "gap").assign(industry=ALL)
    rows["says"] = sentences(
        rows,
        lambda row: (
            f"Customers that miss {_gap(row['gap'])} are lost {times(row['ratio'])} as customers alike: "
            f"{row['lost']} left, with {row['arr_lost']:,.0f} of ARR."
        ),
    )
    return rows.drop(columns="years")


def _gap(name: str) -> str:
    return "a capability they asked for in tickets" if name == IN_TICKETS else name


def addressable(about: AtRisk, decides: Mapping[str, str] | None = None) -> Loop:
    """Recorded reasons for leaving, and how often the product had failed those who gave them.

    `decides` names the role that owns the answer to each reason (serving/taxonomy.toml).
    """
    asked = Loop(
        receiver="product",
        name="addressable",
        question="Which reasons for leaving can product address?",
        method="Customers lost by recorded reason, and how many more of them than of customers alike had, "
        f"in the {LOOKED_BACK} days before, a ticket about a missing capability, an outage or a severe or "
        "escalated bug (Poisson regression).",
        columns=(
            Column("reason", "recorded reason", "text"),
            Column("decides", "who decides", "text"),
            Column("lost", "lost", "count"),
            Column("share", "of all with a reason", "share"),
            Column("arr_lost", "ARR lost", "money"),
            Column("events", "with product trouble before", "count"),
            Column("expected", "expected", "rate"),
            Column("ratio", "times as often", "ratio"),
        ),
    )
    if (lacking := about.lacks("outcomes", "tickets")) is not None:
        return replace(asked, lacks=lacking)
    about.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE given AS
        SELECT life, l.account_id, to_day, l.arr, arg_min(reason, abs(said - to_day)) AS reason
        FROM lives AS l JOIN (SELECT account_id, reason, {day_of("happened_on")} AS said
                              FROM ({about.known["outcomes"]})
                              WHERE outcome = 'churned' AND reason IS NOT NULL ORDER BY ALL) AS o
        ON o.account_id = l.account_id AND ended AND abs(said - to_day) <= {CAUSE_WITHIN_DAYS}
        GROUP BY ALL""")
    table = about.frame("""
        SELECT reason, count(*) AS lost, sum(arr) AS arr_lost FROM given GROUP BY 1 ORDER BY 1""")
    if table.empty:
        return replace(asked, lacks="Needs recorded reasons in `outcomes`.")
    trouble = joined(
        f"""SELECT 'trouble' AS label, account_id, {day_of("opened_at")} AS day
            FROM ({about.known["tickets"]})
            WHERE kind IN ('feature_gap', 'outage')
               OR (kind = 'bug' AND (severity <= 2 OR escalated_at IS NOT NULL))""",
        LOOKED_BACK,
    )
    about.con.execute(f"CREATE OR REPLACE TEMP TABLE trouble AS {trouble}")
    compared = []
    for reason in table["reason"]:
        events = f"SELECT account_id, to_day AS day FROM given WHERE reason = '{reason}'"
        ratio = rate_ratios(about, events, "SELECT * FROM trouble", "more")
        compared.append({"reason": reason} | (ratio.iloc[0].to_dict() if len(ratio) else {"p": np.nan}))
    rows = table.merge(pd.DataFrame(compared), "left", "reason")
    rows = rows.drop(columns=[name for name in ("label", "accounts", "years") if name in rows])
    told = rows["lost"].sum()
    rows["share"] = rows["lost"] / told
    rows["share_low"], rows["share_high"] = wilson(rows["share"], np.full(len(rows), told))
    rows["decides"] = rows["reason"].map(dict(decides or {})).astype(object)
    rows["decides"] = rows["decides"].where(rows["decides"].notna(), None)
    rows["reason"] = rows["reason"].str.replace("_", " ")
    rows["says"] = sentences(
        rows,
        lambda row: (
            f"{row['reason']}: {row['lost']} lost ({in_a_hundred(row['share'])}); {row['events']:.0f} of "
            f"them had trouble with the product in the {LOOKED_BACK} days before, {row['expected']:.0f} were "
            "to be expected."
        ),
    )
    return replace(asked, rows=judged(rows, ["reason"]))
