"""What the store holds after a year, against what was promised."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lifecycle_ml.actions.action import UNFINISHED, is_review
from lifecycle_ml.actions.team import Team
from lifecycle_ml.store.schema import ledger, listings, publications

QUARTER_DAYS = 91
ROUNDING = 1e-6
ENDS = ("done", "dismissed", "closed")


@dataclass
class Promises:
    """Counts over a year of runs; what was promised is broken by the counts that say so.

    red_turns: times an account was red and had not been at the run before. red_readings: readings of red
    accounts, each of them one of four: red_with_work, an action of its playbook is to be done, with owner and
    due date; red_watched, every step was done or dismissed and the account waits for the evidence until a day
    on which an owner decides; red_worked_out, every step was and nobody owes anything; red_without_work,
    there is nothing though not every step was. reviews_at_once: runs x accounts with two reviews.
    opened_twice: actions opened more than once; twice_at_once: two unfinished ones for the same account,
    playbook and step. over_hours: runs x owners with more open work than a week's hours. over_budget:
    expansion tasks beyond an owner's budget of seven days. escalations; late: told after the first run on or
    after their moment; twice: the same role told twice of one action; missed: still due after a run.
    checkpoints: those whose day came; late: not opened by the first run on or after it. overdue: mean share
    of unfinished actions past their due date. flips: changes of colour, `flips_per_account_quarter` of them.
    tasks_per_owner_week: opened, by role. backlog: mean unfinished actions.
    """

    runs: int = 0
    accounts: int = 0
    readings: int = 0
    red: int = 0
    yellow: int = 0
    flips: int = 0
    flips_per_account_quarter: float = 0.0
    red_turns: int = 0
    red_with_work: int = 0
    red_watched: int = 0
    red_without_work: int = 0
    red_worked_out: int = 0
    reviews_at_once: int = 0
    opened: int = 0
    opened_twice: int = 0
    twice_at_once: int = 0
    over_hours: int = 0
    over_budget: int = 0
    over_capacity: int = 0
    escalations: int = 0
    escalations_late: int = 0
    escalations_twice: int = 0
    escalations_missed: int = 0
    checkpoints: int = 0
    checkpoints_late: int = 0
    done: int = 0
    dismissed: int = 0
    snoozed: int = 0
    closed: int = 0
    held_out: int = 0
    backlog: float = 0.0
    overdue: float = 0.0
    tasks_per_owner_week: dict[str, float] = field(default_factory=dict)
    most_tasks_in_a_week: dict[str, int] = field(default_factory=dict)

    @property
    def broken(self) -> dict[str, int]:
        """The promises that were broken, with how often."""
        names = (
            *("red_without_work", "red_worked_out", "reviews_at_once"),
            *("opened_twice", "twice_at_once", "over_hours", "over_budget"),
            *("escalations_late", "escalations_twice", "escalations_missed", "checkpoints_late"),
        )
        return {name: count for name in names if (count := getattr(self, name))}


def examine_store(url: str, team: Team, step_days: int) -> Promises:
    """Go through a store's nightly publications and its ledger, run by run."""
    engine = sa.create_engine(url)
    found, walk = Promises(), _Walk(team)
    accounts: set[str] = set()
    before: dict[str, str] = {}
    try:
        runs = _runs(engine)
        events = _events_by_run(engine, runs)
        for number, (run, of_run) in enumerate(zip(runs, events, strict=True)):
            previous = runs[number - 1].now if number else None
            walk.planned(of_run.planned, run.now, previous, found)
            readings = _readings(engine, run.publication_id)
            _look_at_colours(readings, before, walk, found)
            if number:
                _look_at_checkpoints(readings, before, of_run.planned, run.as_of, step_days, found)
            before = {account: color for account, (color, _) in readings.items()}
            accounts |= set(readings)
            walk.spoken(of_run.spoken)
    finally:
        engine.dispose()
    found.runs, found.accounts = len(runs), len(accounts)
    quarters = found.readings * step_days / QUARTER_DAYS
    found.flips_per_account_quarter = round(found.flips / quarters, 3) if quarters else 0.0
    walk.close(found, weeks=len(runs) * step_days / 7)
    return found


@dataclass(frozen=True)
class _Run:
    publication_id: int
    as_of: date
    now: datetime


@dataclass
class _Events:
    planned: list[Mapping[str, Any]] = field(default_factory=list)
    spoken: list[Mapping[str, Any]] = field(default_factory=list)


