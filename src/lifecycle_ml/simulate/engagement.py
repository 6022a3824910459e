"""People and what is said with them: contacts, touchpoints, onboarding milestones."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lifecycle_ml.simulate.book import Book
from lifecycle_ml.simulate.causes import NUMBER
from lifecycle_ml.simulate.episodes import Episodes
from lifecycle_ml.simulate.grid import NEVER, WARM_UP, Floats, Grid, Ints, labels, scatter, stream, texts
from lifecycle_ml.simulate.leaving import Leavers
from lifecycle_ml.simulate.priors import ANNUAL, CAPABILITIES, Traits

ROLES = ("champion", "executive_sponsor", "admin", "user", "billing")
TOUCHES = (
    "meeting", "executive_meeting", "business_review", "renewal_meeting", "email_in",
    "email_out", "no_show", "training", "nps", "csat",
)  # fmt: skip
MILESTONES = (
    ("kickoff", 14, False),
    ("data_connected", 30, False),
    ("first_value", 60, True),
    ("rollout", 90, False),
)
STALLED, CHAMPION = NUMBER["failed_onboarding"], NUMBER["champion_left"]
OWNER, VALUE = NUMBER["poor_stakeholder_ownership"], NUMBER["value_not_demonstrated"]


def write_contacts(
    seed: int, book: Book, episodes: Episodes, leavers: Leavers, grid: Grid, traits: Traits
) -> pd.DataFrame:
    """Contacts by account; a departure is recorded in place (left_on), nine times out of ten."""
    rng = stream(seed, "contacts")
    many = 1 + np.minimum(rng.poisson(np.sqrt(book.seats) / 2.2), 9)
    counts = np.stack(
        [
            np.ones(len(book), np.int64),
            (rng.random(len(book)) < 0.62).astype(np.int64),
            1 + (rng.random(len(book)) < 0.3),
            many,
            (rng.random(len(book)) < 0.7).astype(np.int64),
        ],
        axis=1,
    )
    account = np.repeat(np.arange(len(book)), counts.sum(axis=1))
    role = np.concatenate([np.repeat(np.arange(5), row) for row in counts])
    joined = book.created[account] + rng.integers(-14, 10, len(account))
    lifetime = rng.exponential(365 / (0.04 * traits.noise), len(account))
    left = np.where(
        joined + lifetime > np.maximum(book.created[account], 0), joined + lifetime, NEVER
    ).astype(np.int64)

    extra: list[tuple[int, int, int]] = []
    visible = episodes.trace > 0.2
    day = (episodes.onset - WARM_UP) * 7 + rng.integers(0, 14, len(episodes))
    first_of = np.searchsorted(account, np.arange(len(book)))
    last_of = np.searchsorted(account, np.arange(len(book)), side="right")
    for number in np.nonzero(np.isin(episodes.cause, (CHAMPION, OWNER)) & visible)[0]:
        one, when = int(episodes.account[number]), int(day[number])
        rows = slice(first_of[one], last_of[one])
        true = episodes.hazard[number] > 0
        goes = role[rows] == 0 if episodes.cause[number] == CHAMPION else np.isin(role[rows], (1, 3))
        if episodes.cause[number] == OWNER:
            goes &= rng.random(last_of[one] - first_of[one]) < 0.6
        elif rng.random() < 0.1:
            continue  # nobody noted it
        goes &= left[rows] > when
        left[rows] = np.where(goes, when + rng.integers(0, 20, last_of[one] - first_of[one]), left[rows])
        # Where somebody takes over, it often only looks like trouble.
        if episodes.cause[number] == CHAMPION and rng.random() < (0.45 if true else 0.8):
            extra.append((one, 0, when + int(rng.integers(10, 60))))
    successor = np.nonzero((left < NEVER) & (role < 2) & (rng.random(len(left)) < 0.7))[0]
    more = np.array(extra, dtype=np.int64).reshape(-1, 3)
    account = np.concatenate([account, more[:, 0], account[successor]])
    role = np.concatenate([role, more[:, 1], role[successor]])
    joined = np.concatenate([joined, more[:, 2], left[successor] + rng.integers(15, 60, len(successor))])
    left = np.concatenate([left, np.full(len(more) + len(successor), NEVER)])
    keep = (joined < np.minimum(leavers.gone[account], grid.days)) & (left > joined)
    order = np.lexsort((joined[keep], account[keep]))
    account, role, joined, left = (values[keep][order] for values in (account, role, joined, left))
    left = np.where(left < leavers.gone[account], left, NEVER)
    return pd.DataFrame(
        {
            "contact_id": labels("P-", None, np.arange(1, len(account) + 1)),
            "account_id": texts(book.ids, account),
            "role": texts(list(ROLES), role),
            "joined_on": grid.dates(joined),
            "left_on": grid.dates(grid.seen(left)),
        }
    )


def write_touchpoints(
    seed: int,
    book: Book,
    trace: Floats,
    episodes: Episodes,
    contacts: pd.DataFrame,
    leavers: Leavers,
    grid: Grid,
    traits: Traits,
) -> pd.DataFrame:
    """Meetings, mails, trainings and survey answers; what a person enters later is known later."""
    rng = stream(seed, "touchpoints")
    account, day, kind = _touches(rng, book, trace, leavers, grid, traits)
    week = day.astype(np.int64) // 7
    mood = trace.sum(axis=0)[account, week] - 0.5 * trace[VALUE][account, week]
    value = np.full(len(account), np.nan)
    nps, csat = kind == TOUCHES.index("nps"), kind == TOUCHES.index("csat")
    level = 8.0 + rng.normal(0, 0.6, len(book))[account]
    score = level - 5.0 * trace[VALUE][account, week] - 0.3 * mood + rng.normal(0, 1.1, len(account))
    value[nps] = np.clip(np.round(score[nps]), 0, 10)
    value[csat] = np.clip(np.round(score[csat] / 2), 1, 5)

    treated = np.nonzero((episodes.treated < grid.columns) & (episodes.treated >= WARM_UP))[0]
    when = (episodes.treated[treated] - WARM_UP) * 7 + 0.5
    open_ = when < leavers.gone[episodes.account[treated]]
    topics = ["", "success_plan", *(f"gap:{name}" for name in CAPABILITIES)]
    gap = trace[NUMBER["missing_product_capability"]][account, week] > 0.4
    missed = rng.integers(len(CAPABILITIES), size=len(account))
    if traits.causes:
        missed = np.where(book.industry[account] == traits.gap_industry, traits.gap_capability, missed)
    names = gap & (kind == 0) & (rng.random(len(account)) < 0.35)
    topic = np.where(names, 2 + missed, 0)

    account = np.concatenate([account, episodes.account[treated][open_]])
    day = np.concatenate([day, when[open_]])
    kind = np.concatenate([kind, np.zeros(int(open_.sum()), np.int64)])
    topic = np.concatenate([topic, np.ones(int(open_.sum()), np.int64)])
    value = np.concatenate([value, np.full(int(open_.sum()), np.nan)])
    order = np.lexsort((day, account))
    account, day, kind = account[order], day[order], kind[order]
    topic, value = topic[order], value[order]
    entered = np.where(
        rng.random(len(day)) < 0.06, rng.uniform(1, 9, len(day)), rng.uniform(0.01, 0.6, len(day))
    )
    keep = day + entered < grid.days
    return pd.DataFrame(
        {
            "account_id": texts(book.ids, account),
            "happened_at": grid.instants(day),
            "contact_id": _somebody(rng, contacts, book, account),
            "kind": texts(list(TOUCHES), kind),
            "value": value,
            "topic": texts(topics, topic, topic == 0),
            "known_at": grid.instants(day + entered),
        }
    )[keep].reset_index(drop=True)


def _touches(
    rng: np.random.Generator, book: Book, trace: Floats, leavers: Leavers, grid: Grid, traits: Traits
) -> tuple[Ints, Floats, Ints]:
    size = (book.seats / 13.0) ** 0.25
    care = rng.lognormal(0, 0.22, len(book)) * size
    age = np.arange(grid.weeks)[None, :] * 7 - book.created[:, None]
    young = np.exp(-np.clip(age, 0, None) / 60.0)
    owner, champion = trace[OWNER], trace[CHAMPION]
    quiet = np.clip(1 - 0.8 * owner, 0.08, 1) * np.clip(1 - 0.35 * champion, 0.1, 1)
    mails = np.clip(1 - 0.85 * champion, 0.06, 1) * np.clip(1 - 0.25 * owner, 0.2, 1)
    value = np.clip(1 - 1.0 * trace[VALUE], 0.04, 1)
    quarter = (np.arange(grid.weeks)[None, :] + np.arange(len(book))[:, None]) % 13 == 0
    learning = np.clip(1 - 0.85 * trace[STALLED], 0.05, 1)
    rates = {
        "meeting": 0.48 * quiet * (1 + young),
        "executive_meeting": 0.03 * np.clip(1 - 0.9 * owner, 0.03, 1),
        "business_review": np.where((age > 80) & quarter, 3.0, 0.0) * value / care[:, None],
        "renewal_meeting": np.where(book.term == ANNUAL, 0.02, 0.003)[:, None] * quiet,
        "email_in": 0.75 * mails,
        "email_out": 0.75 * (0.5 + 0.5 * mails),
        "no_show": (0.007 + 0.30 * owner + 0.03 * champion) * traits.noise,
        "training": (0.025 + 0.35 * young) * learning,
        "nps": np.full((len(book), grid.weeks), 0.11),
        "csat": np.full((len(book), grid.weeks), 0.01),
    }
    parts = [
        scatter(
            rng,
            rates[kind] * care[:, None],
            book.created,
            leavers.gone,
            grid.days,
            1 if kind == "business_review" else NEVER,
        )
        for kind in TOUCHES
    ]
    kind = np.repeat(np.arange(len(TOUCHES)), [len(part[0]) for part in parts])
    account = np.concatenate([part[0] for part in parts])
    return account, np.concatenate([part[1] for part in parts]), kind


def _somebody(rng: np.random.Generator, contacts: pd.DataFrame, book: Book, account: Ints) -> pd.Series[str]:
    """A contact of the account, mostly; some touchpoints name nobody."""
    owners = np.sort(pd.Categorical(contacts["account_id"], categories=book.ids).codes.astype(np.int64))
    first = np.searchsorted(owners, np.arange(len(book)))
    count = np.searchsorted(owners, np.arange(len(book)), side="right") - first
    pick = first[account] + np.floor(rng.random(len(account)) * count[account]).astype(np.int64)
    nobody = (count[account] == 0) | (rng.random(len(account)) < 0.15)
    return texts(contacts["contact_id"].tolist(), np.where(nobody, 0, pick), nobody)


def write_milestones(seed: int, book: Book, episodes: Episodes, leavers: Leavers, grid: Grid) -> pd.DataFrame:
    """Four milestones per account; stalled onboarding finishes late or never."""
    rng = stream(seed, "milestones")
    slow = np.zeros(len(book))
    born = episodes.cause == STALLED
    np.maximum.at(slow, episodes.account[born], episodes.trace[born])
    rows = []
    for name, due, activates in MILESTONES:
        due_on = book.created + due
        delay = rng.normal(-8, 6, len(book)) + np.where(
            rng.random(len(book)) < 0.07, rng.exponential(25, len(book)), 0
        )
        held = slow * rng.uniform(30, 200, len(book)) * (due / 60.0 if due < 60 else 1.2)
        never = rng.random(len(book)) < np.clip(slow, 0, 1) * (0.25 if due >= 60 else 0.1)
        done = np.where(never, NEVER, np.maximum(book.created + 2, due_on + delay + held)).astype(np.int64)
        done = np.where(done < leavers.gone, done, NEVER)
        rows.append(
            pd.DataFrame(
                {
                    "account_id": pd.array(book.ids, dtype="str"),
                    "milestone": name,
                    "due_on": grid.dates(due_on),
                    "completed_on": grid.dates(grid.seen(done)),
                    "is_activation": activates,
                    "known_at": grid.dates(book.created),
                }
            )
        )
    table = pd.concat(rows, ignore_index=True)
    return table.sort_values(["account_id", "due_on"], kind="stable", ignore_index=True)
