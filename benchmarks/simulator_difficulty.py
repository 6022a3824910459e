"""How hard simulated companies are: what the generator knows, what rules see, which cause stands out.

    python benchmarks/simulator_difficulty.py --seeds 20 --accounts 2000

Four figures per company, printed as means over seeds with 95% intervals (t):

- AUROC of the true 90-day churn probability, and of the best of four simple rules
- share of leavers whose true cause is the generator's likeliest
- share of leavers whose true cause a most-unusual-feature heuristic names 30 to 90 days before they leave

The features are computed here, apart from the product, so that the two can disagree: about 45 of them, on
as_of dates 28 days apart counted from the first day, from tiles of 28 days. What arrives late is counted as
if it had come in time, and in-place columns are cut at as_of.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lifecycle_ml.simulate.company import Company, simulate_company
from lifecycle_ml.tables.schema import CATEGORIES

SHORT = (
    "bad_fit", "onboarding", "adoption", "capability", "owner", "champion", "budget", "rival", "service",
    "value", "closed",
)  # fmt: skip
"""The categories of the taxonomy, in its order, as called below."""

TILE = 28
GRACE = 30
HORIZON = 90
HISTORY = 7
"""Tiles before the first as_of that counts: 168-day windows must be full."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Grid:
    """Accounts x as_of dates: as_of number k is day 28k and sees tiles before k."""

    company: Company

    @property
    def accounts(self) -> pd.Index:
        return pd.Index(self.company.tables["accounts"]["account_id"])

    @property
    def tiles(self) -> int:
        return self.company.days // TILE

    def days(self, column: pd.Series) -> Array:
        """Days since the first day; NaN where there is no date."""
        return ((column - pd.Timestamp(self.company.first)) / pd.Timedelta(days=1)).to_numpy(dtype=float)

    def rows(self, table: pd.DataFrame) -> Array:
        return self.accounts.get_indexer(pd.Index(table["account_id"]))

    def total(self, table: pd.DataFrame, happened: str, weight: Array | None = None) -> Array:
        """Sums per account and tile."""
        day = self.days(table[happened])
        row, tile = self.rows(table), np.floor(np.nan_to_num(day, nan=-1) / TILE).astype(int)
        keep = (tile >= 0) & (tile < self.tiles)
        out = np.zeros((len(self.accounts), self.tiles))
        np.add.at(out, (row[keep], tile[keep]), 1.0 if weight is None else weight[keep])
        return out

    def window(self, tiles: Array, count: int, ago: int = 0) -> Array:
        """Sums over the `count` tiles before as_of, for every as_of 0..tiles-1."""
        summed = np.concatenate([np.zeros((len(tiles), 1)), tiles.cumsum(axis=1)], axis=1)
        stop = np.clip(np.arange(self.tiles) - ago, 0, None)
        return summed[:, stop] - summed[:, np.clip(stop - count, 0, None)]

    def standing(self, table: pd.DataFrame, start: Array, end: Array, weight: Array | None = None) -> Array:
        """Rows in force on each as_of (start <= as_of < end), counted or weighted."""
        out = np.zeros((len(self.accounts), self.tiles))
        row = self.rows(table)
        end = np.where(np.isnan(end), np.inf, end)
        for tile in range(self.tiles):
            on = (start <= tile * TILE) & (end > tile * TILE)
            np.add.at(out[:, tile], row[on], 1.0 if weight is None else weight[on])
        return out

    def oldest(self, table: pd.DataFrame, start: Array, end: Array) -> Array:
        """Days since the oldest row still standing on each as_of began; 0 where none stands."""
        out = np.zeros((len(self.accounts), self.tiles))
        row = self.rows(table)
        end = np.where(np.isnan(end), np.inf, end)
        for tile in range(self.tiles):
            on = (start < tile * TILE) & (end >= tile * TILE)
            np.maximum.at(out[:, tile], row[on], tile * TILE - start[on])
        return out

    def since(self, table: pd.DataFrame, happened: str, most: float = 364.0) -> Array:
        """Days since the latest row before as_of, at most `most`; NaN before the first."""
        day, row = self.days(table[happened]), self.rows(table)
        out = np.full((len(self.accounts), self.tiles), most)
        tile = np.floor(np.nan_to_num(day, nan=-1) / TILE).astype(int)
        latest = np.full((len(self.accounts), self.tiles), -np.inf)
        keep = (tile >= 0) & (tile < self.tiles)
        np.maximum.at(latest, (row[keep], tile[keep]), day[keep])
        latest = np.maximum.accumulate(latest, axis=1)
        out[:, 1:] = np.minimum(most, np.arange(1, self.tiles) * TILE - latest[:, :-1])
        out[:, 1:][np.isinf(latest[:, :-1])] = np.nan
        return out


