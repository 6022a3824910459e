"""A synthetic B2B software company: its tables, and beside them the truth about who leaves and why."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from lifecycle_ml.errors import UserError
from lifecycle_ml.simulate.book import draw_book
from lifecycle_ml.simulate.calendar import plan_calendar
from lifecycle_ml.simulate.commerce import write_accounts, write_invoices, write_outcomes, write_signals
from lifecycle_ml.simulate.contracts import write_contracts
from lifecycle_ml.simulate.engagement import write_contacts, write_milestones, write_touchpoints
from lifecycle_ml.simulate.episodes import draw_episodes, press
from lifecycle_ml.simulate.grid import Grid
from lifecycle_ml.simulate.growth import draw_growth, grown_from, lay_seats
from lifecycle_ml.simulate.leaving import draw_leavers
from lifecycle_ml.simulate.priors import draw_traits
from lifecycle_ml.simulate.support import write_tickets
from lifecycle_ml.simulate.truth import (
    write_episodes,
    write_growth,
    write_leavers,
    write_planted,
    write_probabilities,
    write_treatments,
)
from lifecycle_ml.simulate.usage import draw_habits, write_usage

FIRST = date(2023, 7, 1)
DAYS = 1096


@dataclass(frozen=True)
class Company:
    """A company as its systems show it (`tables`) and as it is (`truth`); no table holds any truth."""

    seed: int
    first: date
    days: int
    tables: dict[str, pd.DataFrame] = field(repr=False)
    truth: dict[str, pd.DataFrame] = field(repr=False)

    def moved(self, weeks: int) -> Company:
        """Return the same company that many weeks later: every instant moved, weekdays kept, nothing else."""
        by = timedelta(weeks=weeks)

        def later(frame: pd.DataFrame) -> pd.DataFrame:
            instants = frame.select_dtypes("datetime").columns
            return frame.assign(**{name: frame[name] + by for name in instants})

        return replace(
            self,
            first=self.first + by,
            tables={name: later(frame) for name, frame in self.tables.items()},
            truth={name: later(frame) for name, frame in self.truth.items()},
        )

    def write(self, folder: Path, truth: Path | None = None) -> None:
        """Write `folder/<table>.parquet`, and the truth into a folder of its own (`folder/../truth`)."""
        for where, frames in ((folder, self.tables), (truth or folder.parent / "truth", self.truth)):
            where.mkdir(parents=True, exist_ok=True)
            for name, frame in frames.items():
                unfinished = where / f".{name}.parquet"
                frame.to_parquet(unfinished, index=False)
                unfinished.replace(where / f"{name}.parquet")


def simulate_company(
    seed: int,
    accounts: int = 2000,
    first: date = FIRST,
    days: int = DAYS,
    *,
    causes: bool = True,
    truth_step_weeks: int = 1,
) -> Company:
    """Simulate a company: same arguments, same bytes.

    The data covers `days` days from `first` and is taken on the last midnight. `causes=False` gives a company
    in which leaving is pure chance, unrelated to everything in the tables. The truth's probabilities stand on
    every `truth_step_weeks`-th week.
    Raises: UserError for fewer than 1 account, fewer than 180 days or a negative seed.
    """
    if accounts < 1 or days < 180 or seed < 0 or truth_step_weeks < 1:
        raise UserError(
            f"simulate: a company needs at least 1 account, 180 days, a seed from 0 and a step from 1 week; "
            f"got accounts={accounts}, days={days}, seed={seed}, truth_step_weeks={truth_step_weeks}."
        )
    grid = Grid(first, days)
    traits = draw_traits(seed, grid.weeks, causes)
    book = draw_book(seed, accounts, grid, traits)
    calendar = plan_calendar(seed, book, grid, causes)
    episodes = draw_episodes(seed, book, grid, traits)
    pressure = press(episodes, book, grid, traits)
    leavers = draw_leavers(seed, book, calendar, pressure, grid, traits)
    planned = draw_growth(seed, book, leavers, pressure, grid)
    seats = lay_seats(seed, book, leavers, pressure, planned, grid)
    growth = grown_from(planned, seats)

    trace = pressure.trace
    contracts = write_contracts(seed, book, calendar, seats, leavers, grid, causes)
    contacts = write_contacts(seed, book, episodes, leavers, grid, traits)
    habits = draw_habits(seed, book, seats, trace, traits)
    tables = {
        "accounts": write_accounts(seed, book, leavers, seats, grid, traits),
        "contracts": contracts,
        "usage_events": write_usage(seed, book, habits, leavers, grid, traits),
        "contacts": contacts,
        "touchpoints": write_touchpoints(seed, book, trace, episodes, contacts, leavers, grid, traits),
        "tickets": write_tickets(seed, book, trace, seats, leavers, grid, traits),
        "milestones": write_milestones(seed, book, episodes, leavers, grid),
        "invoices": write_invoices(seed, book, contracts, trace, grid, traits),
        "signals": write_signals(seed, book, trace, seats, leavers, grid),
        "outcomes": write_outcomes(seed, book, leavers, seats, grid, traits),
    }
    truth = {
        "probabilities": write_probabilities(
            book, calendar, episodes, leavers, grid, traits, truth_step_weeks
        ),
        "leavers": write_leavers(book, leavers, grid),
        "episodes": write_episodes(book, episodes, grid),
        "treatments": write_treatments(book, episodes, leavers, grid),
        "growth": write_growth(book, growth, grid),
        "planted": write_planted(traits, grid),
    }
    return Company(seed, first, days, tables, truth)
