"""What other systems must be told: ledger events, per address, until each was delivered or given up.

The ledger itself is the outbox: an event is in it exactly if it happened, in the transaction in which it did.
Each address has a place in it up to which its events were taken over; what was taken over is delivered at
least once, the events of one account in their order.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from lifecycle_ml.errors import StoreError
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.engine import open_engine, say_store_error, writing
from lifecycle_ml.store.schema import deliveries, delivery_points, ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TOLD: Final = {
    "opened": "action.opened",
    "escalated": "action.escalated",
    "done": "action.closed",
    "dismissed": "action.closed",
    "closed": "action.closed",
}
"""The ledger's events that are delivered, each with the type it is delivered as."""
LOOKS_BACK: Final = timedelta(days=1)
"""A new address gets what happened this long before it is first delivered to, and nothing older."""
LEASE: Final = timedelta(minutes=10)
"""How long a delivery is left to whoever began it; if they were killed, it is due again then."""
_SHOWN = (
    "account_id",
    "action_id",
    "playbook",
    "kind",
    "title",
    "owner_role",
    "owner",
    "opened_at",
    "due_at",
    "why",
    "escalates_to",
    "escalates_at",
    "status",
    "arr_kept_per_hour",
)


class NoSuchDeliveryError(StoreError):
    """No delivery that was given up has the id that was asked for."""

    exit_code = 2


@dataclass(frozen=True)
class Delivery:
    """One event for one address. `message_id` is the same at every attempt, and for every address."""

    endpoint: str
    event_id: int
    message_id: str
    account_id: str
    attempts: int
    document: Mapping[str, Any]
    changed_at: datetime
    error: str | None


