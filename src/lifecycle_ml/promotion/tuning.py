"""Limits of health from what a team can carry, and what each choice would have caught out of time.

History is what a model's own training said of dates it had not learned from, coloured by the machine
that colours every night: an out-of-time date stands for the publications of the `min_days` from it on. Facts
and ways back are left out, as they are at the gate (decision record 0008), so every choice is judged by risk
alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.health.config import ColorLimits, Limit, Limits
from lifecycle_ml.outcomes.recipe import Gate
from lifecycle_ml.promotion.colours import by_machine, rule_flags
from lifecycle_ml.promotion.grounds import Grounds

LEAST_DATES: Final = 6
LEAST_CHURNED: Final = 30
"""Dates, and accounts that left, under which nothing is proposed: a handful would decide."""
RED_FROM: Final = (2.0, 2.5, 2.75, 3.0, 3.25, 3.5, 4.0, 5.0)
YELLOW_FROM: Final = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5)
LEFT_AT: Final = (0.92, 0.8)
"""Multiples of the base rate at which colours may begin, and the parts of them at which they are left."""
_QUARTER_DAYS: Final = 91.3
_SAME: Final = 0.01
"""Shares of churn closer than this are equal; then the choice that flips less is taken."""

Colours = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """Readings out of time: one row per account and date, with what was said and what came.

    rows: account_id, as_of, segment (null: not known), risk, outcome (0/1 by the headline horizon), rule
    (what the best rule said). refused: the number of the registered version whose record it is, where that
    does not serve; None where it does.
    """

    rows: pd.DataFrame
    base_rate: float
    rule: str
    refused: str | None = None

    def of(self, segment: str) -> Record:
        """Return the readings of one segment."""
        return replace(self, rows=self.rows[self.rows["segment"] == segment].reset_index(drop=True))

    @property
    def churned(self) -> int:
        """Accounts that left."""
        return int(self.rows.loc[self.rows["outcome"] == 1, "account_id"].nunique())

    @property
    def dates(self) -> int:
        """Dates there are readings of."""
        return int(self.rows["as_of"].nunique())


@dataclass(frozen=True)
class Caught:
    """What one pair of limits would have done: shares of readings and of churn, means over the dates.

    `red` and `flagged` (red and yellow) are accounts at a date. `caught` is the share of churn among the red,
    `caught_flagged` among all flagged, `rule` and `rule_flagged` those of the best rule with as many accounts
    at each date. `odds` are those of churn among the red as a multiple of the population's. `flips` are
    changes of colour per account and quarter.
    """

    limits: ColorLimits
    accounts: float
    red: float
    flagged: float
    caught: float
    caught_flagged: float
    rule: float
    rule_flagged: float
    odds: float
    flips: float

    @property
    def red_share(self) -> float:
        """Share of accounts that are red."""
        return self.red / self.accounts

    @property
    def flagged_share(self) -> float:
        """Share of accounts that are red or yellow."""
        return self.flagged / self.accounts

    def red_passes(self, gate: Gate) -> bool:
        """Tell whether red alone would pass the gate's colour bar."""
        return self.odds >= gate.min_red_odds and self.caught - self.rule > gate.min_colour_gain

    def passes(self, gate: Gate) -> bool:
        """Tell whether a model with these limits would pass the gate's colour bar."""
        return self.red_passes(gate) and self.caught_flagged - self.rule_flagged > gate.min_colour_gain

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        figures = {name: value for name, value in vars(self).items() if name != "limits"}
        rounded = {name: None if math.isnan(value) else round(value, 4) for name, value in figures.items()}
        return {"limits": self.limits.model_dump(include={"red", "yellow"}), **rounded}


