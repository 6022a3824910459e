"""The ten parts of a lifecycle motion, and what a workspace has of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["defined", "incomplete", "missing", "contradictory"]
_TEAMS = ("product", "product_marketing", "finance", "operations")


@dataclass(frozen=True)
class Part:
    """One of the ten parts.

    defined: what is agreed, in lines people can read; missing and contradicts: what is not; where: the files
    that say so; owner: the role that decides when it changes, None where nobody does; standard: every file it
    stands in comes from the standard workspace, so nobody here has written it down for this company.
    """

    name: str
    title: str
    defined: tuple[str, ...]
    missing: tuple[str, ...]
    contradicts: tuple[str, ...]
    where: tuple[str, ...]
    owner: str | None
    standard: bool

    @property
    def state(self) -> State:
        """What there is of it, the worst first."""
        if self.contradicts:
            return "contradictory"
        if not self.defined:
            return "missing"
        return "incomplete" if self.missing else "defined"

    def to_json(self) -> dict[str, Any]:
        """Return the part as `check motion --json` prints it."""
        return {
            "part": self.name,
            "title": self.title,
            "state": self.state,
            "defined": list(self.defined),
            "missing": list(self.missing),
            "contradicts": list(self.contradicts),
            "where": list(self.where),
            "owner": self.owner,
            "standard": self.standard,
        }


@dataclass(frozen=True)
class Motion:
    """The ten parts of one workspace, in their order."""

    parts: tuple[Part, ...]

    @property
    def ok(self) -> bool:
        """Whether all ten are defined."""
        return self.counts["defined"] == len(self.parts)

    @property
    def counts(self) -> dict[State, int]:
        """How many parts are in each state."""
        states: tuple[State, ...] = ("defined", "incomplete", "missing", "contradictory")
        return {state: sum(part.state == state for part in self.parts) for state in states}

    def to_json(self) -> dict[str, Any]:
        """Return the motion as `check motion --json` prints it."""
        return {"ok": self.ok, "counts": self.counts, "parts": [part.to_json() for part in self.parts]}


def role_in_words(role: str) -> str:
    """Return a role as people say it, to be read after "the"."""
    words = {"csm": "success manager", "cs_lead": "head of customer success", "vp_cs": "VP customer success"}
    said = words.get(role, role.replace("_", " "))
    return f"{said} team" if role in _TEAMS else said
