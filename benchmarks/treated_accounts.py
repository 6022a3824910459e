"""Whether to learn from accounts that were worked on: both ways, against what would have come without work.

`python -m benchmarks.treated_accounts` prints a table; it needs no data and takes a minute. Accounts have a
state that drifts and drives leaving; those that look bad are worked on, if they are still there, which
multiplies their hazard for six periods. A logistic regression learns the next three periods from what came,
with (`keep`) and without (`leave_out`) the snapshots that were worked on. The truth is known: whether the
account would have left with nobody working on it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

ACCOUNTS, PERIODS, HORIZON, LASTS, TOP = 1500, 30, 3, 6, 0.85


@dataclass(frozen=True)
class Snapshots:
    """One row per account and period: inputs, what came out, what would have, and whether work was done."""

    inputs: npt.NDArray[np.float64]
    period: npt.NDArray[np.int64]
    left: npt.NDArray[np.bool_]
    would_have_left: npt.NDArray[np.bool_]
    worked_on: npt.NDArray[np.bool_]


def simulate(seed: int, relief: float, share: float) -> Snapshots:
    """Simulate one company; `relief` multiplies the hazard, `share` of the accounts are ever worked on."""
    rng = np.random.default_rng(seed)
    state = np.zeros((ACCOUNTS, PERIODS))
    state[:, 0] = rng.normal(size=ACCOUNTS)
    for now in range(1, PERIODS):
        state[:, now] = 0.9 * state[:, now - 1] + rng.normal(0, 0.44, ACCOUNTS)
    seen, noise = state + rng.normal(0, 0.4, state.shape), rng.normal(size=state.shape)
    hazard, chance = np.clip(0.02 * np.exp(1.2 * state - 0.7), 0, 0.9), rng.random(state.shape)
    work, alive = np.zeros(state.shape, dtype=bool), np.ones(ACCOUNTS, dtype=bool)
    until, due, rests = (np.full(ACCOUNTS, -1) for _ in range(3))
    gone, spared = np.full(ACCOUNTS, PERIODS), rng.random(ACCOUNTS) >= share
    looks_bad = np.quantile(seen, TOP)
    for now in range(PERIODS):
        done = alive & (due == now)
        until[done], work[done, now], due[done] = now + LASTS, True, -1
        leaves = alive & (chance[:, now] < hazard[:, now] * np.where(until >= now, relief, 1.0))
        gone[leaves], alive = now, alive & ~leaves
        begun = alive & (seen[:, now] > looks_bad) & (due < 0) & (rests < now) & ~spared & (now >= LASTS)
        due[begun], rests[begun] = now + rng.integers(1, 3, int(begun.sum())), now + LASTS
    account, period = np.nonzero(gone[:, None] > np.arange(PERIODS - HORIZON)[None, :])
    ahead = [np.minimum(period + step, PERIODS - 1) for step in range(1, HORIZON + 1)]
    near = [np.clip(period + step, 0, PERIODS - 1) for step in range(-HORIZON, HORIZON + 1)]
    return Snapshots(
        inputs=np.column_stack([seen[account, period], noise[account, period]]),
        period=period,
        left=gone[account] <= period + HORIZON,
        would_have_left=np.any([chance[account, at] < hazard[account, at] for at in ahead], axis=0),
        worked_on=np.any([work[account, at] for at in near], axis=0),
    )


def figures(rows: Snapshots, *, leave_out: bool) -> list[float]:
    """Return AUROC, and truth over expectation of all and of the worst 15%: without work, then as seen."""
    past, late = rows.period < PERIODS - 9, rows.period >= PERIODS - 6
    taught = past & ~rows.worked_on if leave_out else past
    model = LogisticRegression(C=1e6).fit(rows.inputs[taught], rows.left[taught])
    chance = model.predict_proba(rows.inputs[late])[:, 1]
    worst, found = chance >= np.quantile(chance, TOP), []
    for truth in (rows.would_have_left[late], rows.left[late]):
        found += [roc_auc_score(truth, chance), truth.mean() / chance.mean()]
        found.append(truth[worst].mean() / chance[worst].mean())
    return found


def main() -> None:
    """Print the table of docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    print("| hazard x | worked on | learning | AUROC | without work: truth / expected, worst 15% | as seen |")
    print("|---|---|---|---|---|---|")
    for relief in (0.8, 0.5, 0.3):
        for share in (0.9, 0.5):
            companies = [simulate(seed, relief, share) for seed in range(seeds)]
            part = np.mean([rows.worked_on.mean() for rows in companies])
            for leave_out in (False, True):
                mean = np.mean([figures(rows, leave_out=leave_out) for rows in companies], axis=0)
                print(
                    f"| {relief:g} | {part:.0%} | {'leave_out' if leave_out else 'keep'} | {mean[0]:.3f} | "
                    f"{mean[1]:.2f}, {mean[2]:.2f} | {mean[4]:.2f}, {mean[5]:.2f} |"
                )


if __name__ == "__main__":
    main()
