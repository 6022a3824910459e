"""A synthetic company for the promotion tests: matrix and labels in the product's shapes, causes optional."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

HORIZONS = (30, 90, 180)
LAG = 32  # grace and arrival lag of the standard recipe


@dataclass(frozen=True)
class World:
    """Snapshots of a company, what became of them, and what a model may learn from."""

    matrix: pd.DataFrame
    labels: pd.DataFrame
    inputs: dict[str, int]
    data_through: date


def simulate(accounts=500, dates=24, seed=0, *, causes=True, level=0.02) -> World:
    """Accounts whose use fades and whose trouble grows; both drive leaving, where there are causes at all."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2023-01-02", periods=dates, freq="28D").as_unit("us")
    end = days[-1] + pd.Timedelta(days=28)
    fading, trouble = (_wander(rng, accounts, dates) for _ in range(2))
    hazard = level * np.exp(0.4 * fading + 1.5 * trouble - 1.2) if causes else np.full(fading.shape, level)
    left = rng.random((accounts, dates)) < np.clip(hazard, 0, 0.9)
    first = np.where(left.any(axis=1), left.argmax(axis=1), dates)
    lasted = days.to_numpy()[np.minimum(first, dates - 1)] + rng.integers(1, 28, accounts) * np.timedelta64(
        1, "D"
    )
    gone = np.where(first < dates, lasted, np.datetime64("NaT", "us"))
    account, step = np.nonzero(np.arange(dates)[None, :] <= first[:, None])
    rows = len(account)
    faded, troubled = fading[account, step], trouble[account, step]
    renewal = (np.arange(accounts)[account] * 37 - step * 28) % 365
    matrix = pd.DataFrame(
        {
            "account_id": pd.Series([f"A-{number:04d}" for number in account], dtype="str"),
            "as_of": days[step],
            "usage_change_28d": 1 - 0.2 * faded + rng.normal(0, 0.5, rows),
            "active_users_28d": np.exp(2 - 0.6 * faded + rng.normal(0, 0.3, rows)),
            "days_to_renewal": renewal.astype(float),
            "tickets": rng.poisson(np.exp(0.6 * troubled)).astype(float),
            "noise": rng.normal(size=rows),
            "plan": pd.Series(rng.choice(["basic", "plus"], rows), dtype="str"),
        }
    )
    labels = matrix[["account_id", "as_of"]].assign(arr=1000.0, too_late=False, churned_on=gone[account])
    labels["cause"] = pd.Series([None] * len(labels), dtype="str")
    for horizon in HORIZONS:
        inside = labels["churned_on"] < labels["as_of"] + pd.Timedelta(days=horizon)
        known = labels["as_of"] + pd.Timedelta(days=horizon + LAG) <= end
        labels[f"outcome_{horizon}d"] = inside.astype(float).where(known)
    inputs = {
        "usage_change_28d": -1,
        "active_users_28d": -1,
        "days_to_renewal": 0,
        "tickets": 1,
        "noise": 0,
        "plan": 0,
    }
    return World(matrix, labels, inputs, end.date())


def _wander(rng, accounts, dates):
    """Return a slowly changing state of each account: (accounts, dates), unit variance."""
    state = np.zeros((accounts, dates))
    state[:, 0] = rng.normal(size=accounts)
    for step in range(1, dates):
        state[:, step] = 0.9 * state[:, step - 1] + rng.normal(0, 0.44, accounts)
    return state