def ratio(over: Array, under: Array) -> Array:
    """Return over / under, NaN where there is nothing to compare with."""
    return np.divide(over, under, out=np.full_like(over, np.nan), where=under > 0)


def in_force(company: Company, grid: Grid) -> tuple[Array, Array, Array]:
    """Start and end day per contract row; churn day per account by the contract rule (NaN: stays)."""
    contracts = company.tables["contracts"]
    start = grid.days(contracts["starts_on"])
    end = np.fmin(grid.days(contracts["ends_on"]), grid.days(contracts["cancelled_on"]))
    end = np.where(np.isnan(end), np.inf, end)
    churned = np.full(len(grid.accounts), np.nan)
    spans = pd.DataFrame({"row": grid.rows(contracts), "start": start, "end": end}).sort_values(
        ["row", "start"]
    )
    for row, group in spans.groupby("row"):
        until = -np.inf
        for one, last in zip(group["start"], group["end"], strict=True):
            if until > -np.inf and one > until + GRACE:
                break
            until = max(until, last)
        if until + GRACE < company.days:
            churned[int(row)] = until  # type: ignore[call-overload]
    return start, end, churned


Made = dict[str, tuple[Array, int, str]]
"""Name -> (values by account and as_of, +1 if more of it is worse else -1, category)."""