class Outbox:
    """Deliveries in the store at one address. Open it with `Outbox.open`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Outbox:
        """Open it, making its tables where they are missing. Raises: as `Store.open`."""
        return cls(open_engine(url))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def take_over(self, endpoints: Sequence[str], now: datetime) -> int:
        """Take over what happened since the last time, due at once; return how many deliveries that makes."""
        added = 0
        with self._writing() as connection:
            for endpoint in endpoints:
                place = self._place(connection, endpoint, now)
                news = sa.select(ledger.c.event_id, ledger.c.account_id).where(
                    ledger.c.event_id > place, ledger.c.kind.in_(tuple(TOLD))
                )
                rows = [
                    {
                        "endpoint": endpoint,
                        "event_id": row.event_id,
                        "account_id": row.account_id,
                        "status": "due",
                        "attempts": 0,
                        "due_at": now,
                        "changed_at": now,
                    }
                    for row in connection.execute(news)
                ]
                newest = connection.execute(sa.select(sa.func.max(ledger.c.event_id))).scalar() or place
                if rows:
                    connection.execute(sa.insert(deliveries), rows)
                connection.execute(sa.delete(delivery_points).where(delivery_points.c.endpoint == endpoint))
                connection.execute(sa.insert(delivery_points).values(endpoint=endpoint, event_id=newest))
                added += len(rows)
        return added

    def claim(self, endpoint: str, now: datetime, most: int) -> list[Delivery]:
        """Take up to `most` deliveries that are due, the oldest first, and lease them.

        Of one account only its first undelivered event is given, so that the next is not sent before it.
        """
        first = (
            sa.select(deliveries.c.account_id, sa.func.min(deliveries.c.event_id).label("event_id"))
            .where(deliveries.c.endpoint == endpoint, deliveries.c.status == "due")
            .group_by(deliveries.c.account_id)
            .subquery()
        )
        question = (
            sa.select(deliveries, ledger)
            .join(first, deliveries.c.event_id == first.c.event_id)
            .join(ledger, ledger.c.event_id == deliveries.c.event_id)
            .where(deliveries.c.endpoint == endpoint, deliveries.c.due_at <= now)
            .order_by(deliveries.c.event_id)
            .limit(most)
        )
        with self._writing() as connection:
            found = [_delivery(row) for row in connection.execute(question)]
            for each in found:
                connection.execute(_its_own(each, sa.update(deliveries)).values(due_at=now + LEASE))
        return found

    def sent(self, delivery: Delivery, now: datetime) -> None:
        """Keep that a delivery was taken."""
        self._change(delivery, status="sent", attempts=delivery.attempts + 1, error=None, changed_at=now)

    def failed(self, delivery: Delivery, error: str, now: datetime, again_at: datetime | None) -> None:
        """Keep that an attempt failed: due again at `again_at`, or given up where it is None."""
        self._change(
            delivery,
            status="dead" if again_at is None else "due",
            attempts=delivery.attempts + 1,
            error=error,
            due_at=again_at or now,
            changed_at=now,
        )

    def put_back(self, delivery: Delivery, now: datetime) -> None:
        """Give back a claimed delivery that was not attempted: it is due at once."""
        self._change(delivery, due_at=now)

    def dead(self) -> list[Delivery]:
        """Return the deliveries that were given up, the oldest first."""
        question = (
            sa.select(deliveries, ledger)
            .join(ledger, ledger.c.event_id == deliveries.c.event_id)
            .where(deliveries.c.status == "dead")
            .order_by(deliveries.c.event_id, deliveries.c.endpoint)
        )
        with say_store_error(self._engine), self._engine.connect() as connection:
            return [_delivery(row) for row in connection.execute(question)]

    def retry(self, message_id: str, now: datetime) -> int:
        """Make what was given up under this id due again, with all its attempts; return how many addresses.

        Raises: NoSuchDeliveryError if nothing was given up under it.
        """
        found = [each for each in self.dead() if each.message_id == message_id]
        if not found:
            raise NoSuchDeliveryError(
                f"no delivery with the id {message_id} was given up. `lifecycle deliver --dead` lists them."
            )
        for each in found:
            self._change(each, status="due", attempts=0, due_at=now, changed_at=now)
        return len(found)

    def waiting(self) -> dict[str, int]:
        """Return how many deliveries are due now or later, by address."""
        question = (
            sa.select(deliveries.c.endpoint, sa.func.count().label("how_many"))
            .where(deliveries.c.status == "due")
            .group_by(deliveries.c.endpoint)
        )
        with say_store_error(self._engine), self._engine.connect() as connection:
            return {row.endpoint: row.how_many for row in connection.execute(question)}

    def _place(self, connection: sa.Connection, endpoint: str, now: datetime) -> int:
        known = sa.select(delivery_points.c.event_id).where(delivery_points.c.endpoint == endpoint)
        place = connection.execute(known).scalar()
        if place is None:
            lately = sa.select(sa.func.min(ledger.c.event_id)).where(ledger.c.at >= now - LOOKS_BACK)
            first = connection.execute(lately).scalar()
            newest = connection.execute(sa.select(sa.func.max(ledger.c.event_id))).scalar() or 0
            # an escalation is dated when it fell due, so what is older may stand behind what is not
            place = newest if first is None else first - 1
        return place

    def _change(self, delivery: Delivery, **values: Any) -> None:
        with self._writing() as connection:
            connection.execute(_its_own(delivery, sa.update(deliveries)).values(**values))

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with say_store_error(self._engine), writing(self._engine) as connection:
            yield connection


def message_id_of(action_id: str, event_id: int) -> str:
    """Return the id receivers know an event by: the same whenever and wherever it is sent."""
    return f"evt_{hashlib.sha256(f'{action_id} {event_id}'.encode()).hexdigest()[:24]}"


def _its_own(delivery: Delivery, statement: sa.Update) -> sa.Update:
    return statement.where(
        deliveries.c.endpoint == delivery.endpoint, deliveries.c.event_id == delivery.event_id
    )


def _delivery(row: sa.Row[Any]) -> Delivery:
    told = row._mapping  # noqa: SLF001 - the documented way to a row's columns by table
    action = told[ledger.c.action]
    document = {
        "type": TOLD[told[ledger.c.kind]],
        "timestamp": instant_text(told[ledger.c.at]),
        "data": {
            "event": told[ledger.c.kind],
            "because": told[ledger.c.because],
            "by": told[ledger.c.by],
            "action": {name: action.get(name) for name in _SHOWN},
        },
    }
    return Delivery(
        endpoint=told[deliveries.c.endpoint],
        event_id=told[deliveries.c.event_id],
        message_id=message_id_of(told[ledger.c.action_id], told[deliveries.c.event_id]),
        account_id=told[deliveries.c.account_id],
        attempts=told[deliveries.c.attempts],
        document=document,
        changed_at=told[deliveries.c.changed_at],
        error=told[deliveries.c.error],
    )