class _Walk:
    """Every action as it stands, event after event."""

    def __init__(self, team: Team) -> None:
        self._team = team
        self._actions: dict[str, dict[str, Any]] = {}
        self._by_account: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._by_person: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self._ever: set[str] = set()
        self._expansion: dict[str, list[datetime]] = defaultdict(list)
        self._opened_in: Counter[tuple[str, str, Any]] = Counter()
        self._people: dict[str, set[str]] = defaultdict(set)
        self._words: Counter[str] = Counter()
        self._backlog: list[int] = []
        self._overdue: list[float] = []

    def planned(
        self, events: Sequence[Mapping[str, Any]], now: datetime, previous: datetime | None, found: Promises
    ) -> None:
        """Take what a run did, then look at everything that is unfinished after it."""
        for event in events:
            action = event["action"]
            match event["kind"]:
                case "opened":
                    self._open(event, action, now, found)
                case "escalated":
                    self._escalate(event, now, previous, found)
                case "closed":
                    found.closed += 1
                case "held_out":
                    found.held_out += 1
            self._keep(action)
        self._look(now, found)

    def spoken(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take what people said until the next run."""
        for event in events:
            self._keep(event["action"])
            if event["kind"] in ("done", "dismissed"):
                self._by_person.add(event["action_id"])
        self._words.update(event["kind"] for event in events)

    def standing(self, account: str) -> str:
        """Return `with_work`, `watched`, `worked_out` or `without_work`: what is done about a red account."""
        mine = [each for each in self._by_account[account].values() if each["playbook"].endswith("_red")]
        owed = [each for each in mine if each["status"] in UNFINISHED and each["owner"] and each["due_at"]]
        if any(not _watches(each) for each in owed):
            return "with_work"
        if any(each["snoozed_until"] for each in owed):
            return "watched"
        newest = max((each["opened_at"] for each in mine), default=None)
        lately = [each for each in mine if each["opened_at"] == newest]
        ended = lately and all(each["action_id"] in self._by_person for each in lately)
        return "worked_out" if ended else "without_work"

    def reviews(self, account: str) -> int:
        """Return how many reviews of an account are unfinished."""
        mine = self._by_account[account].values()
        return sum(each["status"] in UNFINISHED and is_review(each["kind"], each["step"]) for each in mine)

    def close(self, found: Promises, weeks: float) -> None:
        """Write down what needs the whole year."""
        words = self._words
        found.done, found.dismissed, found.snoozed = words["done"], words["dismissed"], words["snoozed"]
        found.backlog = round(sum(self._backlog) / max(len(self._backlog), 1), 1)
        found.overdue = round(sum(self._overdue) / max(len(self._overdue), 1), 4)
        opened = Counter[str]()
        most: dict[str, int] = {}
        for (role, _, _), count in self._opened_in.items():
            opened[role] += count
            most[role] = max(most.get(role, 0), count)
        found.tasks_per_owner_week = {
            role: round(count / len(self._people[role]) / weeks, 2) for role, count in sorted(opened.items())
        }
        found.most_tasks_in_a_week = dict(sorted(most.items()))

    def _open(
        self, event: Mapping[str, Any], action: Mapping[str, Any], now: datetime, found: Promises
    ) -> None:
        found.opened += 1
        found.opened_twice += event["action_id"] in self._ever
        self._ever.add(event["action_id"])
        key = (action["playbook"], action["step"])
        found.twice_at_once += any(
            (each["playbook"], each["step"]) == key and each["status"] in UNFINISHED
            for each in self._by_account[action["account_id"]].values()
        )
        found.over_capacity += action["status"] == "over_capacity"
        role, owner = action["owner_role"], str(action["owner"])
        self._people[role].add(owner)
        self._opened_in[role, owner, now.date().isocalendar()[:2]] += 1
        if action["kind"] == "trigger":
            lately = [at for at in self._expansion[owner] if at > now - timedelta(days=7)]
            self._expansion[owner] = [*lately, now]
            found.over_budget += len(lately) + 1 > self._team.budgets.expansion_tasks_a_week

    def _escalate(
        self, event: Mapping[str, Any], now: datetime, previous: datetime | None, found: Promises
    ) -> None:
        found.escalations += 1
        told = self._actions[event["action_id"]]["escalates_to"]
        found.escalations_twice += (event["action_id"], told) in self._told
        self._told.add((event["action_id"], told))
        found.escalations_late += previous is not None and not previous < event["at"] <= now

    def _keep(self, action: dict[str, Any]) -> None:
        self._actions[action["action_id"]] = action
        self._by_account[action["account_id"]][action["action_id"]] = action
        if action["status"] in ENDS and not action["playbook"].endswith("_red"):
            del self._by_account[action["account_id"]][action["action_id"]]

    def _look(self, now: datetime, found: Promises) -> None:
        load: dict[str, float] = defaultdict(float)
        roles: dict[str, set[str]] = defaultdict(set)
        unfinished = late = 0
        for mine in self._by_account.values():
            for action in mine.values():
                if action["status"] not in UNFINISHED:
                    continue
                unfinished += 1
                late += action["due_at"] is not None and _instant(action["due_at"]) <= now
                escalates = action["escalates_at"]
                due = escalates is not None and _instant(escalates) <= now
                found.escalations_missed += due and action["status"] != "snoozed"
                beyond = action["status"] == "snoozed" and action["beyond_capacity"]
                if action["status"] in ("open", "snoozed") and not _watches(action) and not beyond:
                    load[action["owner"]] += action["hours"]
                    roles[action["owner"]].add(action["owner_role"])
        found.over_hours += sum(
            hours > min(self._team.hours(role, owner) for role in roles[owner]) + ROUNDING
            for owner, hours in load.items()
        )
        self._backlog.append(unfinished)
        self._overdue.append(late / unfinished if unfinished else 0.0)


def _look_at_colours(
    readings: Mapping[str, tuple[str, Any]], before: Mapping[str, str], walk: _Walk, found: Promises
) -> None:
    for account, (color, _) in readings.items():
        past = before.get(account)
        found.readings += 1
        found.yellow += color == "yellow"
        found.flips += past is not None and past != color
        if color != "red":
            continue
        found.red += 1
        found.red_turns += past != "red"
        standing = f"red_{walk.standing(account)}"
        setattr(found, standing, getattr(found, standing) + 1)
        found.reviews_at_once += walk.reviews(account) > 1


def _look_at_checkpoints(
    readings: Mapping[str, tuple[str, Any]],
    before: Mapping[str, str],
    events: Sequence[Mapping[str, Any]],
    as_of: date,
    step_days: int,
    found: Promises,
) -> None:
    opened = {
        (event["account_id"], event["action"]["playbook"]) for event in events if event["kind"] == "opened"
    }
    for account, (_, renewal) in readings.items():
        if account not in before:
            continue
        for name in _fallen(renewal, as_of - timedelta(days=step_days), as_of):
            found.checkpoints += 1
            found.checkpoints_late += (account, name) not in opened


def _fallen(renewal: Mapping[str, Any] | None, after: date, day: date) -> Iterator[str]:
    """Yield the checkpoint whose day came since the last run, if there is one: the latest of them."""
    for checkpoint in (renewal or {"checkpoints": []})["checkpoints"]:
        if checkpoint["state"] == "now" and after < date.fromisoformat(checkpoint["falls_on"]) <= day:
            yield f"checkpoint_{checkpoint['checkpoint']}"


def _runs(engine: sa.Engine) -> list[_Run]:
    question = (
        sa.select(publications.c.publication_id, publications.c.as_of, publications.c.now)
        .where(publications.c.kind == "nightly", publications.c.published_at.is_not(None))
        .order_by(publications.c.as_of)
    )
    with engine.connect() as connection:
        return [_Run(*row) for row in connection.execute(question)]


def _events_by_run(engine: sa.Engine, runs: Sequence[_Run]) -> list[_Events]:
    """Return the ledger run by run: what each planned, and what people said until the next."""
    at = {run.publication_id: number for number, run in enumerate(runs)}
    found = [_Events() for _ in runs]
    number = 0
    with engine.connect() as connection:
        for event in connection.execute(sa.select(ledger).order_by(ledger.c.event_id)).mappings():
            if event["publication_id"] is not None:
                if event["publication_id"] in at:
                    found[at[event["publication_id"]]].planned.append(event)
                continue
            while number + 1 < len(runs) and runs[number + 1].now <= event["at"]:
                number += 1
            found[number].spoken.append(event)
    return found


def _readings(engine: sa.Engine, publication_id: int) -> dict[str, tuple[str, Any]]:
    question = sa.select(listings.c.account_id, listings.c.health, listings.c.renewal).where(
        listings.c.publication_id == publication_id
    )
    with engine.connect() as connection:
        return {
            account: (color, json.loads(renewal or "null"))
            for account, color, renewal in connection.execute(question)
        }


def _watches(action: Mapping[str, Any]) -> bool:
    """Tell whether a review sleeps: it is nobody's work before its day."""
    return action["status"] == "snoozed" and is_review(action["kind"], action["step"])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)
