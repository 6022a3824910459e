"""Which two readings of an account are compared when somebody asks why its risk moved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lifecycle_ml.store.document import instant_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle_ml.store.rows import Past

LOOK_BACK = timedelta(days=28)
"""How far before its anchor the earlier reading lies by default: most facts look back four weeks, so nearer
readings share most of theirs, and a risk is over its limit for a week before it turns the colour."""
REMEMBERED = 750
"""Readings looked through: two years of nights."""
SHOWN = 12
"""Dates offered where there is no reading on the one asked for."""


class NoSuchReadingError(Exception):
    """There is no reading on the date asked for; `dates` are those nearest to it, the newest first."""

    def __init__(self, says: str, parameter: str, dates: Sequence[date]) -> None:
        super().__init__(says)
        self.parameter = parameter
        self.dates = tuple(dates)


@dataclass(frozen=True)
class Pair:
    """Two readings of one account, the earlier and the later one."""

    account_id: str
    before: Past
    after: Past

    def to_json(self) -> dict[str, Any]:
        """Return the account and both readings in short."""
        return {
            "account_id": self.account_id,
            "from": _short(self.before),
            "to": _short(self.after),
        }


def choose_pair(
    account_id: str,
    past: Sequence[Past],
    first: date | None = None,
    last: date | None = None,
    *,
    nearest: bool = False,
) -> Pair | None:
    """Choose the readings to compare; None where the account has not two.

    past: the account's readings, the newest first. last: the later one's as_of, by default the newest.
    first: the earlier one's as_of; `nearest` takes the newest reading on that day or before it. By default
    the newest one at least four weeks older than the day the account took the colour it has in the later
    reading, or than the later reading itself where it has had that colour all along; where none is as old,
    the oldest.
    Raises: NoSuchReadingError where there is no reading on a date asked for, or none before the later one.
    """
    if len(past) < 2:
        return None
    after = past[0] if last is None else _on(past, last, "to")
    earlier = [each for each in past if each.publication.as_of < after.publication.as_of]
    if first is not None and first >= after.publication.as_of:
        raise NoSuchReadingError(
            f"from ({first}) must lie before to ({after.publication.as_of}).", "from", _dates(earlier)[:SHOWN]
        )
    if not earlier:
        raise NoSuchReadingError(
            f"The account has no reading before {after.publication.as_of}.", "to", _dates(past)[:SHOWN]
        )
    if first is None:
        return Pair(account_id, _before_it_began(earlier, after), after)
    if not nearest:
        return Pair(account_id, _on(earlier, first, "from"), after)
    older = [each for each in earlier if each.publication.as_of <= first]
    if not older:
        raise NoSuchReadingError(
            f"The account has no reading on {first} or before; its first is as of {_dates(earlier)[-1]}.",
            "from",
            _nearest(earlier, first),
        )
    return Pair(account_id, older[0], after)


def _before_it_began(earlier: Sequence[Past], after: Past) -> Past:
    anchor = after.publication.as_of
    since = date.fromisoformat(json.loads(after.body)["health"]["since"])
    if since > earlier[-1].publication.as_of:
        anchor = since
    old = (each for each in earlier if each.publication.as_of <= anchor - LOOK_BACK)
    return next(old, earlier[-1])


def _on(past: Sequence[Past], day: date, parameter: str) -> Past:
    found = next((each for each in past if each.publication.as_of == day), None)
    if found is None:
        raise NoSuchReadingError(
            f"The account has no reading as of {day}.", parameter, _nearest(past, day)
        ) from None
    return found


def _nearest(past: Sequence[Past], day: date) -> list[date]:
    near = sorted(_dates(past), key=lambda each: abs(each - day))[:SHOWN]
    return sorted(near, reverse=True)


def _dates(past: Sequence[Past]) -> list[date]:
    return [each.publication.as_of for each in past]


def _short(past: Past) -> dict[str, Any]:
    document = json.loads(past.body)
    churn, model = document["churn"], document["model"]["churn"]
    return {
        "as_of": str(past.publication.as_of),
        "scored_at": instant_text(past.publication.now),
        "publication_id": past.publication.publication_id,
        "color": document["health"]["color"],
        "band": churn["band"],
        "probability": churn["probability"],
        "source": churn["source"],
        "model": model,
        "reproduced": None,
        "receipt": past.receipt,
    }
