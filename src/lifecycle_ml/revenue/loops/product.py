"""What product should hear: who gets going, what is used by those who stay, and what precedes growth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from lifecycle_ml.revenue.intervals import kaplan_meier
from lifecycle_ml.revenue.loops.at_risk import BLOCKS, DAYS_BEFORE, FEATURES, MIN_SHARE, TEAMS, day_of, joined
from lifecycle_ml.revenue.loops.loop import Column, Loop, in_a_hundred, judged, sentences, times
from lifecycle_ml.revenue.loops.rates import rate_ratios

if TYPE_CHECKING:
    from lifecycle_ml.revenue.loops.at_risk import AtRisk

LEFT = "SELECT account_id, to_day AS day FROM lives WHERE ended"
PLAN_TIMES = 1.5
"""Activation is judged this many times the planned days after the start."""
USUAL_PLAN_DAYS = 60
"""Planned days where no milestone says when it is due."""
SETTLED_DAYS = 28
"""Use is read from so long after the first event on: before, nobody knows who used what already."""
MOST_USERS = 0.5
"""A feature that a larger share of customers has used is basic use; who lacks it is mostly idle."""
FALSE_FEATURES = 0.05
"""Share of reported features that may be chance: losses are few for the differences to be hoped for."""
NEAR_LIMIT = 0.85
"""Share of the contracted usage from which use is near the limit, as in serving/triggers.toml."""
EARLY_DAYS = 90
"""A feature or team taken up later than this after the first one is new; before, it is the roll-out."""
NOT_ACTS = ("email_in", "email_out", "nps", "csat")
"""Touchpoints that are no act of a customer's own, or happen all the time."""


def activation(about: AtRisk) -> Loop:
    """Time from the first contract to activation, by segment."""
    asked = Loop(
        receiver="product",
        name="activation",
        question="Which segments activate fastest?",
        method="Days from the first contract to the first milestone that counts as activation "
        "(Kaplan-Meier). Who left without it stays counted as not activated; who is still on the "
        "way counts as long as they were seen. Each segment beside all others by the share activated on "
        "the day looked at (Fisher's exact test).",
        columns=(
            Column("segment", "segment", "text"),
            Column("accounts", "customers", "count"),
            Column("activated", "activated", "count"),
            Column("median_days", "half of them by day", "days"),
            Column("day", "looked at on day", "days"),
            Column("share", "activated by then", "share"),
            Column("share_elsewhere", "elsewhere", "share"),
        ),
    )
    if (lacking := about.lacks("milestones")) is not None:
        return replace(asked, lacks=lacking)
    each = about.frame(f"""
        WITH began AS (SELECT account_id, min(from_day) AS day FROM steps WHERE arr > 0
                       GROUP BY 1 HAVING min(from_day) < {about.today}),
        reached AS (
            SELECT account_id, min({day_of("completed_on")}) AS done, min({day_of("due_on")}) AS due
            FROM ({about.known["milestones"]}) WHERE is_activation GROUP BY 1)
        SELECT segment, {about.today} - day AS since,
               greatest(coalesce(done, {about.today}) - day, 0) AS leave,
               done IS NOT NULL AS ended, due - day AS plan
        FROM began JOIN reached USING (account_id) JOIN ({about.known["accounts"]}) USING (account_id)
        WHERE segment IS NOT NULL ORDER BY account_id""")
    if each.empty:
        return replace(asked, lacks="Needs milestones.is_activation and accounts.segment.")
    plan = each["plan"].median()
    day = round(PLAN_TIMES * (USUAL_PLAN_DAYS if pd.isna(plan) else max(plan, 1)))
    groups = each["segment"].to_numpy()
    rows = pd.DataFrame(
        [_activated(each[groups == name], each[groups != name], str(name), day) for name in np.unique(groups)]
    )
    return replace(asked, rows=judged(rows, ["segment"]))


def _activated(here: pd.DataFrame, elsewhere: pd.DataFrame, segment: str, day: int) -> dict[str, object]:
    curves = [
        kaplan_meier(np.zeros(len(part)) - 1, part["leave"], part["ended"]) for part in (here, elsewhere)
    ]
    (rest, low, high), (rest_elsewhere, _, _) = (curve.at(day) for curve in curves)
    share, share_elsewhere = 1 - rest, 1 - rest_elsewhere
    return {
        "segment": segment,
        "accounts": len(here),
        "activated": int(here["ended"].sum()),
        "median_days": curves[0].median(),
        "day": day,
        "share": share,
        "share_low": 1 - high,
        "share_high": 1 - low,
        "share_elsewhere": share_elsewhere,
        "p": _apart(here, elsewhere, day),
        "faster": share > share_elsewhere,
        "says": f"{segment}: {in_a_hundred(share)} are activated by day {day}, elsewhere "
        f"{in_a_hundred(share_elsewhere)}.",
    }


def _apart(here: pd.DataFrame, elsewhere: pd.DataFrame, day: int) -> float:
    """Two-sided p of the share activated by a day, among those whose answer is known by then.

    An account signed less than `day` days ago has no answer yet, whether or not it has activated. Fisher's
    exact test: shares lie near one, where a normal approximation would find too much.
    """
    told = []
    for part in (here, elsewhere):
        known = part[part["since"] >= day]
        reached = int((known["ended"] & (known["leave"] <= day)).sum())
        told.append([reached, len(known) - reached])
    if min(sum(pair) for pair in told) < 5:
        return np.nan
    return float(stats.fisher_exact(told).pvalue)


