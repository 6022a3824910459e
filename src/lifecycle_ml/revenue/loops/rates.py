"""How much more often something happens to customers after something else, all else alike.

A rate ratio from a Poisson regression on customers' time (a piecewise exponential model: Holford 1980, Laird
and Olivier 1981), cut by segment, size, tenure, calendar quarter, term of the contract and activity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import stats

from lifecycle_ml.revenue.intervals import Z, garwood

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lifecycle_ml.revenue.loops.at_risk import AtRisk

Direction = Literal["more", "less"]

ADJUSTED_FOR = ("wide_segment", "size", "tenure", "quarter", "term", "activity")
MIN_EXPECTED = {"more": 1.0, "less": 5.0}
"""So many events must be expected in exposed time if there were no difference, or nothing is compared."""
MIN_BESIDE = 5.0
"""And so many in all other time."""
EXACT_BELOW = 5.0
"""With fewer expected the test is exact (binomial): a normal approximation would find too much."""
_RIDGE = 1e-6
_ROUNDS = 25


def rate_ratios(
    about: AtRisk, events: str, exposed: str, direction: Direction, since: int | None = None
) -> pd.DataFrame:
    """Compare how often `events` happen in exposed time and in all other time of customers.

    events:  SQL of account_id, day.
    exposed: SQL of label, account_id, from_day, to_day; stretches of one label and account do not overlap.
    since:   first day that counts, where exposure is known only from a day on.
    Grain: one row per label, sorted: label, accounts (ever exposed while watched), years (exposed, of all
    accounts together), events (of them, in exposed time), expected (if there were no difference, all else
    alike), ratio, ratio_low, ratio_high (95%, Wald; where no event is exposed, Garwood over expected) and p
    (one-sided in `direction`: a score test, exact where little is expected). NaN where there is too little
    to compare.
    """
    first = -1_000_000 if since is None else since
    about.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE counted AS
        SELECT account_id, cell, greatest(from_day, {first}) AS from_day, to_day
        FROM slices WHERE to_day > {first};
        CREATE OR REPLACE TEMP TABLE happened AS
        SELECT counted.account_id, cell, day FROM ({events}) AS e JOIN counted
        ON e.account_id = counted.account_id AND day > from_day AND day <= to_day;
        CREATE OR REPLACE TEMP TABLE exposed AS SELECT * FROM ({exposed});
    """)
    cells = about.frame("""
        SELECT cells.* EXCLUDE (days), t.days, coalesce(e.events, 0) AS events
        FROM (SELECT cell, sum(to_day - from_day) AS days FROM counted GROUP BY cell) AS t
        JOIN cells USING (cell)
        LEFT JOIN (SELECT cell, count(*) AS events FROM happened GROUP BY cell) AS e USING (cell)
        ORDER BY cell""")
    time = about.frame("""
        SELECT label, cell, sum(least(c.to_day, x.to_day) - greatest(c.from_day, x.from_day)) AS days
        FROM counted AS c JOIN exposed AS x
        ON c.account_id = x.account_id AND x.from_day < c.to_day AND x.to_day > c.from_day
        GROUP BY ALL""")
    hits = about.frame("""
        SELECT label, cell, count(*) AS events FROM happened AS h JOIN exposed AS x
        ON h.account_id = x.account_id AND x.from_day < day AND x.to_day >= day
        GROUP BY ALL""")
    accounts = about.frame("""
        SELECT label, count(DISTINCT x.account_id) AS accounts FROM exposed AS x
        JOIN (SELECT account_id, min(from_day) AS low, max(to_day) AS high FROM counted GROUP BY 1) AS c
        ON c.account_id = x.account_id AND x.from_day < high AND x.to_day > low
        GROUP BY 1 ORDER BY 1""").set_index("label")["accounts"]
    if cells.empty or accounts.empty:
        return pd.DataFrame(columns=["label"])
    place = pd.Series(np.arange(len(cells)), index=cells["cell"])
    model = _Alike(cells)
    rows = []
    for label in accounts.index:
        days, met = (
            _spread(part[part["label"] == label], name, place)
            for part, name in ((time, "days"), (hits, "events"))
        )
        rows.append(
            {
                "label": label,
                "accounts": int(accounts[label]),
                "years": float(days.sum()) / 365.25,
                "events": int(met.sum()),
                **model.compare(days, met, direction),
            }
        )
    return pd.DataFrame(rows)


def _spread(part: pd.DataFrame, name: str, place: pd.Series) -> NDArray[np.float64]:
    spread = np.zeros(len(place))
    spread[place[part["cell"]].to_numpy()] = part[name].to_numpy(dtype=np.float64)
    return spread


