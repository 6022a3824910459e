"""What people say about an account: a colour of their own, how it feels, and what was decided.

Each word is kept as it was said and stands beside the model's colour; no score, reason or colour rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from lifecycle_ml.actions.action import CHECKPOINTS
from lifecycle_ml.errors import LifecycleError, did_you_mean

if TYPE_CHECKING:
    from lifecycle_ml.health.state import Color

WordKind = Literal["override", "sentiment", "outcome", "decision"]
KINDS: Final[tuple[WordKind, ...]] = ("override", "sentiment", "outcome", "decision")
Feeling = Literal["happy", "neutral", "unhappy"]
FEELINGS: Final[tuple[Feeling, ...]] = ("happy", "neutral", "unhappy")
Ending = Literal["renew", "contract", "expand", "leave"]
ENDINGS: Final[tuple[Ending, ...]] = ("renew", "contract", "expand", "leave")
COLORS: Final[tuple[Color, ...]] = ("green", "yellow", "red")
LONGEST_OVERRIDE: Final = timedelta(days=180)
LATEST_DUE: Final = timedelta(days=730)
_WORDS_OF: Final[Mapping[Ending, str]] = {
    "renew": "renews as it is",
    "contract": "renews for less",
    "expand": "renews for more",
    "leave": "leaves",
}


class AccountWordError(LifecycleError):
    """A word that cannot be said about this account: the message says why, and what can be."""

    exit_code = 2


@dataclass(frozen=True)
class Override:
    """A colour of a person's own, for a reason, until a day (that day included); color None ends it."""

    color: Color | None
    reason: str
    until: date | None = None


@dataclass(frozen=True)
class Sentiment:
    """How the account feels to somebody who knows it."""

    value: Feeling
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a checkpoint came to; `checkpoint` None is the one whose time it is."""

    outcome: Ending
    checkpoint: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Decision:
    """What a review decided, who decided it, what happens next, and by when."""

    decision: str
    decided_by: str
    next_step: str
    due: date


AccountWord = Override | Sentiment | Outcome | Decision


@dataclass(frozen=True)
class Said:
    """One word as it is kept: `details` are its fields as plain values, dates as text.

    `at` is naive UTC. An outcome's details name the renewal it is about (`renewal_on`).
    """

    kind: WordKind
    account_id: str
    at: datetime
    by: str
    details: Mapping[str, Any]

    @property
    def says(self) -> str:
        """The word as a sentence, without who said it and when."""
        told = self.details
        match self.kind:
            case "override":
                if told["color"] is None:
                    return f"ended the colour people had set: {told['reason']}"
                return f"set the account to {told['color']} until {told['until']}: {told['reason']}"
            case "sentiment":
                return f"{told['value']}{_after(told['note'])}"
            case "outcome":
                ending = _WORDS_OF[told["outcome"]]
                return (
                    f"{told['checkpoint']} days before {told['renewal_on']}: {ending}{_after(told['note'])}"
                )
            case "decision":
                return (
                    f"{told['decision']}; decided by {told['decided_by']}, next: {told['next_step']}, "
                    f"due {told['due']}"
                )

    def to_json(self) -> dict[str, Any]:
        """Return what is served of it, `at` left to whoever writes instants."""
        return {"kind": self.kind, "by": self.by, "says": self.says, "details": dict(self.details)}


def say(
    account_id: str, word: AccountWord, by: str, at: datetime, renewal: Mapping[str, Any] | None = None
) -> Said:
    """Return a person's word as it is kept; `at` is naive UTC.

    `renewal` is the document of the renewal ahead (`Renewal.to_json`), None where there is none; only
    outcomes read it. Raises: AccountWordError for a word that says too little, a day that lies in the past or
    too far ahead, a word that is on no list, or an outcome where no such checkpoint is.
    """
    today = at.date()
    by = _required(by, "a word needs somebody who says it")
    match word:
        case Override():
            details = _override(word, today)
            kind: WordKind = "override"
        case Sentiment(value, note):
            details, kind = (
                {"value": _listed(value, FEELINGS, "sentiment"), "note": note.strip()},
                "sentiment",
            )
        case Outcome():
            details, kind = _outcome(account_id, word, renewal), "outcome"
        case Decision(decision, decided_by, next_step, due):
            if not today <= due <= today + LATEST_DUE:
                raise AccountWordError(
                    f"a next step cannot be due on {due}; choose a day from {today} to {today + LATEST_DUE}."
                )
            details = {
                "decision": _required(decision, "a decision needs words; say what was decided"),
                "decided_by": _required(decided_by, "a decision needs somebody who took it"),
                "next_step": _required(next_step, "a decision needs a next step; say what happens now"),
                "due": due.isoformat(),
            }
            kind = "decision"
    return Said(kind, account_id, at, by, details)


def stands(said: Said | None, today: date) -> bool:
    """Whether an override is still a person's colour on this day (UTC)."""
    if said is None or said.details["color"] is None:
        return False
    return today <= date.fromisoformat(said.details["until"])


