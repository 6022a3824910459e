"""The book of accounts: who they are, when they came, how large, and how they contract."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lifecycle_ml.simulate.causes import CAUSES
from lifecycle_ml.simulate.grid import Flags, Floats, Grid, Ints, stream
from lifecycle_ml.simulate.priors import (
    ANNUAL,
    CHANNELS,
    EVERGREEN,
    INDUSTRIES,
    REGIONS,
    SEGMENTS,
    Traits,
)

PRICES = np.array([240.0, 480.0, 840.0])
BAD_CHANNEL = 0.5
"""Chance of a bad fit through the bad channel, in every company."""

ACTIVATING = 0.2
"""Onboarding stalls so much as often in the activating segment as elsewhere."""

PLANS = ("basic", "pro", "enterprise")


@dataclass(frozen=True)
class Book:
    """One entry per account, in arrays of the same length; days count from the first day."""

    ids: list[str]
    created: Ints  # day of creation = first day of the first contract; negative before the first day
    seats: Ints  # at the start
    segment: Ints
    industry: Ints
    region: Ints
    channel: Ints
    plan: Ints
    discount: Floats
    term: Ints
    auto_renew: Flags
    notice: Ints  # days
    fit: Floats  # 0 to 1 as judged at the hand-off
    frailty: Floats  # multiplies how often trouble begins
    adopts_feature: Ints  # day from which the protective feature is used
    bad_fit: Flags
    stalled: Flags  # onboarding fails

    def __len__(self) -> int:
        return len(self.ids)


def draw_book(seed: int, accounts: int, grid: Grid, traits: Traits) -> Book:
    """Six in ten accounts are there on the first day; the others arrive evenly, the last 60 days excepted."""
    rng = stream(seed, "book")
    there = rng.random(accounts) < 0.6
    arriving = rng.uniform(0, max(grid.days - 60, 1), accounts)
    created = np.sort(np.where(there, rng.uniform(-900, -1, accounts), arriving)).astype(np.int64)
    seats = np.clip(np.round(rng.lognormal(np.log(15), 0.9, accounts)), 5, 500).astype(np.int64)
    segment = np.digitize(seats, (8, 25, 80))
    channel = rng.choice(len(CHANNELS), accounts, p=(0.24, 0.22, 0.16, 0.14, 0.12, 0.12))
    industry = rng.integers(len(INDUSTRIES), size=accounts)
    region = rng.choice(len(REGIONS), accounts, p=(0.45, 0.35, 0.20))
    plan = np.clip(segment - 1 + rng.integers(0, 2, accounts), 0, 2)
    term = rng.choice(3, accounts, p=traits.terms)
    bad_fit_chance, stall_chance = (np.full(accounts, one.at_start) for one in CAUSES[:2])
    if traits.causes:
        bad_fit_chance = np.where(channel == traits.bad_channel, BAD_CHANNEL / traits.mix[0], bad_fit_chance)
        stall_chance = np.where(segment == traits.activating_segment, ACTIVATING * stall_chance, stall_chance)
    bad_fit = rng.random(accounts) < bad_fit_chance * traits.mix[0]
    stalled = rng.random(accounts) < stall_chance * traits.mix[1]
    fit = np.clip(rng.normal(np.where(bad_fit, 0.42, 0.68), 0.14), 0.02, 0.99)
    discount = np.round(
        np.clip(
            rng.choice((0.0, 0.05, 0.1, 0.15), accounts) + bad_fit * rng.uniform(0.02, 0.3, accounts), 0, 0.6
        ),
        2,
    )
    adopts = np.where(
        rng.random(accounts) < 0.3, np.maximum(created, 0) + rng.uniform(10, 400, accounts), 10**6
    )
    return Book(
        ids=[f"A-{number:05d}" for number in range(1, accounts + 1)],
        created=created,
        seats=seats,
        segment=segment,
        industry=industry,
        region=region,
        channel=channel,
        plan=plan,
        discount=discount,
        term=term,
        auto_renew=np.where(term == ANNUAL, rng.random(accounts) < 0.35, True),
        notice=np.where(
            term == ANNUAL,
            rng.choice((21, 30, 45), accounts),
            np.where(term == EVERGREEN, rng.choice((0, 7, 14), accounts), 0),
        ),
        fit=fit,
        frailty=rng.lognormal(-0.045, 0.3, accounts),
        adopts_feature=adopts.astype(np.int64),
        bad_fit=bad_fit,
        stalled=stalled,
    )


def segment_of(seats: Ints) -> Ints:
    """The segment a customer system would show today for that many seats."""
    return np.clip(np.digitize(seats, (8, 25, 80)), 0, len(SEGMENTS) - 1)
