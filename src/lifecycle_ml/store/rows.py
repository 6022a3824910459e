"""What goes into the store and what comes out of it, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lifecycle_ml.actions.account_words import stands
from lifecycle_ml.store.document import Live, dumps, encode, instant_text
from lifecycle_ml.store.schema import naive_utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lifecycle_ml.actions.account_words import Said

Kind = Literal["nightly", "history"]
Sort = Literal["arr_at_risk", "risk", "renewal", "name", "arr"]
LONGEST_ID = 255
"""Characters of the longest account id a question may carry; a longer one is answered `not_found`."""


def storable(text: str) -> bool:
    """Whether a database can hold the text as an id: not longer than any id, no NUL, no half characters."""
    return len(text) <= LONGEST_ID and "\0" not in text and _encodes(text)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Publication:
    """One result for all accounts. `now` is the recorded clock of its run; instants are naive UTC."""

    publication_id: int
    as_of: date
    known_at: datetime
    now: datetime
    kind: Kind
    digests: dict[str, Any]
    attempt: int = 1
    """Which run works on it: once a later one began, an earlier one can no longer write."""
    published_at: datetime | None = None
    """The recorded now of its publishing; None while it is being built."""
    accounts: int | None = None


@dataclass(frozen=True)
class Before:
    """What an account's last reading of an earlier as_of left to the next: `state` is its health as JSON."""

    as_of: date
    state: str
    receipt: str
    stage: str | None


@dataclass(frozen=True)
class StoredReading:
    """One account in one publication: the answer's bytes, and the columns lists are made from.

    `body` is the document of one scored account with its live parts empty (see `document.encode`); `state`
    is the health state as JSON, for the next run only. `risk` is the inside value 0..1 (None: cannot tell).
    `renewal` and `triggers` are JSON: the renewal with its checkpoints (None: none ahead), and the triggers
    that fired (None: none did).
    """

    account_id: str
    body: bytes
    receipt: str
    state: str
    health: str
    band: str
    name: str | None = None
    segment: str | None = None
    owner: str | None = None
    risk: float | None = None
    arr: float | None = None
    arr_at_risk: float | None = None
    reason: str | None = None
    stage: str | None = None
    expansion_band: str | None = None
    renewal_on: date | None = None
    renewal: str | None = None
    triggers: str | None = None

    @property
    def called(self) -> str:
        """Name and id, case-folded: what a search looks in and names are sorted by."""
        return f"{(self.name or self.account_id).casefold()}\n{self.account_id.casefold()}"

    @classmethod
    def of(
        cls,
        document: Mapping[str, Any],
        *,
        state: str,
        risk: float | None,
        name: str | None = None,
        renewal: Mapping[str, Any] | None = None,
    ) -> StoredReading:
        """Take everything a reading needs from the document itself, so the two cannot disagree.

        `renewal` is the document of the renewal with its checkpoints, which the scored account does not hold.
        """
        scorecard, reasons = document["scorecard"], document["reasons"]
        renewal_date, triggers = scorecard["renewal_date"], document["triggers"]
        return cls(
            account_id=document["account_id"],
            body=encode(document),
            receipt=document["receipt"],
            state=state,
            health=document["health"]["color"],
            band=document["churn"]["band"],
            name=name,
            segment=scorecard["account_segment"],
            owner=scorecard["owner"],
            risk=risk,
            arr=scorecard["contract_value"],
            arr_at_risk=document["health"]["arr_at_risk"],
            reason=reasons[0]["category"] if reasons else "unknown",
            stage=document["stage"],
            expansion_band=document["expansion"]["band"],
            renewal_on=date.fromisoformat(renewal_date) if renewal_date else None,
            renewal=dumps(renewal).decode() if renewal else None,
            triggers=dumps(triggers).decode() if triggers else None,
        )


@dataclass(frozen=True)
class Unscored:
    """An account a publication knew of and left out, with the reason in words."""

    account_id: str
    why: str


@dataclass(frozen=True)
class OnboardingStart:
    """What must be true before an account's onboarding starts, as `actions.stages.starts_of` found it."""

    account_id: str
    criteria: list[dict[str, Any]]