def features(about: AtRisk) -> Loop:
    """Losses of customers that have taken up a feature, beside those of customers alike that have not."""
    asked = Loop(
        receiver="product",
        name="features",
        question="Which features go with retention?",
        method="Losses after an account first used a feature, beside those of customers alike in segment, "
        "size, tenure, quarter, term and activity that had not used it by then (Poisson regression). An "
        f"association: who takes a feature up may differ in what nobody recorded. Only features that at most "
        f"{MOST_USERS:.0%} of customers use are compared: who lacks what most have is mostly idle.",
        columns=(
            Column("feature", "feature", "text"),
            Column("accounts", "customers that use it", "count"),
            Column("share", "of all", "share"),
            Column("years", "their years", "rate"),
            Column("events", "lost", "count"),
            Column("expected", "expected", "rate"),
            Column("ratio", "times as often", "ratio"),
        ),
    )
    if (lacking := about.lacks("usage_events")) is not None:
        return replace(asked, lacks=lacking)
    since = about.frame(f"SELECT min(first_day) AS day FROM use WHERE part = {BLOCKS}")["day"].iloc[0]
    if pd.isna(since):
        return replace(asked, lacks="Needs rows in `usage_events`.")
    exposed = f"""
        SELECT feature AS label, account_id, first_day AS from_day, 1000000 AS to_day
        FROM use WHERE part = {FEATURES} AND feature IS NOT NULL"""
    rows = rate_ratios(about, LEFT, exposed, "less", since=int(since) + SETTLED_DAYS)
    if rows.empty:
        return replace(asked, lacks="Needs usage_events.feature.")
    watched = about.frame("SELECT count(DISTINCT account_id) AS accounts FROM counted")["accounts"].iloc[0]
    rows = rows.rename(columns={"label": "feature"})
    rows["share"] = rows["accounts"] / watched
    rows["p"] = rows["p"].where(rows["share"] <= MOST_USERS)
    rows["says"] = sentences(
        rows,
        lambda row: (
            f"Customers that use {row['feature']} are lost {times(row['ratio'])} as customers alike "
            "without it."
        ),
    )
    return replace(asked, rows=judged(rows, ["feature"], FALSE_FEATURES), false_share=FALSE_FEATURES)


def before_expansion(about: AtRisk) -> Loop:
    """How much more often customers grow in the 90 days after something they did."""
    asked = Loop(
        receiver="product",
        name="before_expansion",
        question="What do customers do before they expand?",
        method=f"Growth of ARR by at least {MIN_SHARE:.0%} in the {DAYS_BEFORE} days after, beside that of "
        "customers alike in segment, size, tenure, quarter, term and activity at other times (Poisson "
        "regression).",
        columns=(
            Column("before", "before", "text"),
            Column("accounts", "customers", "count"),
            Column("years", "their years", "rate"),
            Column("events", "grown", "count"),
            Column("expected", "expected", "rate"),
            Column("ratio", "times as often", "ratio"),
        ),
    )
    grown = f"""
        SELECT account_id, from_day AS day FROM steps
        WHERE before > 0 AND arr >= before * {1 + MIN_SHARE} AND from_day < {about.today}"""
    acts = []
    for table, label in (("signals", "sign: "), ("tickets", "ticket: "), ("touchpoints", "")):
        if table in about.names:
            at = "opened_at" if table == "tickets" else "happened_at"
            acts.append(
                f"SELECT '{label}' || replace(kind, '_', ' ') AS label, account_id, {day_of(at)} AS day "
                f"FROM ({about.known[table]}) WHERE kind NOT IN {NOT_ACTS}"
            )
    if "usage_events" in about.names:
        acts += [
            _taken_up(TEAMS, "team", "a new team starts"),
            _taken_up(FEATURES, "feature", "a feature is taken up"),
            f"""
            SELECT 'use comes near the limit' AS label, account_id, (block + 1) * 28 AS day
            FROM use JOIN (SELECT account_id, {day_of("starts_on")} AS low,
                                  coalesce({day_of("least(ends_on, cancelled_on)")}, 1000000) AS high,
                                  CAST(usage_limit AS DOUBLE) AS most
                           FROM ({about.known["contracts"]})) AS c USING (account_id)
            WHERE part = {BLOCKS} AND low < (block + 1) * 28 AND high >= (block + 1) * 28
            GROUP BY account_id, block HAVING any_value(quantity) >= {NEAR_LIMIT} * sum(most)""",
        ]
    if not acts:
        return replace(asked, lacks="Needs `usage_events`, `signals`, `tickets` or `touchpoints`.")
    rows = rate_ratios(about, grown, joined(" UNION ALL ".join(acts), DAYS_BEFORE), "more")
    if rows.empty:
        return replace(asked, rows=rows)
    rows = rows.rename(columns={"label": "before"})
    rows["says"] = sentences(
        rows,
        lambda row: (
            f'In the {DAYS_BEFORE} days after "{row["before"]}" customers grow {times(row["ratio"])} as '
            "customers alike at other times."
        ),
    )
    return replace(asked, rows=judged(rows, ["before"]))


def _taken_up(part: int, column: str, label: str) -> str:
    return f"""
        SELECT '{label}' AS label, account_id, first_day AS day
        FROM (SELECT account_id, first_day, min(first_day) OVER (PARTITION BY account_id) AS begun
              FROM use WHERE part = {part} AND {column} IS NOT NULL)
        WHERE first_day > begun + {EARLY_DAYS}"""