def _override(word: Override, today: date) -> dict[str, Any]:
    reason = _required(word.reason, "a colour of your own needs a reason; say what the model does not know")
    if word.color is None:
        if word.until is not None:
            raise AccountWordError("ending a colour takes no day: leave `until` out.")
        return {"color": None, "reason": reason, "until": None}
    color = _listed(word.color, COLORS, "colour")
    last = today + LONGEST_OVERRIDE
    if word.until is None:
        raise AccountWordError(f"a colour of your own ends some day: give `until`, {last} at the latest.")
    if not today <= word.until <= last:
        raise AccountWordError(
            f"a colour of your own cannot last until {word.until}; choose a day from {today} to {last}."
        )
    return {"color": color, "reason": reason, "until": word.until.isoformat()}


def _outcome(account_id: str, word: Outcome, renewal: Mapping[str, Any] | None) -> dict[str, Any]:
    outcome = _listed(word.outcome, ENDINGS, "outcome")
    if word.checkpoint is not None and word.checkpoint not in CHECKPOINTS:
        known = ", ".join(map(str, CHECKPOINTS))
        raise AccountWordError(f"there is no {word.checkpoint}-day checkpoint; there are {known}.")
    dated = [] if renewal is None else renewal["checkpoints"]
    if renewal is None or not dated:
        raise AccountWordError(
            f"account {account_id} has no checkpoint ahead: no renewal is dated, or it is signed already."
        )
    reached = {each["checkpoint"]: each for each in dated if each["state"] != "ahead"}
    if word.checkpoint is None:
        now = next((each["checkpoint"] for each in dated if each["state"] == "now"), None)
        if now is None:
            first = dated[0]
            raise AccountWordError(
                f"no checkpoint of account {account_id} has been reached; the {first['checkpoint']}-day one "
                f"falls on {first['falls_on']}."
            )
        checkpoint = now
    elif word.checkpoint in reached:
        checkpoint = word.checkpoint
    else:
        there = ", ".join(map(str, reached)) or "none"
        raise AccountWordError(
            f"the {word.checkpoint}-day checkpoint of account {account_id} has not been reached, or the term "
            f"is too short for it; reached: {there}."
        )
    return {
        "outcome": outcome,
        "checkpoint": checkpoint,
        "renewal_on": renewal["renewal_on"],
        "note": word.note.strip(),
    }


def _required(text: str, otherwise: str) -> str:
    if not text.strip():
        raise AccountWordError(f"{otherwise}.")
    return text.strip()


def _listed(value: str, known: Sequence[str], what: str) -> str:
    if value not in known:
        raise AccountWordError(f"no {what} {value!r}.{did_you_mean(value, known)}")
    return value


def _after(note: str) -> str:
    return f": {note}" if note else ""
