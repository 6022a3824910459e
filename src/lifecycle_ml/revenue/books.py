"""ARR of every account at the end of every month, in whole cents: what all revenue figures are sums of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from lifecycle_ml.errors import TableError
from lifecycle_ml.outcomes.labels import recurring_contracts
from lifecycle_ml.tables.clock import as_known
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import Tables

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

NOT_RECORDED = "not recorded"
"""The segment of an account that has none, and the currency of a contract that names none."""

_NEVER = 10_000_000  # a day after all others: the end of an evergreen contract
_UNITS_PER_CENT = 100  # recurring_contracts counts in ten-thousandths


@dataclass(frozen=True)
class Books:
    """ARR of one company in one currency, by account and month, as known on one date.

    currency   of the amounts; None: the reporting currency, or the only one there is
    advice     why there are several books and what to do about it; None where there is one
    known_on   contract rows and columns known later are not used; months end before it
    months     complete months from the first with ARR to the last before known_on, without gaps
    accounts   account ids, sorted: those with ARR at the end of some month
    segments   segment of each account as known on known_on, for all months alike
    arr        (accounts, 1 + months) cents: before the first month (all 0), then at the end of each month
    price      (accounts, months) cents: the part of an expansion that is a rise in price
    awaiting   per account: its contracts have ended, it may still renew within grace and is carried as it was
    """

    currency: str | None
    advice: str | None
    known_on: date
    months: pd.PeriodIndex
    accounts: NDArray[np.str_]
    segments: NDArray[np.str_]
    arr: NDArray[np.int64]
    price: NDArray[np.int64]
    awaiting: NDArray[np.bool_]

    @property
    def first_months(self) -> NDArray[np.int64]:
        """Position in `months` of each account's first month with ARR at its end."""
        paid = self.arr[:, 1:] > 0
        return paid.argmax(axis=1).astype(np.int64) if paid.size else np.empty(0, dtype=np.int64)

    @property
    def cohorts(self) -> NDArray[np.str_]:
        """Signing cohort of each account: the quarter of its first month with ARR at its end, `2024-Q1`."""
        quarters = np.array([f"{month.year}-Q{month.quarter}" for month in self.months], dtype=np.str_)
        return quarters[self.first_months] if len(quarters) else quarters


def read_books(
    tables: Tables,
    known_on: date,
    grace_days: int,
    arrival_lag_days: int = 0,
    *,
    levels_only: bool = False,
) -> list[Books]:
    """Work out the ARR of every account at the end of every month, from contracts known on `known_on`.

    Time:   a contract counts on the days `starts_on <= d < min(ends_on, cancelled_on)`; the ARR of a month
            is that of its last day. The newest version known on known_on holds for its whole term: a version
            corrects, an amendment is a row of its own.
    Renewal: a contract ends on the day the paid contract that renews it starts, where that is earlier than
            its end or at most `grace_days` later. An account whose ARR returns within grace keeps, in the
            gap, the ARR of the last day before it. Until grace and arrival lag have passed on known_on, an
            account without ARR is carried in the same way (`awaiting`).
    Money:  ARR is summed per account in ten-thousandths, then rounded half up to a cent, once per account
            and month; every figure is a sum of those cents. Several currencies are summed at the newest rate
            before known_on; where one has no rate by then they never are: one book per currency, each with
            advice.
    levels_only: ARR alone, for half the cost: no segments (all not recorded) and no price (all 0).
    Raises: TableError where there is no table of contracts. (Tables with several currencies and no rates at
    all are not read in the first place: rule `rates_missing`.)
    """
    if "contracts" not in tables:
        raise TableError(
            "contracts: there is no such table, so nothing says what is paid for how long, and ARR, NRR and "
            "GRR cannot be told. Add features/sources/contracts.sql: contract_id, account_id, starts_on, arr."
        )
    segments = pd.Series(dtype="str") if levels_only else known_accounts(tables, known_on)["segment"]
    priced = not levels_only
    try:
        contracts = recurring_contracts(tables, known_on)
    except TableError as error:  # several currencies and no rates
        advice = f"Currencies are not summed. {error}"
        each = [(name, _only(tables, name)) for name in _currencies(tables)]
        listed = [(name, recurring_contracts(view, known_on)) for name, view in each]
        return [
            _books(rows, segments, known_on, grace_days, arrival_lag_days, name, advice, priced=priced)
            for name, rows in listed
            if len(rows)
        ]
    return [_books(contracts, segments, known_on, grace_days, arrival_lag_days, None, None, priced=priced)]