@dataclass(frozen=True)
class Proposal:
    """Limits proposed for all and, where they catch more, for segments, beside those that are.

    `reds` and `yellows` are the choices looked at for all accounts: first red's limits, whatever yellow's
    are, then yellow's beside the red chosen. `segments` holds for each segment with enough churn what
    the limits of all, and what its own, would have caught in it. `passes`: whether a model with the limits
    proposed would pass the gate's colour bar.
    """

    now: Caught
    proposed: Caught
    reds: tuple[Caught, ...]
    yellows: tuple[Caught, ...]
    segments: Mapping[str, tuple[Caught, Caught]]
    own: Mapping[str, ColorLimits]
    with_own: Caught | None
    rule: str
    dates: int
    churned: int
    passes: bool
    refused: str | None = None

    def toml(self) -> str:
        """Return the section of serving/health.toml to paste."""
        lines = ["[limits]", 'unit = "times_base_rate"', *_toml(self.proposed.limits)]
        for name, limits in self.own.items():
            quoted = name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
            lines += ["", f"[limits.segments.{quoted}]", *_toml(limits)]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "rule": self.rule,
            "dates": self.dates,
            "churned": self.churned,
            "passes_gate": self.passes,
            "refused_version": self.refused,
            "now": self.now.to_json(),
            "proposed": self.proposed.to_json(),
            "reds": [each.to_json() for each in self.reds],
            "yellows": [each.to_json() for each in self.yellows],
            "segments": {
                name: {"limits_of_all": general.to_json(), "limits_of_its_own": own.to_json()}
                for name, (general, own) in self.segments.items()
            },
            "with_limits_of_segments": None if self.with_own is None else self.with_own.to_json(),
            "toml": self.toml(),
        }


def propose(
    record: Record, grounds: Grounds, red_capacity: float, flagged_capacity: float, gate: Gate
) -> Proposal:
    """Choose limits with which at most these shares of accounts are red, and red or yellow.

    Red first: of the limits within capacity that the gate's colour bar lets through the one whose red
    accounts hold most of the churn; where several hold as much, the one whose colours flip least. Then yellow
    likewise, over all flagged. Where the bar lets none through, as if there were none.
    Raises: ConfigError where there are too few dates, or too few accounts that left.
    """
    if record.dates < LEAST_DATES or record.churned < LEAST_CHURNED:
        raise ConfigError(
            f"the model's out-of-time predictions hold {record.dates} dates and {record.churned} accounts "
            f"that left; limits are proposed from {LEAST_DATES} dates and {LEAST_CHURNED} such accounts on. "
            "Leave serving/health.toml as it is until then."
        )
    now = _caught(record, grounds, grounds.health.file.limits)
    proposed, reds, yellows = _choose(record, grounds, red_capacity, flagged_capacity, gate)
    names = sorted(str(name) for name in record.rows["segment"].dropna().unique())
    segments = {}
    for name in names:
        part = record.of(name)
        if part.churned >= LEAST_CHURNED and part.dates >= LEAST_DATES:
            own, _, _ = _choose(part, grounds, red_capacity, flagged_capacity, gate)
            segments[name] = (_caught(part, grounds, proposed.limits), own)
    wanted = {name: own.limits for name, (general, own) in segments.items() if _better(own, general)}
    with_own = _caught(record, grounds, proposed.limits, wanted) if wanted else None
    # Limits by segment have to earn their place: more churn among no more accounts than a team can carry.
    kept = (
        with_own is not None
        and _better(with_own, proposed)
        and with_own.red_share <= red_capacity
        and with_own.flagged_share <= flagged_capacity
        and with_own.passes(gate) >= proposed.passes(gate)
    )
    return Proposal(
        now=now,
        proposed=proposed,
        reds=reds,
        yellows=yellows,
        segments=segments,
        own=wanted if kept else {},
        with_own=with_own,
        rule=record.rule,
        dates=record.dates,
        churned=record.churned,
        passes=(with_own if kept and with_own is not None else proposed).passes(gate),
        refused=record.refused,
    )


def _better(one: Caught, other: Caught) -> bool:
    return one.caught + one.caught_flagged > other.caught + other.caught_flagged + _SAME


def _choose(
    record: Record, grounds: Grounds, red_capacity: float, flagged_capacity: float, gate: Gate
) -> tuple[Caught, tuple[Caught, ...], tuple[Caught, ...]]:
    # Whether an account is red does not depend on yellow's limits, so red is chosen first, beside any yellow.
    reds = [
        _caught(
            record, grounds, _limits(Limit(enter=enter, exit=round(enter * left, 2)), _under(enter, left))
        )
        for enter in RED_FROM
        for left in LEFT_AT
    ]
    red = _best(
        reds,
        red_capacity,
        lambda each: each.red_share,
        lambda each: each.caught,
        lambda each: each.red_passes(gate),
    ).limits.red
    both = [
        _caught(record, grounds, _limits(red, Limit(enter=enter, exit=round(enter * left, 2))))
        for enter in YELLOW_FROM
        for left in LEFT_AT
        if enter < red.enter and round(enter * left, 2) < red.exit
    ]
    chosen = _best(
        both,
        flagged_capacity,
        lambda each: each.flagged_share,
        lambda each: each.caught_flagged,
        lambda each: each.passes(gate),
    )
    return chosen, tuple(reds), tuple(both)


