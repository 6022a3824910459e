"""The colour bar: are the accounts that colours single out those that leave?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.health.predicate import Predicate
from lifecycle_ml.health.state import Color, HealthState, next_states
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.evaluation import Interval, bootstrap_counts
from lifecycle_ml.promotion.backtest import MODEL

if TYPE_CHECKING:
    from lifecycle_ml.outcomes.recipe import Gate
    from lifecycle_ml.promotion.backtest import Backtest
    from lifecycle_ml.promotion.grounds import Grounds

Flags = npt.NDArray[np.bool_]
BASE_RATE = "base_rate"


@dataclass(frozen=True)
class Colours:
    """What colours would have caught out of time, beside the best rule at equal numbers of accounts.

    `red` and `flagged` (red and yellow) are shares of the readings, of which the riskiest are judged up to
    the team's capacity. `caught` and `caught_flagged` are shares of churn among those judged, `gain` and
    `gain_flagged` how much more that is than the rule's. `odds` are those of churn among the judged red, as
    a multiple of the population's. `arr_caught` and the three like it say the same of ARR lost instead of
    accounts that left; the gate does not judge them, and they are None where no ARR is known.
    """

    rule: str
    red: float
    flagged: float
    caught: Interval
    gain: Interval
    caught_flagged: Interval
    gain_flagged: Interval
    odds: Interval
    readings: int
    dates: int
    arr_caught: Interval | None = None
    arr_gain: Interval | None = None
    arr_caught_flagged: Interval | None = None
    arr_gain_flagged: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            name: value.to_json() if isinstance(value, Interval) else value
            for name, value in vars(self).items()
        }


def colour_bar(
    tried: Backtest,
    base_rate: float,
    rule: str,
    gate: Gate,
    grounds: Grounds,
    *,
    seed: int,
    draws: int,
) -> Colours:
    """Colour every out-of-time reading with the health state machine, and see who of the coloured left.

    An out-of-time date stands for the publications of the `min_days` from it on: what is over a limit then
    has turned its colour by their end. Facts turn colours whoever serves, so they are left out; and so are
    the criteria of playbooks, for the reasons they belong to are not known at past cut-offs (decision
    record 0008).
    """
    rows = tried.rows[["account_id", "as_of"]].reset_index(drop=True)
    risk = tried.at_headline(MODEL)
    colour = by_machine(rows.assign(risk=risk, reason="unknown"), base_rate, grounds)
    y, score = tried.y, tried.rules[rule]
    date = pd.factorize(rows["as_of"])[0]
    account, accounts = pd.factorize(rows["account_id"])
    red = within_capacity(colour == 2, colour, risk, date, gate.red_capacity)
    flagged = within_capacity(colour >= 1, colour, risk, date, gate.flagged_capacity)
    counts = _drawn(account, len(accounts), seed, draws)
    by_rule = {"": rule_flags(score, date, red), "_flagged": rule_flags(score, date, flagged)}

    def caught(lost: Floats, chosen: Floats) -> Interval:
        return _Sum(lost * chosen, account, counts).over(_Sum(lost, account, counts))

    money: dict[str, Interval] = {}
    if "arr" in tried.rows and tried.rows["arr"].notna().any():
        lost = y * tried.rows["arr"].fillna(0.0).to_numpy(dtype=np.float64)
        for which, chosen in (("", red), ("_flagged", flagged)):
            money[f"arr_caught{which}"] = caught(lost, chosen.astype(float))
            money[f"arr_gain{which}"] = caught(lost, chosen - by_rule[which])
    return Colours(
        rule=rule,
        red=float((colour == 2).mean()),
        flagged=float((colour >= 1).mean()),
        caught=caught(y, red.astype(float)),
        gain=caught(y, red - by_rule[""]),
        caught_flagged=caught(y, flagged.astype(float)),
        gain_flagged=caught(y, flagged - by_rule["_flagged"]),
        odds=_odds(y, red, account, counts),
        readings=len(y),
        dates=len(np.unique(date)),
        **money,
    )


def best_rule(average_precision: Mapping[str, float]) -> str | None:
    """Name the rule that would serve instead: the best average precision; the base rate orders nothing."""
    ranked = {
        name: value
        for name, value in average_precision.items()
        if name != BASE_RATE and not math.isnan(value)
    }
    return max(sorted(ranked), key=lambda name: ranked[name]) if ranked else None


def by_machine(scored: pd.DataFrame, base_rate: float, grounds: Grounds) -> npt.NDArray[np.int64]:
    """Return the colour of each row (2 red, 1 yellow, 0 green) by its risk, date after date.

    scored: account_id, as_of, risk, reason, and segment where limits differ by it. Index 0 to n - 1.
    """
    rank = {"green": 0, "yellow": 1, "red": 2}
    file = grounds.health.file.model_copy(update={"facts": {}})
    by_risk = replace(grounds.health, file=file, conditions={})
    colour = np.zeros(len(scored), dtype=np.int64)
    states: dict[str, HealthState] = {}
    for date, part in scored.groupby("as_of", sort=True):
        first = pd.Timestamp(str(date)).date()
        for day in (first, first + timedelta(days=grounds.health.min_days)):
            states |= next_states(
                states,
                part,
                by_risk,
                day,
                _no_criteria,
                grounds.choose_playbook,
                base_rate,
            )
        colour[part.index] = [rank[states[account].color] for account in part["account_id"]]
    return colour


def _no_criteria(_color: Color, _reason: str) -> tuple[Predicate, ...]:
    return ()


def within_capacity(
    chosen: Flags, colour: npt.NDArray[np.int64], risk: Floats, date: npt.NDArray[np.intp], capacity: float
) -> Flags:
    """Keep of the `chosen` the worst (by colour, then risk) up to a share of each date's rows, or one."""
    frame = pd.DataFrame({"date": date, "chosen": chosen, "colour": colour, "risk": risk})
    ordered = frame[frame["chosen"]].sort_values(["colour", "risk"], ascending=False, kind="stable")
    room = np.maximum(np.floor(capacity * np.bincount(date)), 1)
    kept = ordered.index[ordered.groupby("date").cumcount().to_numpy() < room[ordered["date"]]]
    return np.asarray(frame.index.isin(kept), dtype=bool)