def _currencies(tables: Tables) -> list[str]:
    listed = tables["contracts"].select("currency").distinct().to_pandas()["currency"]
    return sorted(listed.fillna(NOT_RECORDED).unique())


def _only(tables: Tables, currency: str) -> Tables:
    """Return the same tables with the contracts of one currency alone."""
    contracts = tables["contracts"]
    kept = contracts.filter(contracts.currency.fill_null(NOT_RECORDED) == currency)
    return Tables.of(
        tables.backend,
        provided={name: tables.provided(name) for name in tables.names},
        versioned=frozenset(name for name in tables.names if tables.versioned(name)),
        findings=tables.findings,
        tables={name: tables[name] for name in tables.names} | {"contracts": kept},
    )


def known_accounts(tables: Tables, known_on: date) -> pd.DataFrame:
    """Return segment, acquisition_channel, acquisition_campaign and acquisition_cost (float) by account_id.

    Time: as known on `known_on`; a segment is overwritten in place, so it is that of the newest reading.
    """
    through = ibis.timestamp(pd.Timestamp(known_on).to_pydatetime())
    spined = tables["accounts"].mutate(as_of=through, known_until=through)
    known = as_known(spined, SCHEMAS["accounts"])
    rows: pd.DataFrame = known.select(
        "account_id",
        "segment",
        "acquisition_channel",
        "acquisition_campaign",
        acquisition_cost=known.acquisition_cost.cast("float64"),
    ).to_pandas()
    return rows.set_index("account_id")


