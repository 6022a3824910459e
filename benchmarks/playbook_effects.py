"""Does the hold-out estimate find a playbook's true effect, where before and after does not?

    python -m benchmarks.playbook_effects --seeds 100 --out out/playbook_effects.jsonl

Simulated companies give each account its true probability to leave within 90 days. A model sees it through
noise, and an account turns yellow the first time what the model says is over the limit: partly bad luck, as
in life. The product's own draw holds some out; the others are offered a playbook. Success managers do the
work for most, more seldom for those in most trouble, and work that is done multiplies the hazard of leaving
by `RELIEF` (1: it does nothing). Who leaves is drawn from the probability that results. The estimate is the
product's own, and is compared with the true effect of offering, and its width with that of the usual
interval for two proportions at the planned numbers and true rates. One JSON line per seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from lifecycle_ml.actions.effects import Case, measure_effect, planned_width
from lifecycle_ml.actions.hold_out import draw
from lifecycle_ml.simulate.company import simulate_company

PLAYBOOK = "low_adoption_after_onboarding_yellow"
HORIZON = 90
SHARE = 0.3
"""Share held out."""
RELIEF = 0.4
"""What the hazard is multiplied with where the work was done."""
NOISE = 1.0
"""Standard deviation of what stands between the true log-odds and what the model sees."""
LIMIT = 2.0
"""Yellow from so many times the mean of what the model says."""
FIRST_COMPANY, COMPANIES = 9801, 5
"""Companies from this seed on, used for nothing else, are taken in turn."""
ACCOUNTS = 2_000
BINS = 100


@dataclass(frozen=True)
class Estimate:
    """What one seed came to; rates and effects are shares, effects churn avoided by offering the playbook."""

    seed: int
    relief: float
    held_out: int
    offered: int
    delivered: float
    true: float
    effect: float
    low: float
    high: float
    width: float
    planned: float
    naive: float

    @property
    def covers(self) -> bool:
        """Whether the interval holds the true effect."""
        return self.low <= self.true <= self.high


@cache
def outlooks(seed: int, accounts: int = ACCOUNTS) -> pd.DataFrame:
    """Return account_id, as_of and the true probability, every four weeks, of one company."""
    company = simulate_company(seed, accounts, truth_step_weeks=4)
    return company.truth["probabilities"][["account_id", "as_of", f"probability_{HORIZON}d"]].set_axis(
        ["account_id", "as_of", "probability"], axis=1
    )


def turn_yellow(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return each account's first row over the limit, with `says`: what the model, calibrated, says then."""
    true = rows["probability"].clip(1e-6, 1 - 1e-6)
    seen = np.log(true / (1 - true)) + rng.normal(0, NOISE, len(rows))
    bins = pd.qcut(seen, BINS, labels=False, duplicates="drop")
    says = rows["probability"].groupby(bins.to_numpy()).transform("mean")
    over = rows.assign(says=says)[says >= LIMIT * rows["probability"].mean()]
    return over.sort_values("as_of").drop_duplicates("account_id").sort_values("account_id")


def estimate(seed: int, relief: float = RELIEF, accounts: int = ACCOUNTS) -> Estimate:
    """Run one hold-out and estimate it."""
    rng = np.random.default_rng(seed)
    rows = turn_yellow(outlooks(FIRST_COMPANY + seed % COMPANIES, accounts), rng)
    true = rows["probability"].to_numpy()
    trouble = pd.Series(true).rank(pct=True).to_numpy()
    does = 0.9 - 0.5 * trouble
    saved = 1 - (1 - true) ** relief
    offered_rate, held_rate = float((does * saved + (1 - does) * true).mean()), float(true.mean())
    salt = f"salt {seed}".encode()
    held = np.array(
        [draw(salt, PLAYBOOK, row.account_id, row.as_of.date()) < SHARE for row in rows.itertuples()]
    )
    done = ~held & (rng.random(len(rows)) < does)
    left = rng.random(len(rows)) < np.where(done, saved, true)
    cases = [
        Case(
            account_id=row.account_id,
            playbook=PLAYBOOK,
            day=row.as_of.toordinal(),
            arm="held_out" if is_held else "offered",
            share=SHARE,
            done=bool(was_done),
            expected=float(row.says),
            happened=bool(has_left),
        )
        for row, is_held, was_done, has_left in zip(rows.itertuples(), held, done, left, strict=True)
    ]
    found = measure_effect(PLAYBOOK, cases, "churn", HORIZON)
    assert found.effect is not None
    assert found.naive is not None
    assert found.delivered is not None
    planned = planned_width(held_rate, offered_rate, round(SHARE * len(rows)), round((1 - SHARE) * len(rows)))
    return Estimate(
        seed=seed,
        relief=relief,
        held_out=found.held_out.count,
        offered=found.offered.count,
        delivered=found.delivered,
        true=held_rate - offered_rate,
        effect=found.effect.value,
        low=found.effect.low,
        high=found.effect.high,
        width=found.effect.high - found.effect.low,
        planned=planned,
        naive=found.naive,
    )


def summarise(found: list[Estimate]) -> dict[str, float]:
    """Return the figures of the page: coverage, widths, and how far both estimates are off on average."""
    frame = pd.DataFrame([asdict(each) for each in found])
    ratio = frame["width"] / frame["planned"]
    return {
        "seeds": len(found),
        "covered": sum(each.covers for each in found),
        "held_out": float(frame["held_out"].mean()),
        "offered": float(frame["offered"].mean()),
        "delivered": float(frame["delivered"].mean()),
        "true": float(frame["true"].mean()),
        "effect": float(frame["effect"].mean()),
        "width_ratio": float(ratio.mean()),
        "widest_ratio": float(ratio.max()),
        "naive": float(frame["naive"].mean()),
        "naive_inside": int(frame["naive"].between(frame["low"], frame["high"]).sum()),
    }


def _run(seeds: int) -> Iterator[Estimate]:
    for relief in (RELIEF, 1.0):
        for seed in range(seeds):
            yield estimate(seed, relief)


def main(argv: list[str] | None = None) -> int:
    """Run it and print the figures; exit 1 where an estimate does not hold what the page says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("out/playbook_effects.jsonl"))
    arguments = parser.parse_args(argv)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found = []
    with arguments.out.open("w", encoding="utf-8") as file:
        for each in _run(arguments.seeds):
            found.append(each)
            file.write(json.dumps(asdict(each)) + "\n")
    held = True
    for relief in (RELIEF, 1.0):
        figures = summarise([each for each in found if each.relief == relief])
        print(f"hazard times {relief}:", json.dumps({k: round(v, 4) for k, v in figures.items()}))
        held &= figures["covered"] >= 0.9 * figures["seeds"] and figures["width_ratio"] <= 1.2
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
