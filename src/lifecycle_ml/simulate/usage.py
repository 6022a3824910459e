"""Usage events: rows per account, user, day, feature and kind, at rates the traces bend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lifecycle_ml.simulate.book import Book
from lifecycle_ml.simulate.causes import NUMBER
from lifecycle_ml.simulate.grid import Floats, Grid, Ints, labels, stream, texts
from lifecycle_ml.simulate.growth import Seats
from lifecycle_ml.simulate.leaving import Leavers
from lifecycle_ml.simulate.priors import FEATURES, Traits

KINDS = ("use", "key", "workflow", "integration", "admin", "invite", "export")
KIND_SHARES = np.array([0.60, 0.16, 0.09, 0.05, 0.05, 0.025, 0.025])
ROWS_PER_USER = 0.1
"""Rows a user makes on an average day."""

TEAM_SIZE = 6
_WEEKDAYS = np.array([1.25, 1.3, 1.3, 1.2, 1.05, 0.45, 0.45])  # the first day, 2023-07-01, is a Saturday


@dataclass(frozen=True)
class Habits:
    """How an account uses the product, by account and week."""

    users: Floats
    rows: Floats  # expected rows a day before weekday and season
    kinds: Floats  # (accounts, weeks, kinds), cumulative shares
    breadth: Floats  # features in use


def draw_habits(seed: int, book: Book, seats: Seats, trace: Floats, traits: Traits) -> Habits:
    """Users follow seats; causes thin them out, narrow what they do or shift its kind."""
    rng = stream(seed, "habits")
    accounts, weeks = seats.level.shape
    adoption = np.clip(rng.beta(12.0, 6.0, accounts), 0.15, 0.97)
    diligence = rng.lognormal(0.0, 0.18, (accounts, 1))
    # A slow wander of each account's own level: not every decline is a cause.
    wander = np.cumsum(rng.normal(0, 0.018, (accounts, weeks)), axis=1)
    wander -= 0.5 * wander.mean(axis=1, keepdims=True)
    noise = rng.normal(0, traits.wobble, (accounts, weeks))
    low, fail = trace[NUMBER["low_adoption_after_onboarding"]], trace[NUMBER["failed_onboarding"]]
    value, champion = trace[NUMBER["value_not_demonstrated"]], trace[NUMBER["champion_left"]]
    gap, owner = trace[NUMBER["missing_product_capability"]], trace[NUMBER["poor_stakeholder_ownership"]]
    rival, fit = trace[NUMBER["competitive_displacement"]], trace[NUMBER["bad_fit_customer_sold"]]
    growth = seats.growth.max(axis=0)
    age = np.arange(weeks)[None, :] * 7 - book.created[:, None]
    ramp = np.clip(0.15 + age / 90.0, 0.15, 1.0)
    users = seats.level * adoption[:, None] * ramp * np.exp(wander)
    users *= (
        _less(0.72, low) * _less(0.45, fail) * _less(0.10, champion) * _less(0.10, value) * _less(0.12, fit)
    )
    # Whatever the cause, unhappy people use less.
    strain = np.clip((trace**1.5).sum(axis=0), 0, 1.5)
    users *= _less(0.12, strain) * (1 + 0.30 * growth)
    users = np.clip(users, 0.6, seats.level * 1.25)
    rows = users * diligence * np.exp(noise) * ROWS_PER_USER
    rows *= (
        _less(0.18, strain) * _less(0.25, low) * _less(0.12, value) * _less(0.12, rival) * (1 + 0.15 * growth)
    )

    # Adoption that fails comes in fits and starts: weeks without any use.
    rows *= rng.random((accounts, weeks)) > 0.75 * np.clip(low, 0, 1.1)

    shares = np.repeat(KIND_SHARES[None, None, :], accounts, axis=0).repeat(weeks, axis=1).astype(np.float32)
    shares *= rng.gamma(8.0, 1 / 8.0, (accounts, 1, len(KINDS))).astype(np.float32)
    for kind, factor in (
        ("key", _less(0.60, value) * _less(0.25, fail)),
        ("workflow", _less(0.60, value)),
        ("integration", _less(0.65, gap)),
        ("admin", _less(0.65, owner)),
        ("invite", _less(0.5, low) * (1 + 2.0 * seats.growth[1])),
        ("export", 1 + 8.0 * rival),
    ):
        shares[:, :, KINDS.index(kind)] *= factor
    kinds = shares.cumsum(axis=2)
    kinds /= kinds[:, :, -1:]
    breadth = np.clip(rng.normal(7.5, 1.2, accounts), 3, 11)[:, None] * _less(0.65, value) * _less(0.10, gap)
    return Habits(users, rows, kinds, np.maximum(breadth, 2.0))


def _less(most: float, trace: Floats) -> Floats:
    """A factor that falls with a trace, by `most` at its usual height."""
    return np.asarray(np.clip(1 - most * trace, 0.06, 1.0))


def write_usage(
    seed: int, book: Book, habits: Habits, leavers: Leavers, grid: Grid, traits: Traits
) -> pd.DataFrame:
    """The events, in order of account and day; some come late, a few feeds stop for days."""
    rng = stream(seed, "usage")
    account, day, user = _people(rng, book, habits, leavers, grid, traits)
    second = rng.integers(7 * 3600, 20 * 3600, len(account))
    late = np.round(_lateness(rng, account, day, len(book), grid) * 86400).astype(np.int64)
    # What had not arrived when the data was taken is not in it.
    arrived = day * 86400 + second + late < grid.days * 86400
    account, day, user = account[arrived], day[arrived], user[arrived]
    second, late = second[arrived], late[arrived]
    week, count = day // 7, len(account)
    draw = rng.random(count, dtype=np.float32)
    kind = np.zeros(count, np.int64)
    for number in range(len(KINDS) - 1):
        kind += draw > habits.kinds[account, week, number]
    others = np.array([number for number in range(len(FEATURES)) if number != traits.protective_feature])
    place = np.floor(rng.random(count) ** 1.4 * habits.breadth[account, week]).astype(np.int64)
    feature = others[(place + account % len(others)) % len(others)]
    uses_it = (day >= book.adopts_feature[account]) & (rng.random(count) < 0.15)
    feature = np.where(uses_it, traits.protective_feature, feature)
    happened = grid.instants(day) + second.astype("timedelta64[s]")
    quantity = rng.geometric(0.35, count)
    teamless = rng.random(len(book)) < 0.08
    team = user // TEAM_SIZE
    return pd.DataFrame(
        {
            "event_id": labels("E-", None, np.arange(count)),
            "account_id": texts(book.ids, account),
            "happened_at": happened,
            "user_id": labels([f"{one}-u" for one in book.ids], account, user),
            "team": texts(
                [f"team-{number}" for number in range(200)], np.minimum(team, 199), teamless[account]
            ),
            "feature": texts(list(FEATURES), feature, rng.random(count) < 0.01),
            "kind": texts(list(KINDS), kind),
            "quantity": quantity.astype(np.float64),
            "known_at": happened + late.astype("timedelta64[s]"),
        }
    )


def _people(
    rng: np.random.Generator, book: Book, habits: Habits, leavers: Leavers, grid: Grid, traits: Traits
) -> tuple[Ints, Ints, Ints]:
    """Who did something on which day: one entry per row to be."""
    days = np.arange(grid.days)
    season = 1 - traits.season * _dips(days, grid)
    rate = habits.rows[:, days // 7] * (_WEEKDAYS[(days + _first_weekday(grid)) % 7] * season)[None, :]
    rate = np.minimum(rate, 30.0)
    rate *= (days[None, :] >= book.created[:, None]) & (days[None, :] < leavers.gone[:, None])
    counts = rng.poisson(rate)
    account, day = np.nonzero(counts)
    repeats = counts[account, day]
    account, day = np.repeat(account, repeats), np.repeat(day, repeats)
    users = habits.users[account, day // 7]
    return account, day, np.floor(rng.random(len(account)) ** 1.3 * np.ceil(users)).astype(np.int64)


def _first_weekday(grid: Grid) -> int:
    return grid.first.weekday()


def _dips(days: Ints, grid: Grid) -> Floats:
    """1 in the depth of August and of the end of the year, 0 in between."""
    of_year = (grid.first.timetuple().tm_yday + days) % 365
    summer = np.exp(-(((of_year - 222) / 18.0) ** 2))
    winter = np.exp(-((np.minimum(np.abs(of_year - 361), 365 - np.abs(of_year - 361)) / 9.0) ** 2))
    return np.asarray(summer + winter)


def _lateness(rng: np.random.Generator, account: Ints, day: Ints, accounts: int, grid: Grid) -> Floats:
    """Days between an event and its arrival: seconds mostly, days for 3%, and feeds that stop for a while."""
    late = np.where(rng.random(len(day)) < 0.03, rng.uniform(0.5, 6.0, len(day)), 0.001)
    for _ in range(3):
        starts = int(rng.integers(0, max(grid.days - 12, 1)))
        length, hit = int(rng.integers(2, 6)), rng.random(accounts) < 0.08
        stopped = hit[account] & (day >= starts) & (day < starts + length)
        late = np.where(stopped, np.maximum(late, starts + length - day + 2.0), late)
    return late