def features(company: Company, grid: Grid, start: Array, end: Array) -> Made:
    """All features of the heuristic."""
    tables = company.tables
    usage, touch = tables["usage_events"], tables["touchpoints"]
    tickets, signals, contacts = tables["tickets"], tables["signals"], tables["contacts"]
    contracts, invoices, milestones = tables["contracts"], tables["invoices"], tables["milestones"]
    accounts = tables["accounts"]
    known = dict(zip(SHORT, CATEGORIES, strict=True))
    made: dict[str, tuple[Array, int, str]] = {}

    def add(name: str, values: Array, sign: int, short: str) -> None:
        made[name] = (values, sign, known[short])

    seats = grid.standing(contracts, start, end, contracts["seats"].to_numpy(float))
    arr = grid.standing(contracts, start, end, contracts["arr"].to_numpy(float))
    wide = np.maximum(seats, 1)
    meaningful = usage[~usage["kind"].isin(["admin", "export"])]
    tile = np.floor(grid.days(meaningful["happened_at"]) / TILE).astype(int)
    who = pd.DataFrame({"row": grid.rows(meaningful), "tile": tile, "user": meaningful["user_id"].to_numpy()})
    who["feature"], who["team"] = meaningful["feature"].to_numpy(), meaningful["team"].to_numpy()
    who["day"] = np.floor(grid.days(meaningful["happened_at"]))

    def distinct(column: str, tiles: int = 1) -> Array:
        pairs = who[["row", "tile", column]].dropna().drop_duplicates()
        out = np.zeros((len(grid.accounts), grid.tiles))
        spread = pd.concat([pairs.assign(tile=pairs["tile"] + ahead) for ahead in range(1, tiles + 1)])
        spread = spread.drop_duplicates()
        spread = spread[spread["tile"] < grid.tiles]
        np.add.at(out, (spread["row"].to_numpy(), spread["tile"].to_numpy()), 1.0)
        return out

    active = distinct("user")
    before = np.stack([np.roll(active, shift, axis=1) for shift in (1, 2, 3)]).mean(axis=0)
    events = grid.total(meaningful, "happened_at")
    now, past = grid.window(events, 1), grid.window(events, 3, 1)
    add("active_users_28d", active, -1, "adoption")
    add("active_users_per_seat", active / wide, -1, "adoption")
    add("active_users_change", ratio(active, before), -1, "adoption")
    add("events_per_seat_28d", now / wide, -1, "adoption")
    add("usage_change_28d", ratio(now, past / 3), -1, "adoption")
    add("usage_change_84d", ratio(grid.window(events, 3), grid.window(events, 3, 3)), -1, "value")
    add("days_since_last_use", grid.since(meaningful, "happened_at"), 1, "adoption")
    add("active_days_28d", distinct("day"), -1, "adoption")
    add("features_used_84d", distinct("feature", 3), -1, "value")
    add("teams_active_84d", distinct("team", 3), -1, "value")
    kinds = {kind: grid.total(usage[usage["kind"] == kind], "happened_at") for kind in usage["kind"].unique()}
    add("key_events_28d", grid.window(kinds["key"], 1), -1, "value")
    add("workflow_events_per_seat_84d", grid.window(kinds["workflow"], 3) / wide, -1, "value")
    add("integration_events_84d", grid.window(kinds["integration"], 3), -1, "capability")
    add("admin_events_28d", grid.window(kinds["admin"], 1), -1, "owner")
    add("export_events_28d", grid.window(kinds["export"], 1), 1, "rival")
    add("invites_84d", grid.window(kinds["invite"], 3), -1, "adoption")

    due, done = grid.days(milestones["due_on"]), grid.days(milestones["completed_on"])
    done = np.where(np.isnan(done), np.inf, done)
    first = milestones["is_activation"].to_numpy()
    asked = grid.standing(milestones, due, np.full(len(due), np.inf))
    add("milestones_overdue", grid.standing(milestones, due, np.maximum(done, due)), 1, "onboarding")
    never = np.full(len(due), np.inf)
    add(
        "milestones_completed_share",
        grid.standing(milestones, done, never) / np.maximum(asked, 1),
        -1,
        "onboarding",
    )
    late = grid.oldest(milestones[first], due[first], np.maximum(done, due)[first])
    add("activation_overdue_days", late, 1, "onboarding")
    add(
        "activated",
        grid.standing(milestones[first], done[first], np.full(int(first.sum()), np.inf)),
        -1,
        "onboarding",
    )

    left, joined = grid.days(contacts["left_on"]), grid.days(contacts["joined_on"])
    champion = (contacts["role"] == "champion").to_numpy()
    sponsor = (contacts["role"] == "executive_sponsor").to_numpy()
    add(
        "champions_left_180d",
        grid.standing(contacts[champion], left[champion], left[champion] + 180),
        1,
        "champion",
    )
    add(
        "champions_present",
        grid.standing(contacts[champion], joined[champion], left[champion]),
        -1,
        "champion",
    )
    add(
        "executive_sponsors_present",
        grid.standing(contacts[sponsor], joined[sponsor], left[sponsor]),
        -1,
        "owner",
    )
    add("contacts_present", grid.standing(contacts, joined, left), -1, "owner")
    touched = {
        kind: grid.total(touch[touch["kind"] == kind], "happened_at") for kind in touch["kind"].unique()
    }
    mails = touched["email_in"]
    add("emails_in_change_84d", ratio(grid.window(mails, 3), grid.window(mails, 3, 3)), -1, "champion")
    add("trainings_84d", grid.window(touched["training"], 3), -1, "onboarding")
    add("meetings_84d", grid.window(touched["meeting"], 3), -1, "owner")
    meetings = touch[
        touch["kind"].isin(["meeting", "executive_meeting", "business_review", "renewal_meeting"])
    ]
    add("days_since_last_meeting", grid.since(meetings, "happened_at"), 1, "owner")
    add("executive_meetings_168d", grid.window(touched["executive_meeting"], 6), -1, "owner")
    add("no_shows_84d", grid.window(touched["no_show"], 3), 1, "owner")
    add(
        "days_since_business_review",
        grid.since(touch[touch["kind"] == "business_review"], "happened_at"),
        1,
        "value",
    )
    nps = touch[touch["kind"] == "nps"]
    points = grid.window(grid.total(nps, "happened_at", nps["value"].to_numpy(float)), 6)
    add("nps_168d", ratio(points, grid.window(touched["nps"], 6)), -1, "value")

    opened, closed = grid.days(tickets["opened_at"]), grid.days(tickets["closed_at"])
    severe = (tickets["severity"] <= 2).to_numpy(dtype=bool, na_value=False)
    wish = (tickets["kind"] == "feature_gap").to_numpy()
    add("open_severe_tickets", grid.standing(tickets[severe], opened[severe], closed[severe]), 1, "service")
    add("severe_tickets_84d", grid.window(grid.total(tickets[severe], "opened_at"), 3), 1, "service")
    add("tickets_per_seat_84d", grid.window(grid.total(tickets, "opened_at"), 3) / wide, 1, "service")
    add("oldest_open_ticket_days", grid.oldest(tickets, opened, closed), 1, "service")
    scored = tickets[tickets["csat"].notna()]
    csat = grid.window(grid.total(scored, "closed_at", scored["csat"].to_numpy(float)), 6)
    add("csat_168d", ratio(csat, grid.window(grid.total(scored, "closed_at"), 6)), -1, "service")
    add("escalations_84d", grid.window(grid.total(tickets, "escalated_at"), 3), 1, "service")
    add(
        "outages_84d",
        grid.window(grid.total(tickets[tickets["kind"] == "outage"], "opened_at"), 3),
        1,
        "service",
    )
    add("feature_gap_tickets_168d", grid.window(grid.total(tickets[wish], "opened_at"), 6), 1, "capability")
    add("open_feature_gap_tickets", grid.standing(tickets[wish], opened[wish], closed[wish]), 1, "capability")

    issued, paid = grid.days(invoices["issued_on"]), grid.days(invoices["paid_on"])
    owed = grid.days(invoices["due_on"])
    add("invoices_overdue", grid.standing(invoices, owed, np.fmax(paid, owed)), 1, "budget")
    add("invoice_overdue_days", grid.oldest(invoices, owed, np.maximum(paid, owed)), 1, "budget")
    slipped = np.where(np.isnan(paid), np.nan, np.maximum(paid - owed, 0))
    settled = ~np.isnan(slipped) & (issued >= 0)
    slip = grid.window(grid.total(invoices[settled], "paid_on", slipped[settled]), 13)
    add(
        "days_paid_late_364d",
        ratio(slip, grid.window(grid.total(invoices[settled], "paid_on"), 13)),
        1,
        "budget",
    )
    add("seats_change_168d", ratio(seats, np.roll(seats, 6, axis=1)), -1, "budget")
    add("arr_change_364d", ratio(arr, np.roll(arr, 13, axis=1)), -1, "budget")
    add("discount", np.repeat(np.nan_to_num(contracts.groupby("account_id")["discount"].max()
        .reindex(grid.accounts).to_numpy(float))[:, None], grid.tiles, axis=1), 1, "bad_fit")  # fmt: skip
    gaps = accounts["handoff_missing"].map(len).to_numpy(float)
    add("handoff_gaps", np.repeat(gaps[:, None], grid.tiles, axis=1), 1, "bad_fit")
    add("icp_fit", np.repeat(accounts["icp_fit"].to_numpy(float)[:, None], grid.tiles, axis=1), -1, "bad_fit")
    for name, kind, tiles, short in (
        ("competitor_mentions_180d", "competitor_mention", 6, "rival"),
        ("budget_cuts_180d", "budget_cut", 6, "budget"),
        ("layoffs_180d", "layoffs", 6, "budget"),
        ("mergers_364d", "merger", 13, "closed"),
        ("closures_364d", "closure", 13, "closed"),
    ):
        add(name, grid.window(grid.total(signals[signals["kind"] == kind], "happened_at"), tiles), 1, short)
    return made


