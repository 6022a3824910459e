"""A simulated company's year, one run a week: is every red account worked on, and do colours hold still?

    python -m benchmarks.year_of_weeks --accounts 1500 --weeks 52

The models are trained on what was known at the first week and serve the whole year. Afterwards the store is
asked: had every red account an action with owner and due date the day it turned, was any action opened twice,
did every checkpoint open work on the first run on or after its day, how often did colours change; the last
beside the same year without the rule that risk has to be over a limit in two publications.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from lifecycle_ml.check import check
from lifecycle_ml.nightly import run_nightly
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.store.schema import listings, publications
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import Tables, read_tables
from lifecycle_ml.workspace import Workspace, load_workspace, standard_root

UNTIL_GREEN_DAYS = 91
"""Days of a quarter."""


@dataclass(frozen=True)
class Year:
    """What a year of weekly runs did.

    red_turns: times an account was red and had not been the week before; red_without_work: readings of red
    accounts without an unfinished action that has owner and due date. opened_twice: actions opened more than
    once. checkpoints: those whose day came; late: those whose work was not opened by the first run on or
    after the day. flips_per_account_quarter: changes of colour. red, yellow: mean share of the book.
    """

    weeks: int
    accounts: int
    source: str
    red_turns: int
    red_without_work: int
    opened_twice: int
    actions: int
    checkpoints: int
    checkpoints_late: int
    flips: int
    flips_per_account_quarter: float
    red: float
    yellow: float
    seconds_per_run: float


def run_year(
    workspace: Workspace,
    settings: Settings,
    tables: Tables,
    last: date,
    weeks: int,
    say: Callable[[str], None] = print,
) -> Year:
    """Run once a week up to `last`, then measure what the store holds."""
    report = check(workspace, settings, last, tables=tables)
    days = [last - timedelta(weeks=back) for back in range(weeks - 1, -1, -1)]
    sources, began = set(), time.perf_counter()
    for number, day in enumerate(days, 1):
        now = datetime.combine(day, clock()) + timedelta(hours=2)
        summary = run_nightly(
            workspace, settings, day, now, tables=tables, report=report, may_train=number == 1, watching=False
        )
        sources.add(summary.bundles["churn"].source)
        if number == 1:
            began = time.perf_counter()
        if number % 13 == 0:
            say(f"{day}: {dict(summary.health)}")
    seconds = (time.perf_counter() - began) / max(weeks - 1, 1)
    return _measure(settings, days, ", ".join(sorted(sources)), seconds)


def _measure(settings: Settings, days: list[date], source: str, seconds: float) -> Year:
    weekly = {day: _readings(settings, day) for day in days}
    accounts = {account for found in weekly.values() for account in found}
    with closing(Store.open(settings.store_url)) as store:
        events = pd.DataFrame([event for account in sorted(accounts) for event in store.ledger(account)])
    opened = events[events["kind"] == "opened"]
    ended = events[events["kind"].isin(["closed", "done", "dismissed"])].set_index("action_id")["at"]
    work = pd.DataFrame(opened["action"].tolist()).assign(
        at=opened["at"].to_numpy(), ended=opened["action_id"].map(ended.groupby(level=0).min()).to_numpy()
    )
    flips = red_turns = without = scored = red = yellow = 0
    before: dict[str, dict[str, Any]] = {}
    due: list[bool] = []
    for day, found in weekly.items():
        now = datetime.combine(day, clock()) + timedelta(hours=2)
        live = work[(work["at"] <= now) & ~(work["ended"] <= now)]
        complete = live[live["owner"].notna() & live["due_at"].notna()]
        helped = set(complete.loc[complete["kind"] == "playbook", "account_id"])
        steps = set(zip(work["account_id"], work["playbook"], work["at"], strict=True))
        for account, reading in found.items():
            color, past = reading["color"], before.get(account)
            scored += 1
            red += color == "red"
            yellow += color == "yellow"
            flips += past is not None and past["color"] != color
            red_turns += color == "red" and (past is None or past["color"] != "red")
            without += color == "red" and account not in helped
            if past is not None:
                due += [
                    (account, name, now) in steps for name in _fallen(reading, day - timedelta(days=7), day)
                ]
        before = found
    quarters = scored / len(accounts) * 7 / UNTIL_GREEN_DAYS
    return Year(
        weeks=len(days),
        accounts=len(accounts),
        source=source,
        red_turns=red_turns,
        red_without_work=without,
        opened_twice=int(opened["action_id"].duplicated().sum()),
        actions=len(opened),
        checkpoints=len(due),
        checkpoints_late=due.count(False),
        flips=flips,
        flips_per_account_quarter=round(flips / len(accounts) / quarters, 3),
        red=round(red / scored, 4),
        yellow=round(yellow / scored, 4),
        seconds_per_run=round(seconds, 2),
    )


def _readings(settings: Settings, day: date) -> dict[str, dict[str, Any]]:
    """Return colour and checkpoints of every account in the week's publication."""
    engine = sa.create_engine(settings.store_url)
    question = (
        sa.select(listings.c.account_id, listings.c.health, listings.c.renewal)
        .join(publications)
        .where(publications.c.as_of == day, publications.c.kind == "nightly")
    )
    with engine.connect() as connection:
        found = {
            row.account_id: {"color": row.health, "renewal": json.loads(row.renewal or "null")}
            for row in connection.execute(question)
        }
    engine.dispose()
    return found


def _fallen(reading: dict[str, Any], after: date, day: date) -> list[str]:
    """Return the checkpoint whose day came since the last run, if there is one: the latest of them."""
    renewal = reading["renewal"] or {"checkpoints": []}
    return [
        f"checkpoint_{checkpoint['checkpoint']}"
        for checkpoint in renewal["checkpoints"]
        if checkpoint["state"] == "now" and after < date.fromisoformat(checkpoint["falls_on"]) <= day
    ]


def simulated_year(
    folder: Path, accounts: int, weeks: int, seed: int, say: Callable[[str], None] = print
) -> dict[str, Year]:
    """Run the year as the standard workspace says, and again with one reading turning the colour."""
    company = simulate_company(seed, accounts)
    company.write(folder / "data", folder / "truth")
    last = company.first + timedelta(days=company.days)
    standard = Workspace(root=standard_root(), standard=standard_root())
    settings = Settings.read(folder, environ={})
    tables = read_tables(standard, settings)
    found = {"two readings": run_year(standard, settings, tables, last, weeks, say)}
    hasty = folder / "hasty"
    (hasty / "serving").mkdir(parents=True)
    health = (standard_root() / "serving" / "health.toml").read_text(encoding="utf-8")
    changed, times = re.subn(r"^min_days = \d+", "min_days = 0", health, flags=re.MULTILINE)
    assert times == 1, "health.toml says min_days once"
    (hasty / "serving" / "health.toml").write_text(changed, encoding="utf-8")
    other = replace(settings, store_url=f"sqlite:///{folder / 'hasty.db'}")
    found["one reading"] = run_year(load_workspace(hasty), other, tables, last, weeks, say)
    return found


def main() -> None:
    """Run one company's year and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1500)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--seed", type=int, default=7001)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        years = simulated_year(Path(folder), chosen.accounts, chosen.weeks, chosen.seed)
    for name, year in years.items():
        print(f"colours turn on {name}:", json.dumps(asdict(year), indent=1))


if __name__ == "__main__":
    main()
