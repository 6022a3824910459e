"""What one more hour would bring: the work nobody has time for, by who would do it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Waiting:
    """One piece of work over capacity.

    `owner` is who would do it had they the hours, None where anybody of the role would; `lead` is who it went
    to instead. `arr_kept_per_hour` is what it is expected to keep per hour, in the book's currency.
    """

    owner_role: str
    owner: str | None
    lead: str | None
    hours: float
    arr_kept_per_hour: float | None


@dataclass(frozen=True)
class NextHour:
    """One person, or one role, with more work than hours.

    `actions` and `hours` are what is over capacity; `arr_kept` is the ARR that one hour more would be
    expected to keep, spent on the work that keeps most per hour.
    """

    owner_role: str
    owner: str | None
    lead: str | None
    actions: int
    hours: float
    arr_kept: float

    def concerns(self, owners: Collection[str] = (), roles: Collection[str] = ()) -> bool:
        """Tell whether one of `owners` has too little time here or leads who has, in one of `roles`.

        Empty: anybody, any role.
        """
        return (not owners or self.owner in owners or self.lead in owners) and (
            not roles or self.owner_role in roles
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def next_hours(waiting: Iterable[Waiting], hour: float = 1.0) -> list[NextHour]:
    """Return what `hour` more hours would bring to everybody with work over capacity, the most first.

    Work whose worth is not known counts as work, and brings nothing. Where less than the hour is waiting,
    the rest of it stays empty.
    """
    groups: dict[tuple[str, str | None], list[Waiting]] = {}
    for one in waiting:
        groups.setdefault((one.owner_role, one.owner), []).append(one)
    found = [
        NextHour(
            owner_role=role,
            owner=owner,
            lead=next((one.lead for one in works if one.lead is not None), None),
            actions=len(works),
            hours=round(sum(one.hours for one in works), 2),
            arr_kept=round(_spend(works, hour), 2),
        )
        for (role, owner), works in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.arr_kept, one.owner_role, one.owner or ""))


def _spend(works: Iterable[Waiting], hour: float) -> float:
    left, kept = hour, 0.0
    for one in sorted(works, key=lambda work: -(work.arr_kept_per_hour or 0.0)):
        spent = min(left, one.hours)
        kept += spent * (one.arr_kept_per_hour or 0.0)
        left -= spent
        if left <= 0:
            break
    return kept