@dataclass(frozen=True)
class Listed:
    """One row of a list: what it was found by, and the reading's bytes."""

    account_id: str
    name: str | None
    segment: str | None
    owner: str | None
    health: str
    band: str
    arr: float | None
    arr_at_risk: float | None
    reason: str | None
    stage: str | None
    expansion_band: str | None
    renewal_on: date | None
    renewal_json: str | None
    triggers_json: str | None
    body: bytes

    @property
    def renewal(self) -> dict[str, Any] | None:
        """The renewal with its checkpoints, None where none is ahead."""
        found: dict[str, Any] | None = json.loads(self.renewal_json) if self.renewal_json else None
        return found

    @property
    def triggers(self) -> list[dict[str, Any]]:
        """The triggers that fired."""
        found: list[dict[str, Any]] = json.loads(self.triggers_json) if self.triggers_json else []
        return found


@dataclass(frozen=True)
class Past:
    """One earlier reading of an account."""

    publication: Publication
    body: bytes
    receipt: str


@dataclass(frozen=True)
class Mix:
    """The accounts of one colour: how many, their ARR and their ARR at risk (accounts without one add 0)."""

    accounts: int
    arr: float
    arr_at_risk: float


@dataclass
class Words:
    """The last override and the last sentiment of one account, None where nobody said one."""

    override: Said | None = None
    sentiment: Said | None = None

    def live(self, now: datetime, actions: Sequence[Mapping[str, Any]]) -> Live:
        """Return what is joined with the account's reading now: an override that has run out is none."""
        override = sentiment = None
        if self.override is not None and stands(self.override, naive_utc(now).date()):
            told = self.override.details
            override = {
                "color": told["color"],
                "reason": told["reason"],
                "by": self.override.by,
                "until": told["until"],
            }
        if self.sentiment is not None:
            sentiment = {
                "value": self.sentiment.details["value"],
                "by": self.sentiment.by,
                "at": instant_text(self.sentiment.at),
            }
        return Live(now, actions, override, sentiment)


class HasLive(Protocol):
    """Accounts read together with what is live about them."""

    @property
    def actions(self) -> Mapping[str, list[dict[str, Any]]]:
        """Unfinished actions by account."""
        ...

    @property
    def words(self) -> Mapping[str, Words]:
        """What people last said, by account."""
        ...


@dataclass(frozen=True)
class AccountFilters:
    """Which accounts; empty means all. Several values of one kind are alternatives, kinds are joined by and.

    The renewal window is half open: `renewal_from <= renewal_on < renewal_before`.
    """

    health: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    stage: tuple[str, ...] = ()
    segment: tuple[str, ...] = ()
    reason: tuple[str, ...] = ()
    expansion_band: tuple[str, ...] = ()
    renewal_from: date | None = None
    renewal_before: date | None = None
    text: str | None = None
    """Part of the name or the id, upper and lower case alike."""


@dataclass(frozen=True)
class ActionFilters:
    """Which actions; empty means all."""

    status: tuple[str, ...] = ()
    owner: tuple[str, ...] = ()
    owner_role: tuple[str, ...] = ()
    account_id: tuple[str, ...] = ()
    due_before: datetime | None = None


@dataclass(frozen=True)
class Page:
    """A part of a list: the rows, the publication they were read from, and where the next part begins."""

    rows: list[Any]
    publication: Publication | None
    next: str | None = None
    actions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The unfinished actions of listed accounts, read at the same moment."""
    words: dict[str, Words] = field(default_factory=dict)
    """What people last said of listed accounts, read at the same moment."""

    def live(self, account_id: str, now: datetime) -> Live:
        """Return what is joined with an account's reading on reading it."""
        return live_of(self, account_id, now)


def live_of(found: HasLive, account_id: str, now: datetime) -> Live:
    """Return the live parts of an account among those that were read together."""
    actions, words = found.actions.get(account_id, ()), found.words.get(account_id)
    return Live(now, actions) if words is None else words.live(now, actions)