@dataclass(frozen=True)
class Book:
    """One company on the grid: the rows that count, their outcome and all features."""

    company: Company
    grid: Grid
    churned: Array
    row: Array
    tile: Array
    outcome: Array
    to_end: Array
    made: dict[str, tuple[Array, int, str]]

    def matrix(self) -> pd.DataFrame:
        return pd.DataFrame({name: values[self.row, self.tile] for name, (values, _, _) in self.made.items()})


def lay_out(company: Company) -> Book:
    """Rows: accounts with ARR on as_of dates with full history and a label window that ends in the data."""
    grid = Grid(company)
    start, end, churned = in_force(company, grid)
    contracts = company.tables["contracts"]
    standing = grid.standing(contracts, start, end)
    last = (company.days - HORIZON - GRACE) // TILE
    tiles = np.arange(grid.tiles)
    row, tile = np.nonzero((standing > 0) & (tiles >= HISTORY)[None, :] & (tiles <= last)[None, :])
    ahead = churned[row] - tile * TILE
    outcome = ((ahead >= 0) & (ahead < HORIZON)).astype(int)
    to_end = np.full((len(grid.accounts), grid.tiles), -np.inf)
    where, planned = grid.rows(contracts), grid.days(contracts["ends_on"])
    planned = np.where(np.isnan(planned), np.inf, planned)
    for number in range(grid.tiles):
        on = (start <= number * TILE) & (end > number * TILE)
        np.maximum.at(to_end[:, number], where[on], planned[on] - number * TILE)
    made = features(company, grid, start, end)
    return Book(company, grid, churned, row, tile, outcome, to_end[row, tile], made)


