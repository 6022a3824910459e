"""Larger random companies: customers enough to compare with each other, and years of history behind them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pandas as pd

from lifecycle_ml.tables.schema import SCHEMAS, Type

BEGINS = datetime.fromisoformat("2022-03-01")
DAYS = 1200
AS_OF = (datetime.fromisoformat("2024-12-30"), datetime.fromisoformat("2025-03-24"))
"""Days 84 apart, 1000 and more days after the first account."""

_ROLES = ("champion", "executive_sponsor", "admin", "user", "billing")
_LATE = (0, 0, 0, 0, 3600, 86_400, 5 * 86_400, 40 * 86_400)
Row = dict[str, Any]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0)


class Market:
    """Draws a company from a seed: the same seed, the same company.

    Most customers are of one segment, so that their thirds by size have ten members and more; those of the
    other are too few to be compared. Some accounts are children of others, some never buy.
    """

    def __init__(self, seed: int, accounts: int = 90, busy: float = 1.0) -> None:
        self._random = Random(seed)
        self._busy = busy
        self._created = {
            f"A{number:02}": BEGINS
            + timedelta(
                days=self._random.choice((0, 7, 150, 500, 900, 960, 1020)), hours=self._random.choice((0, 15))
            )
            for number in range(accounts)
        }
        names = ("contracts", "usage_events", "contacts", "touchpoints", "tickets", "invoices", "signals")
        # What a feed does not reach back to is not known.
        self._feeds = {name: BEGINS + timedelta(days=self._random.choice((0, 0, 300, 950))) for name in names}

    def frames(self) -> dict[str, pd.DataFrame]:
        """Every canonical table; of some the source does not say when rows became known."""
        rows = {
            "accounts": list(self._accounts()),
            "contracts": list(self._contracts()),
            "usage_events": list(self._events()),
            "contacts": list(self._contacts()),
            "touchpoints": list(self._touchpoints()),
            "tickets": list(self._tickets()),
            "milestones": list(self._milestones()),
            "invoices": list(self._invoices()),
            "signals": list(self._signals()),
        }
        return {name: self._frame(name, found) for name, found in rows.items()}

    def _frame(self, table: str, rows: list[Row]) -> pd.DataFrame:
        schema = SCHEMAS[table]
        frame = pd.DataFrame(rows)
        if self._random.random() < 0.6:
            happened = schema.happened or (schema.known[-1] if schema.known != ("known_at",) else None)
            since = frame[happened] if happened else frame["account_id"].map(self._created)
            late = [timedelta(seconds=self._random.choice(_LATE)) for _ in rows]
            frame["known_at"] = pd.to_datetime(since) + pd.Series(late, dtype="timedelta64[us]")
            frame = self._with_versions(table, frame)
            frame["known_at"] = frame["known_at"].astype("datetime64[us]")
        for column in schema.columns:
            if column.name in frame and column.type in {Type.DATE, Type.INSTANT}:
                frame[column.name] = pd.to_datetime(frame[column.name]).astype("datetime64[us]")
            elif column.name in frame and column.type is Type.YES_NO:
                frame[column.name] = frame[column.name].astype("boolean")
            elif column.name in frame and column.type in {Type.WHOLE, Type.NUMBER}:
                frame[column.name] = pd.to_numeric(frame[column.name])
        return frame

    def _with_versions(self, table: str, frame: pd.DataFrame) -> pd.DataFrame:
        """Add later versions of some rows, in which one thing is told otherwise."""
        changed = {"contracts": "seats", "tickets": "severity", "invoices": "amount", "contacts": "role"}
        if table not in changed:
            return frame
        again = frame.sample(frac=0.15, random_state=self._random.randrange(1000)).copy()
        again["known_at"] += pd.to_timedelta(
            [self._random.choice((1, 30, 300)) for _ in range(len(again))], "D"
        )
        again[changed[table]] = again[changed[table]].to_numpy()[::-1]
        return pd.concat([frame, again], ignore_index=True)

    def _some(self, *values: Any) -> Any:
        """One of the values, or nothing."""
        return self._random.choice((None, *values))

    def _moment(self, since: datetime) -> datetime:
        day = since + timedelta(days=self._random.randrange(max((BEGINS - since).days + DAYS, 1)))
        return day + timedelta(seconds=self._random.choice((0, 1, 43_200, 86_399)))

    def _day(self, since: datetime) -> datetime:
        return _midnight(self._moment(since))

    def _of_accounts(self, table: str, each: float) -> Iterator[tuple[str, datetime]]:
        """So many moments for each account, since it exists and the feed records them."""
        for account, created in self._created.items():
            # Some accounts do a lot, some next to nothing.
            lively = self._random.choice((0.1, 0.5, 1, 2))
            for _ in range(round(each * lively * self._busy)):
                moment = self._moment(created)
                if moment >= self._feeds[table]:
                    yield account, moment

    def _accounts(self) -> Iterator[Row]:
        for number, (account, created) in enumerate(self._created.items()):
            yield {
                "account_id": account,
                "segment": "enterprise" if number % 3 else self._some("smb"),
                "industry": self._some("bank", "school"),
                "region": self._some("north", "south"),
                # Four levels, and two who are above each other.
                "parent_account_id": {5: "A15", 15: "A05"}.get(
                    number, f"A{number - 1:02}" if number % 10 in {6, 7, 8, 9} else None
                ),
                "created_at": created,
                "csm_owner": "Dana" if number % 4 else None,
                "acquisition_channel": self._some("web", "partner"),
                "acquisition_campaign": self._some("spring"),
                "icp_fit": self._some(0.2, 0.9),
                "handoff_missing": self._some([], ["phone"], ["phone", "goal"]),
                "review_cadence_days": self._some(90, 180),
            }

    def _contracts(self) -> Iterator[Row]:
        for number, (account, created) in enumerate(self._created.items()):
            if number % 10 in {5, 7, 8, 9} and self._random.random() < 0.75:
                continue
            for term in range(self._random.choice((1, 2, 4))):
                # The first runs on; others begin and end at any time, on the days we stand on among them.
                starts = self._random.choice((self._day(created), *AS_OF)) if term else _midnight(created)
                ends = self._random.choice(
                    (starts + timedelta(days=365), *AS_OF, AS_OF[1] + timedelta(days=84))
                )
                ends = (
                    max(ends, starts) if term else AS_OF[1] + timedelta(days=self._random.randrange(1, 400))
                )
                yield {
                    "contract_id": f"{account}-{term}",
                    "account_id": account,
                    "product": self._random.choice(("core", "plus")),
                    "renews_contract_id": f"{account}-{term - 1}" if term == 1 else None,
                    "signed_at": self._some(starts - timedelta(days=20)),
                    "starts_on": starts,
                    "ends_on": self._some(ends, ends, ends),
                    "arr": self._random.choice((0, 1200, 5000, 5000, 12000.5, 60000)),
                    "currency": "EUR",
                    "is_recurring": self._some(True, True, True, True, False),
                    "seats": self._some(1, 5, 10, 40, 40),
                    "usage_limit": self._some(100, 250.5),
                    "auto_renew": self._some(True, False),
                    "notice_days": self._some(0, 30, 90),
                    "notice_given_on": self._some(None, None, starts + timedelta(days=25)),
                    "payment_terms_days": self._some(0, 14, 30),
                    "plan": self._some("basic", "pro"),
                    "discount": self._some(0, 0.1, 0.25),
                    "cancelled_on": self._some(None, None, None, None, starts + timedelta(days=90)),
                    "renewal_owner": self._some("Ada"),
                }

    def _events(self) -> Iterator[Row]:
        kinds = ("use", "use", "use", "key", "admin", "integration", "workflow", "invite", "export")
        for number, (account, moment) in enumerate(self._of_accounts("usage_events", 150)):
            summed = number % 17 == 0
            yield {
                "event_id": None if number % 50 == 0 else f"e{number}",
                "account_id": account,
                "happened_at": moment,
                "user_id": None if summed else f"u{self._random.randrange(9)}",
                "team": self._some("red", "blue", "green"),
                "feature": self._some("report", "board", "import", "chat"),
                "kind": self._some(*kinds),
                "quantity": self._some(1, 1, 3, 0.25, 100.1),
                "users": self._random.randrange(12) if summed else None,
            }

    def _contacts(self) -> Iterator[Row]:
        for number, (account, moment) in enumerate(self._of_accounts("contacts", 4)):
            joined = _midnight(moment)
            yield {
                "contact_id": f"p{number}",
                "account_id": account,
                "role": self._random.choice(_ROLES),
                "joined_on": joined,
                "left_on": self._some(self._day(joined)),
            }

    def _touchpoints(self) -> Iterator[Row]:
        kinds = SCHEMAS["touchpoints"]["kind"].values
        for account, moment in self._of_accounts("touchpoints", 60):
            kind = self._random.choice((*kinds, "meeting", "email_in", "email_in"))
            yield {
                "account_id": account,
                "happened_at": moment,
                "contact_id": self._some("p1", "p2", "p3"),
                "kind": kind,
                "value": self._some(2, 9, 10) if kind in {"nps", "csat"} else None,
            }

    def _tickets(self) -> Iterator[Row]:
        kinds = ("bug", "question", "feature_gap", "premium_capability", "outage")
        for number, (account, moment) in enumerate(self._of_accounts("tickets", 14)):
            soon = moment + timedelta(hours=self._random.choice((1, 30, 300)))
            closed = self._some(soon + timedelta(days=self._random.choice((0, 3, 90))), self._moment(soon))
            yield {
                "ticket_id": f"t{number}",
                "account_id": account,
                "opened_at": moment,
                "closed_at": closed,
                "severity": self._some(1, 2, 3, 4),
                "kind": self._some(*kinds),
                "first_response_at": self._some(soon, soon),
                "reopened_at": self._some(None, closed),
                "csat": self._some(1, 4, 4.5),
                "escalated_at": self._some(None, soon),
            }

    def _milestones(self) -> Iterator[Row]:
        for account, created in self._created.items():
            for number in range(self._random.randrange(4)):
                due = _midnight(created) + timedelta(days=30 * (number + 1))
                yield {
                    "account_id": account,
                    "milestone": f"step {number}" if number else "kickoff",
                    "due_on": self._some(due, due, self._day(created)),
                    "completed_on": self._some(due - timedelta(days=9), due + timedelta(days=5)),
                    "is_activation": self._some(True, False),
                }

    def _invoices(self) -> Iterator[Row]:
        for number, (account, moment) in enumerate(self._of_accounts("invoices", 14)):
            issued = _midnight(moment)
            due = issued + timedelta(days=self._random.choice((14, 30)))
            yield {
                "invoice_id": f"i{number}",
                "account_id": account,
                "issued_on": issued,
                "due_on": self._some(due, due, due),
                "paid_on": self._some(due - timedelta(days=10), due, due + timedelta(days=40)),
                "amount": self._some(100, 300.25, 1000),
                "currency": "EUR",
            }

    def _signals(self) -> Iterator[Row]:
        kinds = SCHEMAS["signals"]["kind"].values
        for account, moment in self._of_accounts("signals", 12):
            yield {"account_id": account, "happened_at": moment, "kind": self._random.choice(kinds)}


def market(seed: int, accounts: int = 90, busy: float = 1.0) -> dict[str, pd.DataFrame]:
    """Frames of the company of a seed; `busy` scales how much its accounts do."""
    return Market(seed, accounts, busy).frames()


def spine_of(frames: dict[str, pd.DataFrame], delay: timedelta, every: int = 1) -> pd.DataFrame:
    """Every account (or every second, third, ...) on each day, looked at `delay` later."""
    accounts = sorted(set(frames["accounts"]["account_id"]))[::every]
    rows = [(account, day, day + delay) for account in accounts for day in AS_OF]
    frame = pd.DataFrame(rows, columns=["account_id", "as_of", "known_at"])
    return frame.astype({"as_of": "datetime64[us]", "known_at": "datetime64[us]"})
