"""What a playbook changed: offered against held out, its interval, and the accounts still needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import Any, Final, Literal

from lifecycle_ml.actions.action import Arm

LEVEL: Final = 0.95
POWER: Final = 0.8

Outcome = Literal["churn", "expansion"]


@dataclass(frozen=True)
class Group:
    """One arm: how many accounts, and in how many of them the outcome came about."""

    count: int
    events: int

    @property
    def rate(self) -> float | None:
        """Share with the outcome, 0..1; None where there is no account."""
        return self.events / self.count if self.count else None


@dataclass(frozen=True)
class Interval:
    """A difference of two shares (first minus second, -1..1) with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Case:
    """One draw and what came of it. `happened` is None until the horizon has passed.

    `expected` is the probability of the outcome as scored at the draw, None where it is not known.
    """

    account_id: str
    playbook: str
    day: int
    arm: Arm
    share: float
    done: bool
    expected: float | None
    happened: bool | None


@dataclass(frozen=True)
class Effect:
    """What is known of one playbook or trigger.

    offered, held_out: accounts whose horizon has passed; waiting: those for whom it has not; delivered: share
    of the offered for whom a step was completed. effect: the improvement by offering it (intention to treat),
    churn avoided or expansion added, in shares; None where an arm is empty. stated: the improvement looked
    for; needed: accounts still to be drawn (both arms) to find it with 80% power, None where it cannot be
    told. naive: the improvement as before and after would tell it, which is no effect.
    """

    playbook: str
    outcome: Outcome
    horizon_days: int
    share: float
    offered: Group
    held_out: Group
    waiting: int
    delivered: float | None
    effect: Interval | None
    stated: float | None
    needed: int | None
    naive: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `actions --effects --json`."""
        arms = {
            name: {"accounts": arm.count, "events": arm.events, "rate": arm.rate}
            for name, arm in (("offered", self.offered), ("held_out", self.held_out))
        }
        told = self.effect
        return {
            "playbook": self.playbook,
            "outcome": self.outcome,
            "horizon_days": self.horizon_days,
            "hold_out": self.share,
            **arms,
            "waiting": self.waiting,
            "delivered": self.delivered,
            "effect": None if told is None else {"value": told.value, "low": told.low, "high": told.high},
            "stated_effect": self.stated,
            "accounts_still_needed": self.needed,
            "naive_before_after": self.naive,
        }


def measure_effect(
    playbook: str,
    cases: Iterable[Case],
    outcome: Outcome,
    horizon_days: int,
    *,
    claims: float | None = None,
    stated: float | None = None,
) -> Effect:
    """Estimate the effect of one playbook from its randomised draws (those with a share above 0).

    An account counts once per horizon. The effect looked for is `stated` (in shares), else `claims` times the
    held-out rate: the part of the loss the playbook claims to keep.
    """
    drawn = independent((case for case in cases if case.share > 0), horizon_days)
    known = [case for case in drawn if case.happened is not None]
    offered = [case for case in known if case.arm == "offered"]
    held = [case for case in known if case.arm == "held_out"]
    treated, control = _group(offered), _group(held)
    sign = -1.0 if outcome == "churn" else 1.0
    if stated is None and claims is not None and control.rate:
        stated = claims * control.rate
    share = drawn[-1].share if drawn else 0.0
    return Effect(
        playbook=playbook,
        outcome=outcome,
        horizon_days=horizon_days,
        share=share,
        offered=treated,
        held_out=control,
        waiting=len(drawn) - len(known),
        delivered=fmean(case.done for case in offered) if offered else None,
        effect=_improvement(treated, control, sign),
        stated=stated,
        needed=_still_needed(control, sign, stated, share, len(drawn)),
        naive=_naive(offered, sign),
    )


def independent(cases: Iterable[Case], horizon_days: int) -> list[Case]:
    """Return the draws that count, by day: of one account and playbook none inside the horizon of another."""
    last: dict[tuple[str, str], int] = {}
    kept = []
    for case in sorted(cases, key=lambda case: (case.day, case.account_id)):
        key = (case.account_id, case.playbook)
        if key not in last or case.day >= last[key] + horizon_days:
            last[key] = case.day
            kept.append(case)
    return kept


def difference(first: Group, second: Group) -> Interval:
    """Return the difference of two shares with Newcombe's 95% interval (1998, method 10: Wilson scores).

    Both groups must have an account. It never leaves [-1, 1], and is wide where there are few accounts.
    """
    p, q = first.events / first.count, second.events / second.count
    (low_p, high_p), (low_q, high_q) = wilson(first), wilson(second)
    return Interval(
        value=p - q,
        low=p - q - math.hypot(p - low_p, high_q - q),
        high=p - q + math.hypot(high_p - p, q - low_q),
    )


def wilson(group: Group) -> tuple[float, float]:
    """Return Wilson's 95% score interval of a share."""
    z, n, p = _quantile(LEVEL), group.count, group.events / group.count
    center = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, center - half), min(1.0, center + half)


def accounts_needed(rate: float, other: float, share: float) -> int:
    """Return how many accounts, both arms together, find `other` against `rate` four times in five.

    `rate` is that of the held out, whose part is `share` (0..1). Two-sided at 5%, normal approximation.
    """
    spread = rate * (1 - rate) / share + other * (1 - other) / (1 - share)
    z = _quantile(LEVEL) + NormalDist().inv_cdf(POWER)
    return math.ceil(z * z * spread / (rate - other) ** 2)


def planned_width(rate: float, other: float, held_out: int, offered: int) -> float:
    """Return the width of the usual 95% interval for two proportions at known rates and sizes."""
    return 2 * _quantile(LEVEL) * math.sqrt(rate * (1 - rate) / held_out + other * (1 - other) / offered)


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)


def _group(cases: Sequence[Case]) -> Group:
    return Group(len(cases), sum(bool(case.happened) for case in cases))


def _improvement(offered: Group, held_out: Group, sign: float) -> Interval | None:
    if not offered.count or not held_out.count:
        return None
    return difference(offered, held_out) if sign > 0 else difference(held_out, offered)


def _still_needed(control: Group, sign: float, stated: float | None, share: float, drawn: int) -> int | None:
    if control.rate is None or not stated or not 0 < share < 1:
        return None
    other = control.rate + sign * stated
    if not 0 <= other <= 1:
        return None
    return max(0, accounts_needed(control.rate, other, share) - drawn)


def _naive(offered: Sequence[Case], sign: float) -> float | None:
    """Return what before and after would tell: scored when offered, against what came where work was done."""
    done = [
        (case.expected, bool(case.happened)) for case in offered if case.done and case.expected is not None
    ]
    if not done:
        return None
    before, after = fmean(expected for expected, _ in done), fmean(happened for _, happened in done)
    return sign * (after - before)