def true_probability(book: Book, horizon: int = HORIZON) -> Array:
    """The generator's probability for the rows of the book."""
    truth = book.company.truth["probabilities"]
    table = truth.set_index(["account_id", "as_of"])[f"probability_{horizon}d"]
    dates = pd.Timestamp(book.company.first) + pd.to_timedelta(book.tile * TILE, unit="D")
    index = pd.MultiIndex.from_arrays([book.grid.accounts[book.row], dates.as_unit("us")])
    return table.reindex(index).to_numpy(dtype=float)


def rules(book: Book) -> dict[str, Array]:
    """The four simple rules; the calendar and the logistic are fitted on the rows they are judged on."""
    made, at = book.made, (book.row, book.tile)
    bins = np.digitize(book.to_end, (8, 15, 31, 61, 91, 181, 366))
    rates = {number: book.outcome[bins == number].mean() for number in np.unique(bins)}
    drop = np.nan_to_num(made["usage_change_28d"][0][at], nan=1.0)
    three = np.column_stack(
        [
            np.log1p(np.nan_to_num(made[name][0][at], nan=364.0))
            for name in ("days_since_last_use", "events_per_seat_28d", "active_days_28d")
        ]
    )
    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(three, book.outcome)
    return {
        "base_rate": np.full(len(book.row), book.outcome.mean()),
        "renewal_calendar": np.array([rates[number] for number in bins]),
        "usage_drop": -drop,
        "recency_frequency": logistic.predict_proba(three)[:, 1],
    }


