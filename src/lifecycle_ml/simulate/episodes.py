"""Episodes: a cause at work in one account, from its first trace until it ends or the account leaves.

Beside the true episodes there are look-alikes: the same traces, no hazard. A muted episode is the opposite:
full hazard, hardly a trace. Between the first trace and the full hazard lies the lead time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifecycle_ml.simulate.book import Book
from lifecycle_ml.simulate.causes import CAUSES, NUMBER, SUDDEN_FORCE, SUDDEN_LEAD, SUDDEN_LINGER
from lifecycle_ml.simulate.grid import AHEAD, NEVER, WARM_UP, Flags, Floats, Grid, Ints, stream
from lifecycle_ml.simulate.priors import Traits

FADE_WEEKS = 7.0
"""Traces and hazard of an ended episode fall to a third in this time."""

FORGOTTEN_WEEKS = 30
"""An episode ended so long ago has neither."""

TRACE = 1.55
"""Usual height of the traces of a full-grown episode."""

CROWDED = 0.45
"""How often an episode begins where another is at work, compared with an untroubled account."""

QUIET_WEEKS = 6
"""No cause but those an account is born with begins earlier in its life."""

GAP_HERE, GAP_ELSEWHERE = 2.8, 0.7
"""How often a capability is missed in the industry of the product gap and elsewhere, beside the usual."""

BORN = (NUMBER["bad_fit_customer_sold"], NUMBER["failed_onboarding"])
COMPETITION = NUMBER["competitive_displacement"]
GAP = NUMBER["missing_product_capability"]


@dataclass(frozen=True)
class Episodes:
    """One entry per episode; weeks are columns (the first day is column WARM_UP)."""

    account: Ints
    cause: Ints
    onset: Ints  # column in which it begins
    lead: Floats  # weeks to the full hazard
    ends: Ints  # column from which it is over, if the account is still there
    hazard: Floats  # weekly hazard at full height; 0 for look-alikes
    trace: Floats  # height of its traces, 1 is usual
    treated: Ints  # column from which its treatment works; beyond the end if none
    relief: Floats  # multiplier of the hazard once treated

    def __len__(self) -> int:
        return len(self.account)


def draw_episodes(seed: int, book: Book, grid: Grid, traits: Traits) -> Episodes:
    """Draw the true episodes, fewer where one is at work already, and the look-alikes."""
    rng = stream(seed, "episodes")
    account: list[Ints] = []
    cause: list[Ints] = []
    onset: list[Ints] = []
    for number in range(len(CAUSES)):
        born = {BORN[0]: book.bad_fit, BORN[1]: book.stalled}.get(number)
        if born is not None:
            who = np.nonzero(born)[0]
            when = book.created[who] // 7 + WARM_UP
        else:
            who, when = _beginnings(rng, onset_rate(number, book, grid, traits), book)
        account.append(who)
        cause.append(np.full(len(who), number))
        onset.append(when)
    true = draw_marks(
        rng, np.concatenate(account), np.concatenate(cause), np.concatenate(onset), traits, grid
    )
    true = _spaced(rng, true)
    alike = _look_alikes(stream(seed, "look-alikes"), book, grid, traits)
    if not traits.causes:
        true = _without_hazard(true)
    return _join(true, alike)


def onset_rate(number: int, book: Book, grid: Grid, traits: Traits) -> Floats:
    """Episodes of one cause expected per account and week; here drift and the product gap come in."""
    weekly = CAUSES[number].yearly / 52 * traits.mix[number] * book.frailty
    if number == GAP and traits.causes:
        weekly = weekly * np.where(book.industry == traits.gap_industry, GAP_HERE, GAP_ELSEWHERE)
    rate = np.repeat(weekly[:, None], grid.columns, axis=1)
    if number == COMPETITION and traits.causes:
        rate[:, WARM_UP + traits.drift_week :] *= traits.drift_factor
    return rate


def _beginnings(rng: np.random.Generator, rate: Floats, book: Book) -> tuple[Ints, Ints]:
    counts = rng.poisson(rate)
    who, when = np.nonzero(counts)
    keep = when >= book.created[who] // 7 + WARM_UP + QUIET_WEEKS
    return who[keep], when[keep]


def draw_marks(
    rng: np.random.Generator, account: Ints, cause: Ints, onset: Ints, traits: Traits, grid: Grid
) -> Episodes:
    count = len(account)
    lead = np.array([one.lead for one in CAUSES])[cause] / 7 * rng.lognormal(-0.06, 0.30, count)
    sudden = (rng.random(count) < traits.sudden) & ~np.isin(cause, BORN)
    lead = np.where(sudden, SUDDEN_LEAD, np.clip(lead, 6, 32))
    quiet = rng.random(count) < traits.muted
    size = np.clip(rng.lognormal(-0.05, 0.32, count), 0.45, 1.7)
    treated_share = rng.random(count) < (0.15 if traits.causes else 0.0)
    delay = np.maximum(2, np.round(lead * rng.uniform(0.4, 1.0, count))).astype(np.int64)
    return Episodes(
        account=account,
        cause=cause,
        onset=onset,
        lead=lead,
        ends=onset + calm_from(lead) + rng.geometric(leaving_rate(cause, lead)),
        hazard=np.array([one.hazard for one in CAUSES])[cause]
        * traits.strength[cause]
        * np.where(sudden, SUDDEN_FORCE, 1.0)
        * size**1.5
        * rng.lognormal(-0.01, 0.15, count),
        trace=np.where(quiet, rng.uniform(0.0, 0.15, count), TRACE * size),
        treated=np.where(treated_share, onset + delay, grid.columns + 1),
        relief=np.where(treated_share, rng.uniform(0.3, 0.8, count), 1.0),
    )


def _spaced(rng: np.random.Generator, drawn: Episodes) -> Episodes:
    """Drop some of the episodes that begin while another is at work in the account."""
    order = np.lexsort((drawn.onset, drawn.account))
    lucky = rng.random(len(drawn)) < CROWDED
    keep = np.zeros(len(drawn), dtype=bool)
    busy: dict[int, int] = {}
    for number in order:
        account, onset = int(drawn.account[number]), int(drawn.onset[number])
        until = busy.get(account, -NEVER)
        if onset >= until or lucky[number]:
            keep[number] = True
            busy[account] = max(until, int(drawn.ends[number]))
    return Episodes(**{name: getattr(drawn, name)[keep] for name in Episodes.__dataclass_fields__})


def calm_from(lead: Floats) -> Ints:
    """Weeks an episode lasts at least."""
    return np.maximum(3, np.round(lead * 0.8)).astype(np.int64)


def leaving_rate(cause: Ints, lead: Floats) -> Floats:
    """Chance per week that an episode past its minimum ends."""
    usual = np.array([one.linger for one in CAUSES])[cause]
    return np.asarray(1.0 / np.where(lead <= SUDDEN_LEAD, SUDDEN_LINGER, usual))


def height(age: Floats, lead: Floats) -> Floats:
    """Share of the full hazard at an age in weeks: it comes late, after the traces."""
    return np.clip((age + 1) / lead, 0.0, 1.0) ** 2.5


def _look_alikes(rng: np.random.Generator, book: Book, grid: Grid, traits: Traits) -> Episodes:
    account: list[Ints] = []
    cause: list[Ints] = []
    onset: list[Ints] = []
    for number, one in enumerate(CAUSES):
        if number in BORN:
            who = np.nonzero(rng.random(len(book)) < one.at_start * traits.alike * 0.6)[0]
            when = book.created[who] // 7 + WARM_UP
        else:
            rate = np.full((len(book), grid.columns), one.yearly / 52 * traits.alike)
            who, when = _beginnings(rng, rate, book)
        account.append(who)
        cause.append(np.full(len(who), number))
        onset.append(when)
    drawn = draw_marks(
        rng, np.concatenate(account), np.concatenate(cause), np.concatenate(onset), traits, grid
    )
    return _without_hazard(drawn)


def _without_hazard(drawn: Episodes) -> Episodes:
    """The same traces, kept visible and untreated, without effect."""
    return Episodes(
        account=drawn.account,
        cause=drawn.cause,
        onset=drawn.onset,
        lead=drawn.lead,
        ends=drawn.ends,
        hazard=np.zeros(len(drawn)),
        trace=drawn.trace,
        treated=np.full(len(drawn), 10**6),
        relief=np.ones(len(drawn)),
    )


def _join(first: Episodes, second: Episodes) -> Episodes:
    pairs = {name: (getattr(first, name), getattr(second, name)) for name in Episodes.__dataclass_fields__}
    return Episodes(**{name: np.concatenate(pair) for name, pair in pairs.items()})


@dataclass(frozen=True)
class Pressure:
    """What the episodes do to each cause, account and week."""

    hazard: Floats  # (causes, accounts, columns): weekly hazard of an account that may leave at any time
    trace: Floats  # (causes, accounts, columns from week 0): height of traces, 0 to about 1.6


def press(episodes: Episodes, book: Book, grid: Grid, traits: Traits) -> Pressure:
    """Lay all episodes over the weeks: hazards add up, traces do not exceed 1.6."""
    shape = (len(CAUSES), len(book), grid.columns)
    hazard, trace = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for age in range(grid.columns + max(0, int(-episodes.onset.min(initial=0)))):
        week = episodes.onset + age
        live = (week >= 0) & (week < grid.columns) & (week < episodes.ends + FORGOTTEN_WEEKS)
        if not live.any():
            continue
        week, picked = week[live], np.nonzero(live)[0]
        at = (episodes.cause[picked], episodes.account[picked], week)
        open_ = week < episodes.ends[picked]
        rise = np.clip((age + 1) / np.maximum(episodes.lead[picked] * 0.45, 2), 0, 1)
        fade = np.where(open_, 1.0, np.exp(-(week - episodes.ends[picked] + 1) / FADE_WEEKS))
        np.add.at(trace, at, episodes.trace[picked] * rise * fade)
        full = hazard_at(episodes, picked, week) * fade
        np.add.at(hazard, at, full)
    return Pressure(
        hazard * protection(book, grid, traits)[None, :, : grid.columns],
        np.minimum(trace[:, :, WARM_UP:], 2.2),
    )


def hazard_at(episodes: Episodes, picked: Ints | Flags, week: Ints) -> Floats:
    """Weekly hazard of some episodes in the given columns, as long as they have not ended."""
    age = (week - episodes.onset[picked]).astype(np.float64)
    full = episodes.hazard[picked] * height(age, episodes.lead[picked])
    return np.asarray(np.where(week >= episodes.treated[picked], full * episodes.relief[picked], full))


def protection(book: Book, grid: Grid, traits: Traits) -> Floats:
    """Multiplier of every hazard by account and column (AHEAD more of them): below 1 once protected."""
    if not traits.causes:
        return np.ones((len(book), grid.columns + AHEAD))
    weeks = (np.arange(grid.columns + AHEAD) - WARM_UP) * 7
    return np.where(weeks[None, :] >= book.adopts_feature[:, None], traits.protection, 1.0)