def _best(
    choices: Sequence[Caught],
    capacity: float,
    share: Callable[[Caught], float],
    caught: Callable[[Caught], float],
    passes: Callable[[Caught], bool],
) -> Caught:
    """Return the choice within capacity that holds most churn; where none is, the one that flags fewest.

    Choices the gate would refuse a model for count only where it would for all of them.
    """
    within = [each for each in choices if share(each) <= capacity]
    if not within:
        return min(choices, key=share)
    within = [each for each in within if passes(each)] or within
    most = max(map(caught, within))
    equal = [each for each in within if caught(each) >= most - _SAME]
    # Of limits that flag the very same accounts the highest leaves most room for those below it.
    return min(equal, key=lambda each: (each.flips, share(each), -each.limits.red.enter))


def _under(enter: float, left: float) -> Limit:
    """Return a limit of yellow under one of red, where only red is looked at."""
    return Limit(enter=round(enter * left / 2, 2), exit=round(enter * left / 4, 2))


def _limits(red: Limit, yellow: Limit) -> ColorLimits:
    return ColorLimits(red=red, yellow=yellow)


def _caught(
    record: Record,
    grounds: Grounds,
    limits: ColorLimits,
    own: Mapping[str, ColorLimits] | None = None,
) -> Caught:
    rows = record.rows
    colour = by_machine(
        rows[["account_id", "as_of", "segment", "risk"]].assign(reason="unknown"),
        record.base_rate,
        _with_limits(grounds, limits, own or {}),
    )
    left, date = rows["outcome"].to_numpy(dtype=np.float64), pd.factorize(rows["as_of"])[0]
    said = rows["rule"].to_numpy(dtype=np.float64)
    red, flagged = colour == 2, colour >= 1

    def share(chosen: npt.NDArray[Any]) -> float:
        return float((left * chosen).sum() / left.sum()) if left.any() else math.nan

    return Caught(
        limits=limits,
        accounts=len(rows) / record.dates,
        red=float(red.sum()) / record.dates,
        flagged=float(flagged.sum()) / record.dates,
        caught=share(red),
        caught_flagged=share(flagged),
        rule=share(rule_flags(said, date, red)),
        rule_flagged=share(rule_flags(said, date, flagged)),
        odds=_odds(left, red),
        flips=_flips(rows, colour),
    )


def _with_limits(grounds: Grounds, limits: ColorLimits, own: Mapping[str, ColorLimits]) -> Grounds:
    if isinstance(limits, Limits):
        return grounds
    health = grounds.health
    given = Limits(unit="times_base_rate", red=limits.red, yellow=limits.yellow, segments=dict(own))
    return replace(grounds, health=replace(health, file=health.file.model_copy(update={"limits": given})))


def _odds(left: npt.NDArray[np.float64], red: npt.NDArray[np.bool_]) -> float:
    if not red.any():
        return math.nan
    among, stayed = float(left[red].sum()), float((1 - left[red]).sum())
    # Half an account on each side: where every red account left, the odds are high, not unknown.
    return (among + 0.5) / (stayed + 0.5) * (float((1 - left).sum()) + 0.5) / (float(left.sum()) + 0.5)


def _flips(rows: pd.DataFrame, colour: Colours) -> float:
    """Return changes of colour per account and quarter between the dates there are."""
    ordered = rows[["account_id", "as_of"]].assign(colour=colour).sort_values(["account_id", "as_of"])
    same = ordered["account_id"].eq(ordered["account_id"].shift())
    days = ordered["as_of"].diff().dt.days.where(same).sum()
    changed = (ordered["colour"].ne(ordered["colour"].shift()) & same).sum()
    return float(changed / (days / _QUARTER_DAYS)) if days else math.nan


def _toml(limits: ColorLimits) -> Iterable[str]:
    for color in ("red", "yellow"):
        limit: Limit = getattr(limits, color)
        yield f"{color} = {{ enter = {limit.enter}, exit = {limit.exit} }}"
