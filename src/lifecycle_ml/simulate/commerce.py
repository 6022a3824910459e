"""Accounts, invoices, signals and recorded outcomes: what the customer system and finance hold."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lifecycle_ml.simulate.book import Book, segment_of
from lifecycle_ml.simulate.causes import NUMBER
from lifecycle_ml.simulate.grid import NEVER, Floats, Grid, labels, scatter, stream, texts
from lifecycle_ml.simulate.growth import CAUSES_OF_GROWTH, Seats
from lifecycle_ml.simulate.leaving import Leavers
from lifecycle_ml.simulate.priors import (
    ANNUAL,
    CAPABILITIES,
    CHANNELS,
    INDUSTRIES,
    REGIONS,
    SEGMENTS,
    Traits,
)
from lifecycle_ml.tables.schema import CATEGORIES

SIGNALS = (
    "hiring_related", "new_department", "new_initiative", "broader_need",
    "competitor_mention", "budget_cut", "layoffs", "merger", "closure",
)  # fmt: skip
SOURCES = ("heard in a meeting", "read in the news", "seen in a job advert", "told by a partner")
HANDOFF = ("goals", "success_criteria", "stakeholder_map", "integration_plan", "go_live_date", "known_risks")
_FIRST_WORDS = "Alder Birch Cobalt Delta Ember Fjord Granite Harbor Iris Juniper Kestrel Lumen Marble Nimbus"
_SECOND_WORDS = "Labs Works Group Systems Partners Trading Health Foods Media Logistics"
BUDGET, RIVAL = NUMBER["budget_eliminated"], NUMBER["competitive_displacement"]
CLOSED, FIT = NUMBER["company_closed_or_merged"], NUMBER["bad_fit_customer_sold"]


def write_accounts(
    seed: int, book: Book, leavers: Leavers, seats: Seats, grid: Grid, traits: Traits
) -> pd.DataFrame:
    """Account rows as they stand when the data is taken: segment, fit and owners show today, not then."""
    rng = stream(seed, "accounts")
    count = len(book)
    gaps = rng.binomial(len(HANDOFF), np.where(book.bad_fit, 0.45, 0.10))
    gaps = np.where(book.bad_fit, gaps, np.minimum(gaps, 2))
    missing = [list(rng.permutation(HANDOFF)[:number]) for number in gaps]
    gone = leavers.gone < grid.days
    fit = book.fit
    if traits.causes:
        # Afterwards everybody knew: the judgement is revised in place.
        revised = gone & (leavers.cause == FIT) & (rng.random(count) < 0.5)
        fit = np.where(revised, fit * 0.6, fit)
    owner = np.array([f"csm-{number}" for number in range(1, 1 + max(4, count // 60))])
    csm = owner[rng.integers(len(owner), size=count)]
    channel = np.array(CHANNELS)[book.channel]
    campaign = np.char.add(np.char.add(channel, "-"), rng.integers(1, 5, count).astype(str))
    employees = np.round(book.seats * rng.lognormal(2.0, 0.7, count)).astype(np.int64)
    children = rng.random(count) < 0.02
    parent = rng.integers(count, size=count)
    orphan = ~children | (parent == np.arange(count))
    return pd.DataFrame(
        {
            "account_id": pd.array(book.ids, dtype="str"),
            "name": pd.array(_names(rng, count), dtype="str"),
            "segment": texts(list(SEGMENTS), segment_of(seats.level[:, -1].astype(np.int64))),
            "industry": texts(list(INDUSTRIES), book.industry, rng.random(count) < 0.06),
            "region": texts(list(REGIONS), book.region),
            "employees": pd.array(np.where(rng.random(count) < 0.1, -1, employees), dtype="Int64").astype(
                "Int64"
            ),
            "parent_account_id": texts(book.ids, parent, orphan),
            "created_at": grid.instants(book.created - 16 + rng.uniform(0.35, 0.75, count)),
            "csm_owner": pd.array(csm, dtype="str"),
            "sales_owner": pd.array(np.char.add("ae-", rng.integers(1, 9, count).astype(str)), dtype="str"),
            "acquisition_channel": pd.array(channel, dtype="str"),
            "acquisition_campaign": pd.array(campaign, dtype="str"),
            "acquisition_cost": np.round(book.seats**0.7 * 260 * rng.lognormal(0, 0.4, count), 2),
            "icp_fit": np.where(rng.random(count) < 0.08, np.nan, np.round(fit, 2)),
            "handoff_missing": pd.Series(missing, dtype=object),
            "review_cadence_days": pd.array(rng.choice((90, 90, 180), count), dtype="Int64"),
        }
    ).assign(employees=lambda table: table["employees"].mask(table["employees"] < 0))


def _names(rng: np.random.Generator, count: int) -> list[str]:
    first, second = _FIRST_WORDS.split(), _SECOND_WORDS.split()
    one, two = rng.integers(len(first), size=count), rng.integers(len(second), size=count)
    return [
        f"{first[a]} {second[b]} {number}"
        for number, (a, b) in enumerate(zip(one, two, strict=True), start=1)
    ]


def write_invoices(
    seed: int,
    book: Book,
    contracts: pd.DataFrame,
    trace: Floats,
    grid: Grid,
    traits: Traits,
) -> pd.DataFrame:
    """Monthly invoices (quarterly on annual terms); a few are corrected later: two versions of one row."""
    rng = stream(seed, "invoices")
    position = {one: number for number, one in enumerate(book.ids)}
    owner = contracts["account_id"].map(position).to_numpy()
    start = (contracts["starts_on"] - pd.Timestamp(grid.first)).dt.days.to_numpy()
    end = contracts[["ends_on", "cancelled_on"]].min(axis=1)
    last = (end - pd.Timestamp(grid.first)).dt.days.fillna(NEVER).to_numpy()
    every = np.where(book.term[owner] == ANNUAL, 91, 30)
    count = np.maximum(0, np.ceil((np.minimum(last, grid.days) - start) / every)).astype(np.int64)
    row = np.repeat(np.arange(len(contracts)), count)
    number = np.arange(len(row)) - np.repeat(count.cumsum() - count, count)
    issued = start[row] + number * every[row]
    keep = issued >= 0
    row, issued = row[keep], issued[keep]
    account, week = owner[row], np.minimum(issued // 7, grid.weeks - 1)
    habit = np.abs(rng.normal(0.0, 2.5, len(book)))[account]
    broke = trace[BUDGET][account, week] + 0.3 * trace[CLOSED][account, week]
    due = issued + np.where(book.term[account] == ANNUAL, 30, 14)
    slip = rng.normal(-2, 4, len(row)) + habit + broke * rng.uniform(15, 65, len(row))
    slip += np.where(rng.random(len(row)) < 0.03 * traits.noise, rng.exponential(15, len(row)), 0)
    paid = np.maximum(issued + 1, due + slip).astype(np.int64)
    share = np.where(book.term[account] == ANNUAL, 91 / 365, 30 / 365)
    amount = np.round(contracts["arr"].to_numpy()[row] * share, 2)
    table = pd.DataFrame(
        {
            "account_id": texts(book.ids, account),
            "issued_on": grid.dates(issued),
            "due_on": grid.dates(due),
            "paid_on": grid.dates(grid.seen(paid)),
            "amount": amount,
            "currency": pd.array(np.full(len(row), "EUR"), dtype="str"),
            "known_at": grid.dates(issued + 1),
        }
    ).sort_values(["issued_on", "account_id"], kind="stable", ignore_index=True)
    table.insert(0, "invoice_id", labels("I-", None, np.arange(1, len(table) + 1)))
    again = table[rng.random(len(table)) < 0.01].copy()
    again["amount"] = (again["amount"] * 0.95).round(2)
    again["known_at"] += pd.to_timedelta(rng.integers(3, 20, len(again)), unit="D").as_unit("us")
    again = again[again["known_at"] < pd.Timestamp(grid.first) + pd.Timedelta(days=grid.days)]
    return pd.concat([table, again], ignore_index=True)


def write_signals(
    seed: int, book: Book, trace: Floats, seats: Seats, leavers: Leavers, grid: Grid
) -> pd.DataFrame:
    """What was heard about the customer; a third of it is heard days later."""
    rng = stream(seed, "signals")
    ones = np.ones_like(trace[0])
    budget, rival, closed = trace[BUDGET], trace[RIVAL], trace[CLOSED]
    growth = dict(zip(CAUSES_OF_GROWTH, seats.growth, strict=True))
    year = 1 / 52
    rates = {
        "hiring_related": 0.30 * year * ones + 0.10 * growth["hiring"],
        "new_department": 0.10 * year * ones + 0.09 * growth["new_teams"],
        "new_initiative": 0.12 * year * ones + 0.03 * growth["hiring"],
        "broader_need": 0.08 * year * ones + 0.04 * growth["premium_capability"],
        "competitor_mention": 0.14 * year * ones + 0.30 * rival,
        "budget_cut": 0.07 * year * ones + 0.20 * budget,
        "layoffs": 0.07 * year * ones + 0.14 * budget + 0.02 * closed,
        "merger": 0.02 * year * ones + 0.16 * closed,
        "closure": 0.008 * year * ones + 0.09 * closed,
    }
    parts = [scatter(rng, rates[kind], book.created, leavers.gone, grid.days) for kind in SIGNALS]
    kind = np.repeat(np.arange(len(SIGNALS)), [len(part[0]) for part in parts])
    account, day = (np.concatenate([part[place] for part in parts]) for place in range(2))
    order = np.lexsort((day, account))
    account, day, kind = account[order], day[order], kind[order]
    late = np.where(
        rng.random(len(day)) < 0.33, rng.uniform(1, 12, len(day)), rng.uniform(0.05, 0.5, len(day))
    )
    keep = day + late < grid.days
    return pd.DataFrame(
        {
            "account_id": texts(book.ids, account),
            "happened_at": grid.instants(day),
            "kind": texts(list(SIGNALS), kind),
            "value": np.where(
                rng.random(len(day)) < 0.5, np.round(rng.uniform(0.2, 1.0, len(day)), 2), np.nan
            ),
            "note": texts(
                list(SOURCES), rng.integers(len(SOURCES), size=len(day)), rng.random(len(day)) < 0.6
            ),
            "known_at": grid.instants(day + late),
        }
    )[keep].reset_index(drop=True)


def write_outcomes(
    seed: int, book: Book, leavers: Leavers, seats: Seats, grid: Grid, traits: Traits
) -> pd.DataFrame:
    """Outcomes as people record them: late, one reason in six wrong, one in five unknown."""
    rng = stream(seed, "outcomes")
    who = np.nonzero(leavers.gone < grid.days)[0]
    said = np.array(
        [CATEGORIES[number] if number >= 0 else "unknown" for number in leavers.cause[who]], dtype=object
    )
    draw = rng.random(len(who))
    wrong = (draw < 0.16) | (not traits.causes)
    said = np.where(
        wrong, np.array(CATEGORIES, dtype=object)[rng.integers(len(CATEGORIES), size=len(who))], said
    )
    said = np.where((draw >= 0.16) & (draw < 0.36), "unknown", said)
    said = np.where((leavers.cause[who] == BUDGET) & (draw > 0.85), "non_payment", said)
    note = np.full(len(who), None, dtype=object)
    if traits.causes:
        named = (said == "missing_product_capability") & (book.industry[who] == traits.gap_industry)
        note[named] = f"lacks {CAPABILITIES[traits.gap_capability]}"
    changed = seats.day < grid.days
    outcome = np.where(seats.change[changed] > 0, "expanded", "contracted")
    account = np.concatenate([who, seats.account[changed]])
    day = np.concatenate([leavers.gone[who], seats.day[changed]])
    late = np.floor(rng.gamma(1.5, 8.0, len(account))) + 1
    table: pd.DataFrame = pd.DataFrame(
        {
            "account_id": texts(book.ids, account),
            "happened_on": grid.dates(day),
            "outcome": pd.array(np.concatenate([np.full(len(who), "churned"), outcome]), dtype="str"),
            "reason": pd.Series(np.concatenate([said, np.full(int(changed.sum()), None)]), dtype="str"),
            "note": pd.Series(np.concatenate([note, np.full(int(changed.sum()), None)]), dtype="str"),
            "known_at": grid.dates(day + late),
        }
    )[day + late < grid.days]
    return table.sort_values(["happened_on", "account_id"], kind="stable", ignore_index=True)
