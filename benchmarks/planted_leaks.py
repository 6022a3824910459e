"""Five leaks, planted into a simulated company as real systems plant them: after the outcome was known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from benchmarks.company_matrix import STANDARD, CompanyMatrix

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.promotion.grounds import load_grounds
from lifecycle_ml.promotion.suspects import find_suspects
from lifecycle_ml.promotion.training import inputs_of
from lifecycle_ml.tables.source import tables_from_frames

Frames = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Leak:
    """A leak: where it sits, and what the gate must name (a feature of the matrix, or `table.column`)."""

    name: str
    must_name: str
    plant: Callable[[CompanyMatrix, Frames, np.random.Generator], CompanyMatrix]


def _in_matrix(company: CompanyMatrix, name: str, values: np.ndarray) -> CompanyMatrix:
    return replace(company, matrix=company.matrix.assign(**{name: values}), inputs=company.inputs | {name: 0})


def _rebuilt(company: CompanyMatrix, frames: Frames, *, allow_as_of_today: bool = False) -> CompanyMatrix:
    tables = tables_from_frames(frames)
    features = load_features(STANDARD).available(tables)
    recipe = company.recipe.model_copy(update={"allow_as_of_today": allow_as_of_today})
    return replace(
        company,
        recipe=recipe,
        matrix=build_matrix(tables, features, company.labels[["account_id", "as_of", "known_at"]]),
        inputs=inputs_of(features, recipe),
        grounds=load_grounds(STANDARD, tables),
    )


def _ends(company: CompanyMatrix) -> pd.Series:
    return company.labels.groupby("account_id")["churned_on"].max().dropna()


def _outcome(company: CompanyMatrix) -> np.ndarray:
    horizon = pd.Timedelta(days=company.recipe.label.headline_days)
    labels = company.labels
    return (labels["churned_on"] < labels["as_of"] + horizon).to_numpy()


def copy_label(company: CompanyMatrix, _frames: Frames, random: np.random.Generator) -> CompanyMatrix:
    """Add a yes/no column that holds the label, one in ten turned round."""
    y = _outcome(company)
    return _in_matrix(company, "vendor_flag", (y ^ (random.random(len(y)) < 0.1)).astype(float))


def copy_label_as_score(
    company: CompanyMatrix, _frames: Frames, random: np.random.Generator
) -> CompanyMatrix:
    """Add a score: the label with as much noise as turns one in ten round at its middle."""
    y = _outcome(company)
    return _in_matrix(company, "vendor_score", y + random.normal(0, 0.39, len(y)))


def count_the_future(company: CompanyMatrix, frames: Frames, _random: np.random.Generator) -> CompanyMatrix:
    """Count the events of the 28 days after as_of instead of those before."""
    events = frames["usage_events"]
    ids = pd.Index(company.matrix["account_id"].unique())
    day = (events["happened_at"] - pd.Timestamp("2000-01-01")).dt.days.to_numpy()
    account = ids.get_indexer(events["account_id"])
    key = np.sort((account * 100_000 + day)[account >= 0])
    as_of = (company.matrix["as_of"] - pd.Timestamp("2000-01-01")).dt.days.to_numpy()
    start = ids.get_indexer(company.matrix["account_id"]) * 100_000 + as_of
    ahead = np.searchsorted(key, start + 28) - np.searchsorted(key, start)
    return _in_matrix(company, "events_28d", ahead.astype(float))


def date_departures_by_churn(
    company: CompanyMatrix, frames: Frames, random: np.random.Generator
) -> CompanyMatrix:
    """Give contacts of accounts that left a left_on in the last three weeks, entered afterwards."""
    ends = _ends(company)
    contacts = frames["contacts"].copy()
    end = contacts["account_id"].map(ends)
    hit = end.notna() & contacts["left_on"].isna() & (random.random(len(contacts)) < 0.8)
    days = pd.to_timedelta(random.integers(0, 22, len(contacts)), unit="D")
    contacts["left_on"] = contacts["left_on"].where(~hit, (end - days).astype(contacts["left_on"].dtype))
    return _rebuilt(company, {**frames, "contacts": contacts})


def open_cancellation_tickets(
    company: CompanyMatrix, frames: Frames, random: np.random.Generator
) -> CompanyMatrix:
    """Open a ticket for seven of ten leavings, 3 to 25 days before the end: "please delete our data"."""
    ends = _ends(company)
    ends = ends[random.random(len(ends)) < 0.7]
    tickets = frames["tickets"]
    opened = ends - pd.to_timedelta(random.integers(3, 26, len(ends)), unit="D") + pd.Timedelta(hours=10)
    planted = pd.DataFrame(
        {
            "ticket_id": [f"X-{number}" for number in range(len(ends))],
            "account_id": ends.index,
            "opened_at": opened.to_numpy().astype(tickets["opened_at"].dtype),
            "severity": pd.array([4] * len(ends), dtype="Int64"),
            "kind": "cancellation",
        }
    )
    return _rebuilt(company, {**frames, "tickets": pd.concat([tickets, planted], ignore_index=True)})


def open_nameless_tickets(
    company: CompanyMatrix, frames: Frames, random: np.random.Generator
) -> CompanyMatrix:
    """Plant the same tickets under a kind that does not say what they are."""
    found = open_cancellation_tickets(company, frames, random)
    assert found.grounds.tables is not None
    tickets: pd.DataFrame = found.grounds.tables["tickets"].drop("known_at", "superseded_at").execute()
    tickets["kind"] = tickets["kind"].replace("cancellation", "question")
    return _rebuilt(company, {**frames, "tickets": tickets})


def overwrite_segment(company: CompanyMatrix, frames: Frames, _random: np.random.Generator) -> CompanyMatrix:
    """Set the segment of accounts that left to one of their own, in place; the recipe allows such columns."""
    accounts = frames["accounts"].copy()
    accounts.loc[accounts["account_id"].isin(_ends(company).index), "segment"] = "inactive"
    return _rebuilt(company, {**frames, "accounts": accounts}, allow_as_of_today=True)


LEAKS = (
    Leak("label_copied", "vendor_flag", copy_label),
    Leak("label_copied_as_score", "vendor_score", copy_label_as_score),
    Leak("future_count", "events_28d", count_the_future),
    Leak("churn_date_in_left_on", "contacts.left_on", date_departures_by_churn),
    Leak("cancellation_ticket", "tickets.kind", open_cancellation_tickets),
    Leak("nameless_ticket", "tickets.kind", open_nameless_tickets),
    Leak("overwritten_segment", "accounts.segment", overwrite_segment),
)
"""The five of the issue, two of them in a second guise."""


@dataclass(frozen=True)
class Found:
    """What the gate suspected: each feature with the columns named, and whether the leak was among them."""

    named: tuple[str, ...]
    caught: bool
    says: str


def search(company: CompanyMatrix, must_name: str | None) -> Found:
    """Search a company for leaks; without a name nothing may be suspected."""
    kept = ~company.labels["too_late"].to_numpy(dtype=bool)
    suspects = find_suspects(
        company.matrix[kept].reset_index(drop=True),
        company.labels[kept].reset_index(drop=True),
        company.inputs,
        company.recipe,
        company.grounds.features,
        company.grounds.tables,
    )
    named = tuple(f"{suspect.feature} ({', '.join(suspect.columns)})" for suspect in suspects)
    hits = [s for s in suspects if must_name is not None and must_name in (s.feature, *s.columns)]
    return Found(named, bool(hits) if must_name is not None else not named, hits[0].says if hits else "")
