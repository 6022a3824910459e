"""Who leaves, when and why, and the probability of it as the generator knows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifecycle_ml.simulate.book import Book
from lifecycle_ml.simulate.calendar import Calendar
from lifecycle_ml.simulate.causes import CAUSES
from lifecycle_ml.simulate.episodes import (
    BORN,
    CROWDED,
    FADE_WEEKS,
    FORGOTTEN_WEEKS,
    QUIET_WEEKS,
    Episodes,
    Pressure,
    calm_from,
    draw_marks,
    hazard_at,
    leaving_rate,
    onset_rate,
    protection,
)
from lifecycle_ml.simulate.grid import AHEAD, NEVER, WARM_UP, Flags, Floats, Grid, Ints, stream
from lifecycle_ml.simulate.priors import Traits

HORIZONS = (30, 90, 180)
FADE = float(np.exp(-1 / FADE_WEEKS))
POINTS = 2000
"""Points of the quadrature over what an episode yet to begin may be like."""

SETTLED = 28
"""Days after its creation in which no account decides to leave."""


@dataclass(frozen=True)
class Leavers:
    """One entry per account; NEVER (or -1) where it stays."""

    decided: Ints  # day of the decision
    gone: Ints  # first day without a contract
    cause: Ints
    posterior: Floats  # (accounts, causes): share of each cause in the hazard of the week of the decision


def draw_leavers(
    seed: int, book: Book, calendar: Calendar, pressure: Pressure, grid: Grid, traits: Traits
) -> Leavers:
    """Week by week, each account stays or leaves with the hazard its causes and its contract give it."""
    rng = stream(seed, "leaving")
    total = pressure.hazard.sum(axis=0).astype(np.float64)
    if not traits.causes:
        total = np.full_like(total, traits.chance)
    settled = (book.created + SETTLED) // 7 + WARM_UP + 1
    can = np.arange(grid.columns)[None, :] >= np.maximum(settled, WARM_UP)[:, None]
    now = total * calendar.open_door[:, : grid.columns] * can
    then = total * calendar.at_end[:, : grid.columns] * can
    event = rng.random(total.shape) < 1 - np.exp(-(now + then))
    leaves = event.any(axis=1)
    column = np.where(leaves, event.argmax(axis=1), grid.columns - 1)
    at = (np.arange(len(book)), column)
    at_once = rng.random(len(book)) * (now[at] + then[at]) < now[at]
    day = (column - WARM_UP) * 7 + rng.integers(0, 7, len(book))
    gone = np.where(at_once, day + calendar.notice, calendar.exit_day[at])
    decided = np.where(at_once, day, np.minimum(day, gone))
    leaves &= decided < grid.days  # what is decided after the data was taken has not happened
    weights = pressure.hazard[:, at[0], at[1]].T.astype(np.float64)
    scale = weights.sum(axis=1, keepdims=True)
    posterior = np.divide(weights, scale, out=np.zeros_like(weights), where=scale > 0)
    drawn = (posterior.cumsum(axis=1) < rng.random((len(book), 1))).sum(axis=1)
    cause = np.where(leaves & traits.causes, np.minimum(drawn, len(CAUSES) - 1), -1)
    return Leavers(
        decided=np.where(leaves, decided, NEVER),
        gone=np.where(leaves, gone, NEVER),
        cause=cause,
        posterior=np.where(leaves[:, None], posterior, 0.0),
    )


@dataclass(frozen=True)
class Outlook:
    """The true probabilities at one instant: who has a contract, and the chance to lose it by horizon."""

    account: Ints
    probability: Floats  # (accounts, horizons)
    shares: Floats  # (accounts, causes): part of each cause in the hazard expected over 90 days


def look_ahead(
    week: int,
    book: Book,
    calendar: Calendar,
    episodes: Episodes,
    leavers: Leavers,
    here: Flags,
    future: FutureEpisodes,
    grid: Grid,
    traits: Traits,
) -> Outlook:
    """Forward product over the weeks ahead, given everything at the start of `week` and nothing after it.

    Known: the episodes at work, their strength, lead and treatment, when the account takes up the protective
    feature, the contract calendar, decisions taken.
    Not known: when an episode ends and which ones begin; both are averaged out.
    """
    count, first = len(book), week + WARM_UP
    columns = np.arange(first, first + AHEAD)
    open_door, at_end = calendar.open_door[:, columns].copy(), calendar.at_end[:, columns].copy()
    early = (columns[None, :] - WARM_UP) * 7 < book.created[:, None] + SETTLED
    open_door[early], at_end[early] = 0.0, 0.0
    shield = protection(book, grid, traits)[:, columns]
    decided = leavers.decided < week * 7
    known = (episodes.onset < first) & (episodes.hazard > 0)
    active = known & (episodes.ends > first - FORGOTTEN_WEEKS)
    picked = np.nonzero(active & here[episodes.account] & ~decided[episodes.account])[0]
    who = episodes.account[picked]
    # Seen from now: an episode that was at work last week may go on; one that had ended is fading.
    over = np.minimum(episodes.ends[picked] - first, 0)
    going = over == 0
    troubled = np.bincount(who[going], minlength=count) > 0
    steps = np.arange(first, first + AHEAD)
    bare = np.stack([hazard_at(episodes, picked, np.full(len(picked), step)) for step in steps], axis=1)
    bare *= shield[who]
    rests = steps[None, :] - episodes.onset[picked][:, None] > calm_from(episodes.lead[picked])[:, None]
    ending = np.where(rests, leaving_rate(episodes.cause[picked], episodes.lead[picked])[:, None], 0.0)

    probability = np.empty((count, len(HORIZONS)))
    shares = np.zeros((count, len(CAUSES)))
    for number, horizon in enumerate(HORIZONS):
        # An exit counts when its day lies before the horizon: within the week evenly, or on a known day.
        offset = np.arange(AHEAD)[None, :] * 7
        inside = np.clip((horizon - offset - calendar.notice[:, None]) / 7, 0.0, 1.0)
        by_then = calendar.exit_day[:, columns] - week * 7 < horizon
        weight = open_door * inside + at_end * by_then
        stay, rest = np.ones(len(picked)), np.zeros(len(picked))
        for step in range(AHEAD - 1, -1, -1):
            hit = weight[who, step] * bare[:, step]
            rest = FADE * (hit + rest)  # what is left of the hazard if it ends here
            stay = ending[:, step] * np.exp(-rest) + (1 - ending[:, step]) * np.exp(-hit) * stay
        force = np.where(going, -np.log(np.maximum(stay, 1e-300)), FADE**-over * rest)
        begun = np.bincount(who, force, minlength=count)
        if traits.causes:
            to_come = future.expected(first, weight * shield, troubled)
            risk = begun + to_come.sum(axis=1)
        else:
            risk = (weight * traits.chance).sum(axis=1)
        left = (leavers.gone - week * 7 < horizon).astype(np.float64)
        probability[:, number] = np.where(decided, left, 1 - np.exp(-risk))
        if horizon == 90 and traits.causes:
            np.add.at(shares, (who, episodes.cause[picked]), force)
            shares += to_come
    scale = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, scale, out=np.zeros_like(shares), where=scale > 0)
    shares[decided] = leavers.posterior[decided]
    rows = np.nonzero(here)[0]
    return Outlook(rows, probability[rows], shares[rows])


class FutureEpisodes:
    """What episodes that have not begun add to the hazard, by how often they begin and how they grow."""

    def __init__(self, book: Book, grid: Grid, traits: Traits) -> None:
        """Tabulate, per cause, weeks ahead and hazard weeks, the chance that a new episode ends it."""
        self.points = np.array([0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.3, 10.0, 20.0, 40.0])
        self.rates = {
            number: onset_rate(number, book, grid, traits)
            for number in range(len(CAUSES))
            if number not in BORN
        }
        self.tables = {number: self._table(number, grid, traits) for number in self.rates}
        self.quiet_until = book.created // 7 + WARM_UP + QUIET_WEEKS

    def _table(self, number: int, grid: Grid, traits: Traits) -> tuple[Floats, Floats]:
        """By weeks ahead: what may begin until then, and the same weighted with the week it begins."""
        # Episodes from a fixed stream serve as quadrature; they are no part of any company's chance.
        same = np.full(POINTS, number)
        rng = stream(number, "quadrature")
        sample = draw_marks(rng, np.zeros(POINTS, np.int64), same, 0 * same, traits, grid)
        ending, least = leaving_rate(sample.cause, sample.lead), calm_from(sample.lead)
        alive, fading = np.ones(POINTS), np.zeros(POINTS)
        hits = np.zeros((AHEAD, len(self.points)))
        for age in range(AHEAD):
            ends = np.where(age > least, ending, 0.0) * alive
            fading = FADE * (fading + ends)
            alive = alive - ends
            full = hazard_at(sample, np.arange(POINTS), np.full(POINTS, age)) * (alive + fading)
            hits[age] = (1 - np.exp(-full[:, None] * self.points)).mean(axis=0)
        level = hits.cumsum(axis=0)
        later = np.concatenate([np.zeros_like(level[:1]), level[:-1].cumsum(axis=0)])
        return level, later

    def expected(self, first: int, weight: Floats, troubled: Flags) -> Floats:
        """(accounts, causes): hazard to be expected from episodes beginning from column `first` on.

        weight: (accounts, weeks ahead) hazard weeks. Where an episode is at work others are rarer; where none
        is, one may begin, so the rate falls with the weeks (a line through its value in eight weeks).
        """
        column = min(first, next(iter(self.rates.values())).shape[1] - 1)
        together = np.sum([rate[:, column] for rate in self.rates.values()], axis=0)
        slope = np.where(troubled, 0.0, (1 - CROWDED) * (np.exp(-8 * together) - 1) / 8)
        room = np.where(troubled, CROWDED, 1.0)
        wait = np.maximum(self.quiet_until - first, 0)
        steps = np.arange(AHEAD)[None, :] - wait[:, None]
        begun, steps = steps >= 0, np.maximum(steps, 0)
        low = np.clip(np.searchsorted(self.points, weight, side="right") - 1, 0, len(self.points) - 2)
        part = (weight - self.points[low]) / (self.points[low + 1] - self.points[low])
        result = np.zeros((len(weight), len(CAUSES)))
        for number, (level, later) in self.tables.items():
            value = np.zeros(len(weight))
            for table, factor in ((level, room), (later, slope)):
                found = table[steps, low] * (1 - part) + table[steps, low + 1] * part
                value += factor * (found * begun).sum(axis=1)
            result[:, number] = self.rates[number][:, column] * np.maximum(value, 0.0)
        return result