def most_unusual(book: Book) -> pd.DataFrame:
    """Per leaver: true cause, and the category of its most unusual feature about 60 days before it left."""
    leavers = book.company.truth["leavers"].set_index("account_id")
    leavers = leavers[leavers["cause"] != "chance"]
    accounts = book.grid.accounts
    here = np.zeros((len(accounts), book.grid.tiles), dtype=bool)
    here[book.row, book.tile] = True
    names = list(book.made)
    stacked = np.stack([values * sign for values, sign, _ in book.made.values()])
    rows = []
    for name, cause in leavers["cause"].items():
        row = accounts.get_loc(name)
        gone = book.churned[row]
        if np.isnan(gone):
            continue
        choices = [
            tile for tile in range(book.grid.tiles) if 30 <= gone - tile * TILE <= 90 and here[row, tile]
        ]
        if not choices:
            continue
        tile = min(choices, key=lambda one: abs(gone - one * TILE - 60))
        others = stacked[:, here[:, tile], tile]
        spread = np.nanstd(others, axis=1)
        score = (stacked[:, row, tile] - np.nanmean(others, axis=1)) / np.where(spread > 0, spread, np.inf)
        top = names[int(np.nanargmax(score))]
        rows.append((name, cause, top, book.made[top][2]))
    return pd.DataFrame(rows, columns=["account_id", "cause", "feature", "named"])


def measure(seed: int, accounts: int) -> dict[str, float]:
    """All figures of one company."""
    book = lay_out(simulate_company(seed, accounts, truth_step_weeks=4))
    true = true_probability(book)
    leavers = book.company.truth["leavers"]
    named = most_unusual(book)
    ruled = rules(book)
    auroc = {name: float(roc_auc_score(book.outcome, score)) for name, score in ruled.items()}
    precision = {name: float(average_precision_score(book.outcome, score)) for name, score in ruled.items()}
    return {
        "churned_within_90d": float(book.outcome.mean()),
        "leavers": float(len(leavers)),
        "true_auroc": float(roc_auc_score(book.outcome, true)),
        "true_average_precision": float(average_precision_score(book.outcome, true)),
        "true_observed_expected": float(book.outcome.mean() / true.mean()),
        **{f"auroc_{name}": value for name, value in auroc.items()},
        "best_rule_auroc": max(auroc.values()),
        "best_rule_average_precision": max(precision.values()),
        "likeliest_cause_is_true": float((leavers["cause"] == leavers["likeliest"]).mean()),
        "most_unusual_names_it": float((named["cause"] == named["named"]).mean()),
    }


def interval(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean and its 95% interval over companies."""
    from scipy.stats import t

    sample = np.array(list(values))
    if len(sample) < 2:
        return float(sample.mean()), float("nan"), float("nan")
    half = float(t.ppf(0.975, len(sample) - 1)) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean()), float(sample.mean() - half), float(sample.mean() + half)


BOUNDS = {
    "true_auroc": (0.78, 0.85),
    "best_rule_auroc": (0.62, 0.72),
    "likeliest_cause_is_true": (0.85, 0.95),
    "most_unusual_names_it": (0.45, 0.65),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--accounts", type=int, default=2000)
    given = parser.parse_args()
    measured = []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        measured.append(measure(seed, given.accounts))
        print(
            f"seed {seed}: " + ", ".join(f"{name} {value:.3f}" for name, value in measured[-1].items()),
            flush=True,
        )
    print(f"\n| figure | mean of {given.seeds} seeds | 95% interval | bounds |\n|---|---|---|---|")
    outside = 0
    for name in measured[0]:
        mean, low, high = interval(one[name] for one in measured)
        bounds = BOUNDS.get(name)
        fits = bounds is None or bounds[0] <= mean <= bounds[1]
        outside += not fits
        said = "" if bounds is None else f"{bounds[0]:.2f}-{bounds[1]:.2f}" + ("" if fits else " MISSED")
        print(f"| {name} | {mean:.3f} | {low:.3f} to {high:.3f} | {said} |")
    return outside


if __name__ == "__main__":
    sys.exit(main())