class _Alike:
    """Events in cells of customers' time: what is expected in each where only the cell counts."""

    def __init__(self, cells: pd.DataFrame) -> None:
        self.days = cells["days"].to_numpy(dtype=np.float64)
        self.events = cells["events"].to_numpy(dtype=np.float64)
        self.design = _dummies(cells)
        self.fitted = _fit(self.design, self.days, self.events)
        self.rates = np.exp(self.design @ self.fitted)

    def compare(
        self, days: NDArray[np.float64], met: NDArray[np.float64], direction: Direction
    ) -> dict[str, float]:
        """Return expected, ratio, ratio_low, ratio_high and p of the events `met` in `days` of each cell."""
        told = {"expected": float(self.rates @ days)} | dict.fromkeys(
            ("ratio", "ratio_low", "ratio_high", "p"), np.nan
        )
        expected = told["expected"]
        beside = float(self.rates @ self.days) - expected
        if expected < MIN_EXPECTED[direction] or beside < MIN_BESIDE:
            return told
        # Score test: what the cells explain of the exposure counts for nothing.
        mean, weighted = self.rates * days, self.design * (self.rates * self.days)[:, None]
        information = self.design.T @ weighted + _RIDGE * np.eye(self.design.shape[1])
        shared = self.design.T @ mean
        spread = expected - shared @ np.linalg.solve(information, shared)
        if spread <= 1e-9:
            return told
        z = (met.sum() - expected) / np.sqrt(spread)
        told["p"] = float(stats.norm.sf(z if direction == "more" else -z))
        if expected < EXACT_BELOW:
            chance = stats.binom(self.events.sum(), expected / (expected + beside))
            told["p"] = float(chance.sf(met.sum() - 1) if direction == "more" else chance.cdf(met.sum()))
        if not met.sum():
            ends = garwood(0)
            return told | {"ratio": 0.0, "ratio_low": 0.0, "ratio_high": float(ends[1]) / expected}
        others = self.days - days
        design = np.vstack(
            [np.column_stack([self.design, part]) for part in (np.ones(len(days)), np.zeros(len(days)))]
        )
        time, events = np.concatenate([days, others]), np.concatenate([met, self.events - met])
        seen = time > 0.5
        start = np.append(self.fitted, np.clip((met.sum() - expected) / spread, -1.0, 1.0))
        found = _fit(design[seen], time[seen], events[seen], start)
        curve = design[seen].T @ (design[seen] * (np.exp(design[seen] @ found) * time[seen])[:, None])
        error = float(np.sqrt(np.linalg.inv(curve + _RIDGE * np.eye(len(found)))[-1, -1]))
        return told | {
            "ratio": float(np.exp(found[-1])),
            "ratio_low": float(np.exp(found[-1] - Z * error)),
            "ratio_high": float(np.exp(min(found[-1] + Z * error, 50.0))),
        }


def _dummies(cells: pd.DataFrame) -> NDArray[np.float64]:
    """One column of ones, and one per level but the largest of everything that is adjusted for.

    A level without events tells nothing of its rate, so it stands with the largest.
    """
    columns = [np.ones(len(cells))]
    for name in ADJUSTED_FOR:
        sums = cells.groupby(name)[["days", "events"]].sum()
        levels = sums[sums["events"] > 0].sort_values("days", ascending=False, kind="stable").index
        columns += [(cells[name] == level).to_numpy(dtype=np.float64) for level in levels[1:]]
    return np.column_stack(columns)


def _fit(
    design: NDArray[np.float64],
    days: NDArray[np.float64],
    events: NDArray[np.float64],
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the coefficients of log(events / days) that are likeliest, by Newton's method with halving."""
    if start is None:
        start = np.zeros(design.shape[1])
        start[0] = np.log(max(events.sum(), 0.5) / days.sum())
    found = start

    def loss(at: NDArray[np.float64]) -> float:
        margin = design @ at
        return float(np.exp(np.minimum(margin, 50.0)) @ days - events @ margin + _RIDGE / 2 * at @ at)

    least = loss(found)
    for _ in range(_ROUNDS):
        mean = np.exp(np.minimum(design @ found, 50.0)) * days
        slope = design.T @ (events - mean) - _RIDGE * found
        curve = design.T @ (design * mean[:, None]) + _RIDGE * np.eye(design.shape[1])
        step = np.linalg.solve(curve, slope)
        while (tried := loss(found + step)) > least + 1e-9 and np.abs(step).max() > 1e-9:
            step = step / 2
        found, gained, least = found + step, least - tried, tried
        if gained < 1e-7:
            break
    return found