def rule_flags(score: Floats, date: npt.NDArray[np.intp], flagged: Flags) -> Floats:
    """Return how surely a rule flags each row, given as many a date as `flagged`: 1, 0, or shared by ties."""
    share = np.zeros(len(score))
    for day in np.unique(date):
        here = np.flatnonzero(date == day)
        left = float(flagged[here].sum())
        for value in np.unique(score[here])[::-1]:
            if left <= 0:
                break
            tied = here[score[here] == value]
            share[tied] = min(1.0, left / len(tied))
            left -= len(tied)
    return share


def _drawn(account: npt.NDArray[np.intp], accounts: int, seed: int, draws: int) -> Floats:
    return np.concatenate(list(bootstrap_counts(accounts, len(account), draws, seed))).astype(np.float64)


class _Sum:
    """A sum over rows, and over the rows of each draw of accounts."""

    def __init__(self, values: Floats, account: npt.NDArray[np.intp], counts: Floats) -> None:
        self.value = float(values.sum())
        self.drawn = counts @ np.bincount(account, values, counts.shape[1])

    def over(self, other: _Sum) -> Interval:
        """Return the ratio of two sums; NaN, with the reason, where there is nothing below."""
        if other.value == 0:
            return Interval(math.nan, math.nan, math.nan, "no churn among these readings")
        usable = other.drawn > 0
        low, high = np.quantile(self.drawn[usable] / other.drawn[usable], [0.025, 0.975])
        return Interval(self.value / other.value, float(low), float(high))


def _odds(y: Floats, red: Flags, account: npt.NDArray[np.intp], counts: Floats) -> Interval:
    if not red.any():
        return Interval(math.nan, math.nan, math.nan, "no account turned red")
    left, stayed = _Sum(y * red, account, counts), _Sum((1 - y) * red, account, counts)
    all_left, all_stayed = _Sum(y, account, counts), _Sum(1 - y, account, counts)
    # Half an account on each side: where every red account left, the odds are high, not unknown.
    ratio = (left.drawn + 0.5) / (stayed.drawn + 0.5) * (all_stayed.drawn + 0.5) / (all_left.drawn + 0.5)
    value = (left.value + 0.5) / (stayed.value + 0.5) * (all_stayed.value + 0.5) / (all_left.value + 0.5)
    low, high = np.quantile(ratio, [0.025, 0.975])
    return Interval(value, float(low), float(high))
