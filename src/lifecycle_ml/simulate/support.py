"""Support tickets: bugs, questions, wishes, outages; closing and scores are written in place, later."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lifecycle_ml.simulate.book import Book
from lifecycle_ml.simulate.causes import NUMBER
from lifecycle_ml.simulate.grid import NEVER, Floats, Grid, labels, scatter, stream, texts
from lifecycle_ml.simulate.growth import CAUSES_OF_GROWTH, Seats
from lifecycle_ml.simulate.leaving import Leavers
from lifecycle_ml.simulate.priors import Traits

TICKETS = ("bug", "question", "feature_gap", "premium_capability", "outage")
SERVICE, GAP = NUMBER["service_support_failure"], NUMBER["missing_product_capability"]


def write_tickets(
    seed: int, book: Book, trace: Floats, seats: Seats, leavers: Leavers, grid: Grid, traits: Traits
) -> pd.DataFrame:
    """One row per ticket, in order of account and time."""
    rng = stream(seed, "tickets")
    size = (book.seats / 15.0) ** 0.8
    noisy = (rng.lognormal(0, 0.2, len(book)) * size * traits.noise)[:, None]
    scale = np.clip(size, 0.35, 2.0)[:, None]
    service, gap = trace[SERVICE], trace[GAP]
    premium = seats.growth[CAUSES_OF_GROWTH.index("premium_capability")]
    young = np.exp(-np.clip(np.arange(grid.weeks)[None, :] * 7 - book.created[:, None], 0, None) / 60.0)
    ones = np.ones_like(service)
    rates = {
        "bug": 0.05 * noisy + 0.42 * service * scale,
        "question": (0.06 + 0.12 * young) * noisy * ones,
        "feature_gap": 0.004 * noisy * ones + 0.24 * gap * scale,
        "premium_capability": 0.004 * noisy * ones + 0.10 * premium,
        "outage": 0.002 * ones + 0.10 * service,
    }
    parts = [scatter(rng, rates[kind], book.created, leavers.gone, grid.days) for kind in TICKETS]
    kind = np.repeat(np.arange(len(TICKETS)), [len(part[0]) for part in parts])
    account, opened, week = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.lexsort((opened, account))
    account, opened, week, kind = account[order], opened[order], week[order], kind[order]

    count = len(account)
    bad, wish = service[account, week], gap[account, week] * (kind == 2)
    draw = rng.random(count)
    severe = np.clip(
        np.where(kind == 4, 0.75, np.where(kind == 0, 0.10, 0.02)) + 0.55 * bad * (kind == 0), 0, 0.95
    )
    severity = np.where(draw < severe, 1 + (draw > severe * 0.35), np.where(draw < severe + 0.5, 3, 4))
    respond = rng.lognormal(-1.6, 0.9, count) * (1 + 2.5 * bad)
    typical = np.array([3.0, 1.2, 18.0, 10.0, 0.8])[kind]
    resolve = typical * rng.lognormal(0, 0.6, count) * (1 + 4.0 * bad) * (1 + 1.5 * wish)
    closed = opened + np.maximum(resolve, respond + 0.05)
    reopened = np.where(
        rng.random(count) < np.clip(0.04 + 0.25 * bad, 0, 1), closed + rng.exponential(4, count), NEVER
    )
    escalated = np.where(
        rng.random(count) < np.clip(0.015 + 0.25 * bad * (severity < 3), 0, 1),
        opened + rng.exponential(3, count),
        NEVER,
    )
    score = np.clip(np.round(4.3 - 1.5 * bad - 0.4 * (wish > 0) + rng.normal(0, 0.8, count)), 1, 5)
    end = np.minimum(leavers.gone[account], grid.days)
    closed = np.where(closed < end, closed, NEVER)
    answered = (rng.random(count) < 0.45) & (closed < NEVER)
    escalated = np.where(escalated < np.minimum(closed, end), escalated, NEVER)
    reopened = np.where((reopened < end) & (closed < NEVER), reopened, NEVER)
    respond_at = np.where(opened + respond < end, opened + respond, NEVER)
    return pd.DataFrame(
        {
            "ticket_id": labels("T-", None, np.arange(1, count + 1)),
            "account_id": texts(book.ids, account),
            "opened_at": grid.instants(opened),
            "closed_at": grid.instants(closed),
            "severity": pd.array(np.where(rng.random(count) < 0.01, 3, severity), dtype="Int64"),
            "kind": texts(list(TICKETS), kind),
            "first_response_at": grid.instants(respond_at),
            "reopened_at": grid.instants(reopened),
            "csat": np.where(answered, score, np.nan),
            "escalated_at": grid.instants(escalated),
        }
    )