def _books(
    contracts: pd.DataFrame,
    segments: pd.Series,
    known_on: date,
    grace_days: int,
    arrival_lag_days: int,
    currency: str | None,
    advice: str | None,
    *,
    priced: bool,
) -> Books:
    today = _day(known_on)
    rows = _in_days(contracts)
    rows = rows[(rows["units"] > 0) & (rows["starts"] < today) & (rows["stops"] > rows["starts"])]
    rows = _join_renewals(rows, grace_days)
    rows = _carry(rows, grace_days, today, today - grace_days - arrival_lag_days)
    last = pd.Period(known_on, "M") - 1
    first = last + 1 if rows.empty else min(last + 1, _month(int(rows["starts"].min())))
    months = pd.period_range(first, last, freq="M")
    ends = np.array([_day(month.end_time.date()) for month in months], dtype=np.int64)
    rows = rows.assign(
        begin=np.searchsorted(ends, rows["starts"].to_numpy()),
        over=np.searchsorted(ends, rows["stops"].to_numpy()),
    )
    rows = rows[rows["begin"] < rows["over"]]
    codes, accounts = pd.factorize(rows["account_id"], sort=True)
    rows = rows.assign(account=codes)
    exact = _levels(rows, rows["units"], len(accounts), len(months))
    arr = (exact + _UNITS_PER_CENT // 2) // _UNITS_PER_CENT
    return Books(
        currency=currency,
        advice=advice,
        known_on=known_on,
        months=months,
        accounts=np.array(accounts, dtype=np.str_),
        segments=segments.reindex(accounts).fillna(NOT_RECORDED).to_numpy(dtype=np.str_),
        arr=arr,
        price=_price(rows, arr) if priced else np.zeros_like(arr[:, 1:]),
        awaiting=np.bincount(
            codes, weights=rows["carried"] & (rows["ended"] <= ends.max(initial=0)), minlength=len(accounts)
        ).astype(bool),
    )


def _day(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def _month(day: int) -> pd.Period:
    return pd.Period(np.datetime64(day, "D").item(), "M")


def _in_days(contracts: pd.DataFrame) -> pd.DataFrame:
    """Write dates as whole days, so that they can be compared and shifted; no end is a day never reached."""
    starts = contracts["starts_on"].to_numpy().astype("datetime64[D]").astype(np.int64)
    stops = contracts["stops_on"].to_numpy().astype("datetime64[D]").astype(np.int64)
    ends = np.where(contracts["stops_on"].isna(), _NEVER, stops)
    return contracts.drop(columns=["starts_on", "stops_on"]).assign(starts=starts, stops=ends)


def _join_renewals(rows: pd.DataFrame, grace_days: int) -> pd.DataFrame:
    """End each contract on the day its renewal starts, where that is earlier or late within grace."""
    renewals = rows[rows["renews_contract_id"].notna() & (rows["renews_contract_id"] != rows["contract_id"])]
    begun = renewals.groupby("renews_contract_id")["starts"].min()
    renewed = rows["contract_id"].map(begun)
    joined = renewed.notna() & (renewed <= rows["stops"] + grace_days)
    stops = rows["stops"].where(~joined, renewed).astype(np.int64)
    rows = rows.assign(stops=stops)
    return rows[rows["stops"] > rows["starts"]]


def _carry(rows: pd.DataFrame, grace_days: int, today: int, churned_before: int) -> pd.DataFrame:
    """Keep what an account had on its last day through a gap within grace, and while it may yet renew.

    Adds: carried (kept because it may yet renew) and ended (its stop before that).
    """
    rows = rows.sort_values(["account_id", "starts"], ignore_index=True)
    paid_until = rows.groupby("account_id")["stops"].cummax()
    before = paid_until.groupby(rows["account_id"]).shift()
    gap = rows["starts"] - before
    late = rows.loc[(gap > 0) & (gap <= grace_days), ["account_id", "starts"]]
    back = late.assign(stops=before[late.index].astype(np.int64)).rename(columns={"starts": "back_on"})
    back_on = rows[["account_id", "stops"]].merge(back, "left", ["account_id", "stops"])["back_on"]
    rows["ended"] = rows["stops"]
    rows["stops"] = back_on.fillna(rows["stops"]).astype(np.int64)
    newest = rows.groupby("account_id")["stops"].transform("max")
    rows["carried"] = (rows["stops"] == newest) & (newest <= today) & (newest >= churned_before)
    rows.loc[rows["carried"], "stops"] = today + 1
    return rows


def _levels(rows: pd.DataFrame, amounts: pd.Series, accounts: int, months: int) -> NDArray[np.int64]:
    """Sum whole numbers over the contracts in force, (accounts, 1 + months); the first column is 0."""
    change = np.zeros((accounts, months + 2), dtype=np.int64)
    whole = amounts.to_numpy().astype(np.int64)
    np.add.at(change, (rows["account"].to_numpy(), rows["begin"].to_numpy() + 1), whole)
    np.subtract.at(change, (rows["account"].to_numpy(), rows["over"].to_numpy() + 1), whole)
    levels: NDArray[np.int64] = change.cumsum(axis=1)[:, : months + 1]
    return levels


def _price(rows: pd.DataFrame, arr: NDArray[np.int64]) -> NDArray[np.int64]:
    """The part of each month's expansion that is a rise in price, as the expansion label tells it apart.

    While no new plan and no new product came, growth is at most what seats (or the usage limit) grew by at
    the old price. Where none of the four is recorded at both ends of the month, price cannot be told apart
    and all of it is growth.
    """
    before, after = arr[:, :-1], arr[:, 1:]
    account, month = np.nonzero((before > 0) & (after > before))
    had, gain = before[account, month], (after - before)[account, month]
    volume = np.full(len(account), np.nan)
    for name in ("seats", "usage_limit"):
        whole = _levels(rows, rows[name].fillna(0).round(), arr.shape[0], arr.shape[1] - 1)
        old, new = whole[account, month].astype(float), whole[account, month + 1].astype(float)
        ratio = np.divide(new, old, out=np.full(len(old), np.nan), where=(old > 0) & (new > 0))
        volume = np.fmax(volume, ratio)
    bought, told = _bought(rows, account, month)
    told |= ~np.isnan(volume)
    volume = np.nan_to_num(volume, nan=1.0)
    grown = np.clip(np.floor(had * (volume - 1) + 0.5), 0, gain).astype(np.int64)
    price = np.zeros_like(before)
    price[account, month] = np.where(bought | ~told, 0, gain - grown)
    return price


def _bought(
    rows: pd.DataFrame, account: NDArray[np.int64], month: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell of account-months whether a plan or product is new, and whether either is recorded at both ends.

    Shapes: one entry per pair of `account` and `month`, positions in the books.
    """
    cells = pd.DataFrame({"account": account, "month": month, "cell": np.arange(len(account))})
    pairs = cells.merge(rows, on="account")
    then = pairs[(pairs["begin"] < pairs["month"]) & (pairs["over"] >= pairs["month"])]
    now = pairs[(pairs["begin"] <= pairs["month"]) & (pairs["over"] > pairs["month"])]
    new: set[int] = set()
    known: set[int] = set()
    for name in ("plan", "product"):
        had = then[["cell", name]].dropna().drop_duplicates()
        has = now[["cell", name]].dropna().drop_duplicates()
        # What was not recorded before cannot be said to be new.
        has = has[has["cell"].isin(had["cell"])]
        side = has.merge(had, how="left", on=["cell", name], indicator="side")
        new |= set(side.loc[side["side"] == "left_only", "cell"])
        known |= set(has["cell"])
    return np.isin(cells["cell"], list(new)), np.isin(cells["cell"], list(known))
