"""A company's year by the nightly run itself, with people at work in between."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from benchmarks.year_of_days.people import work
from benchmarks.year_of_days.promises import Promises, examine_store

from lifecycle_ml.actions.team import Team, load_team
from lifecycle_ml.check import CheckReport, check
from lifecycle_ml.nightly import run_nightly
from lifecycle_ml.rulebook import CHURN
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import Workspace, standard_root

STANDARD = Workspace(root=standard_root(), standard=standard_root())
TRUTH_WEEKS = 52
"""The truth of a company is not asked here, so it is computed as seldom as can be."""


@dataclass(frozen=True)
class Company:
    """A simulated company on disk. `last` is the day up to which its data goes."""

    folder: Path
    settings: Settings
    tables: Tables
    last: date

    def days(self, count: int, step_days: int) -> list[date]:
        """Return as_of dates in steps, the first one 364 days before the last day of the data."""
        first = self.last - timedelta(days=364)
        return [first + timedelta(days=step_days * number) for number in range(count)]


def company_in(folder: Path, seed: int, accounts: int, years: int) -> Company:
    """Return the company of a folder; simulated where it is not there yet."""
    note = folder / "company.json"
    if note.is_file():
        last = date.fromisoformat(json.loads(note.read_text(encoding="utf-8"))["last"])
    else:
        company = simulate_company(seed, accounts, days=364 * years, truth_step_weeks=TRUTH_WEEKS)
        company.write(folder / "data", folder / "truth")
        last = company.first + timedelta(days=company.days)
        note.write_text(json.dumps({"seed": seed, "last": last.isoformat()}), encoding="utf-8")
    # one thread: two that wait for each other stand still where other work runs beside them
    settings = Settings.read(folder, environ={"LIFECYCLE_THREADS": "1"})
    return Company(folder, settings, read_tables(STANDARD, settings), last)


@dataclass(frozen=True)
class Year:
    """What a year of runs did, and by what churn was answered (source, and what refused a model)."""

    step_days: int
    source: str
    refused: tuple[str, ...]
    promises: Promises
    cpu_seconds_per_run: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"broken": self.promises.broken}


def run_year(
    company: Company,
    days: list[date],
    step_days: int,
    *,
    workspace: Workspace = STANDARD,
    say: Callable[[str], None] = print,
    name: str = "year.db",
) -> Year:
    """Run every date that is not published yet, people at work in between, then ask the store.

    The models are trained on what was known on the first date and serve all others.
    """
    settings = replace(company.settings, store_url=f"sqlite:///{company.folder / name}")
    team, report = load_team(workspace), check(workspace, settings, company.last, tables=company.tables)
    engine = sa.create_engine(settings.store_url)
    with closing(Store.open(settings.store_url)) as store:
        published = {each.as_of for each in store.publications("nightly")}
        began, ran = _cpu(), 0
        for number, day in enumerate(days):
            if day not in published:
                counted = _run(workspace, settings, company.tables, report, day, first=number == 0)
                ran += number > 0
                began = _cpu() if number == 0 else began
                say(f"{day}: {counted}")
            if day not in published or (day == max(published)):
                work(store, engine, team, _hour(day, 9), step_days)
    engine.dispose()
    source, refused = _serving(settings)
    return Year(
        step_days=step_days,
        source=source,
        refused=refused,
        promises=_examined(settings, team, step_days),
        cpu_seconds_per_run=round((_cpu() - began) / ran, 2) if ran else 0.0,
    )


def _run(
    workspace: Workspace, settings: Settings, tables: Tables, report: CheckReport, day: date, *, first: bool
) -> str:
    summary = run_nightly(
        workspace,
        settings,
        day,
        _hour(day, 2),
        tables=tables,
        report=report,
        may_train=first,
        watching=False,
    )
    return f"{dict(summary.health)}, {summary.actions} actions opened"


def _examined(settings: Settings, team: Team, step_days: int) -> Promises:
    return examine_store(settings.store_url, team, step_days)


def _serving(settings: Settings) -> tuple[str, tuple[str, ...]]:
    from lifecycle_ml.promotion.training import champion

    serving = champion(settings, CHURN)
    assert serving is not None, "a year was run"
    return serving.source, tuple(str(refusal["rule"]) for refusal in serving.refusals)


def _hour(day: date, hour: int) -> datetime:
    return datetime.combine(day, clock(hour))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
