"""What only evaluations may open: the generator's own probabilities, causes, treatments and planted facts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from lifecycle_ml.simulate.book import ACTIVATING, BAD_CHANNEL, Book
from lifecycle_ml.simulate.calendar import Calendar
from lifecycle_ml.simulate.causes import CAUSES
from lifecycle_ml.simulate.episodes import GAP_ELSEWHERE, GAP_HERE, Episodes
from lifecycle_ml.simulate.grid import NEVER, WARM_UP, Flags, Grid, texts
from lifecycle_ml.simulate.growth import CAUSES_OF_GROWTH, Growth
from lifecycle_ml.simulate.leaving import HORIZONS, FutureEpisodes, Leavers, look_ahead
from lifecycle_ml.simulate.priors import (
    CAPABILITIES,
    CHANNELS,
    FEATURES,
    INDUSTRIES,
    SEGMENTS,
    Traits,
)
from lifecycle_ml.tables.schema import CATEGORIES

CHANCE = "chance"


def write_probabilities(
    book: Book,
    calendar: Calendar,
    episodes: Episodes,
    leavers: Leavers,
    grid: Grid,
    traits: Traits,
    step_weeks: int,
) -> pd.DataFrame:
    """account_id, as_of, probability_30d/90d/180d, share_<cause>: accounts with a contract, by week."""
    future = FutureEpisodes(book, grid, traits)
    lapsed = _lapsed(calendar, leavers, grid)
    parts = []
    for week in range(step_weeks, grid.weeks + 1, step_weeks):
        if week * 7 > grid.days:
            break
        here = (book.created <= week * 7) & (leavers.gone > week * 7) & ~lapsed[:, week]
        outlook = look_ahead(week, book, calendar, episodes, leavers, here, future, grid, traits)
        part = pd.DataFrame({"account": outlook.account, "day": np.full(len(outlook.account), week * 7)})
        for number, horizon in enumerate(HORIZONS):
            part[f"probability_{horizon}d"] = outlook.probability[:, number]
        for number, category in enumerate(CATEGORIES):
            part[f"share_{category}"] = outlook.shares[:, number].astype(np.float32)
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    account, day = table.pop("account").to_numpy(), table.pop("day").to_numpy()
    table.insert(0, "account_id", texts(book.ids, account))
    table.insert(1, "as_of", grid.dates(day))
    return table


def _lapsed(calendar: Calendar, leavers: Leavers, grid: Grid) -> Flags:
    """Weeks that begin between the end of a term and its late renewal: nothing is in force."""
    lapsed = np.zeros((len(calendar.terms), grid.weeks + 2), dtype=bool)
    for account, terms in enumerate(calendar.terms):
        for term, following in pairwise(terms):
            if (
                term.end is not None
                and following.start > term.end
                and following.start < leavers.gone[account]
            ):
                weeks = np.arange(max(0, -(-term.end // 7)), max(0, -(-following.start // 7)))
                lapsed[account, weeks[weeks < lapsed.shape[1]]] = True
    return lapsed


def write_leavers(book: Book, leavers: Leavers, grid: Grid) -> pd.DataFrame:
    """account_id, decided_on, churned_on, cause, likeliest, posterior_<cause>: all who decided to leave."""
    who = np.nonzero(leavers.decided < grid.days)[0]
    names = [*CATEGORIES, CHANCE]
    chance = leavers.cause[who] < 0
    likeliest = np.where(chance, len(CATEGORIES), leavers.posterior[who].argmax(axis=1))
    table = pd.DataFrame(
        {
            "account_id": texts(book.ids, who),
            "decided_on": grid.dates(leavers.decided[who]),
            "churned_on": grid.dates(leavers.gone[who]),
            "cause": texts(names, np.where(chance, len(CATEGORIES), leavers.cause[who])),
            "likeliest": texts(names, likeliest),
        }
    )
    for number, category in enumerate(CATEGORIES):
        table[f"posterior_{category}"] = leavers.posterior[who, number]
    return table


def write_episodes(book: Book, episodes: Episodes, grid: Grid) -> pd.DataFrame:
    """account_id, cause, began_on, lead_days, over_on, nature (true, muted, look_alike), hazard, trace."""
    kind = np.where(episodes.hazard == 0, 2, np.where(episodes.trace < 0.16, 1, 0))
    return pd.DataFrame(
        {
            "account_id": texts(book.ids, episodes.account),
            "cause": texts(list(CATEGORIES), episodes.cause),
            "began_on": grid.dates((episodes.onset - WARM_UP) * 7),
            "lead_days": np.round(episodes.lead * 7, 1),
            "over_on": grid.dates((episodes.ends - WARM_UP) * 7),
            "nature": texts(["true", "muted", "look_alike"], kind),
            "weekly_hazard": episodes.hazard,
            "trace": episodes.trace,
        }
    )


def write_treatments(book: Book, episodes: Episodes, leavers: Leavers, grid: Grid) -> pd.DataFrame:
    """account_id, from_on, cause, hazard_multiplier: what was done about an episode, and its true effect."""
    day = (episodes.treated - WARM_UP) * 7
    given = (episodes.relief < 1) & (day >= 0) & (day < grid.days) & (day < leavers.gone[episodes.account])
    return pd.DataFrame(
        {
            "account_id": texts(book.ids, episodes.account[given]),
            "from_on": grid.dates(day[given]),
            "cause": texts(list(CATEGORIES), episodes.cause[given]),
            "hazard_multiplier": episodes.relief[given],
        }
    )


def write_growth(book: Book, growth: Growth, grid: Grid) -> pd.DataFrame:
    """account_id, cause, began_on, expanded_on (empty where nothing came of it)."""
    return pd.DataFrame(
        {
            "account_id": texts(book.ids, growth.account),
            "cause": texts(list(CAUSES_OF_GROWTH), growth.cause),
            "began_on": grid.dates(growth.begun),
            "expanded_on": grid.dates(np.where(growth.grown < grid.days, growth.grown, NEVER)),
        }
    )


def write_planted(traits: Traits, grid: Grid) -> pd.DataFrame:
    """fact, column, value, effect, from_on: what was planted; no rows in a company without causes."""
    rows: list[tuple[str, str, str, float, int]] = []
    gap = GAP_HERE / GAP_ELSEWHERE
    if traits.causes:
        rows = [
            (
                "bad_fit_channel",
                "acquisition_channel",
                CHANNELS[traits.bad_channel],
                BAD_CHANNEL / (CAUSES[0].at_start * traits.mix[0]),
                NEVER,
            ),
            ("activating_segment", "segment", SEGMENTS[traits.activating_segment], ACTIVATING, NEVER),
            ("protective_feature", "feature", FEATURES[traits.protective_feature], traits.protection, NEVER),
            ("product_gap", "industry", INDUSTRIES[traits.gap_industry], gap, NEVER),
            (
                "product_gap",
                "topic",
                f"gap:{CAPABILITIES[traits.gap_capability]}",
                GAP_HERE / GAP_ELSEWHERE,
                NEVER,
            ),
            ("drift", "cause", "competitive_displacement", traits.drift_factor, traits.drift_week * 7),
        ]
    table = pd.DataFrame(rows, columns=["fact", "column", "value", "effect", "from_day"])
    table["from_on"] = grid.dates(table.pop("from_day").to_numpy(dtype=np.float64))
    for name in ("fact", "column", "value"):
        table[name] = table[name].astype("str")
    return table
