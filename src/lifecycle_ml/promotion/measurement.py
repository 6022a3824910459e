"""What was tried, measured out of time: overall, by group, on a team's list, in days and in money."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.models.calibrators import REPORTED
from lifecycle_ml.models.curves import LISTS, capacity_table, decile_table
from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.evaluation import (
    Bootstrap,
    DaysOfWarning,
    Interval,
    bootstrap,
    days_of_warning,
    evaluate,
)
from lifecycle_ml.models.expected_arr import calibration_shifts, money_by_date
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.promotion.backtest import LOGISTIC, MODEL, UNSEEN, Backtest
from lifecycle_ml.promotion.colours import BASE_RATE
from lifecycle_ml.promotion.evaluation import (
    CALENDAR,
    CAPACITY,
    LEFT_ALONE,
    RANDOM,
    UNKNOWN,
    WORKED_ON,
    Evaluation,
    Group,
)

FIGURES = (
    "auroc",
    "average_precision",
    "log_loss",
    "brier",
    "top_decile_lift",
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
)
VALUE_FIGURES = ("expected_maximum_profit", "arr_captured_at_capacity")
RULE_FIGURES = tuple(name for name in FIGURES if not name.startswith("calibration_"))
"""Of rules and the logistic regression: nothing is decided by how their probabilities are calibrated."""
FEW_FIGURES = ("auroc", "average_precision", "observed_expected")
GROUP_FIGURES = (*FEW_FIGURES, "top_decile_lift")
SECONDARY_DRAWS = 300
"""Bootstrap draws of what nothing is decided by."""


def measure(
    tried: Backtest | None,
    recipe: Recipe,
    *,
    seed: int,
    draws: int,
    segments: Mapping[str, str] | None = None,
    capacity: float = CAPACITY,
) -> Evaluation:
    """Measure every candidate on the same out-of-time rows; empty where there are none.

    segments: account to segment; figures are grouped by it, nothing learns from it. capacity: share of each
    date's accounts on the team's list.
    """
    if tried is None:
        counts = {"rows": 0, "accounts": 0, "accounts_with_outcome": 0, "cutoffs": 0}
        return Evaluation({}, {}, {}, {}, {}, counts, {}, list_share=capacity)
    rows = _Rows(tried, recipe, seed, draws, capacity)
    others = [*tried.rules, *(name for name in (LOGISTIC,) if name in tried.probabilities)]
    drawn = {name: rows.figures(name, (*RULE_FIGURES, *VALUE_FIGURES)) for name in others}
    baselines = {name: figures.intervals() for name, figures in drawn.items()}
    counts = {
        "rows": len(rows.y),
        "accounts": len(pd.unique(rows.account)),
        "accounts_with_outcome": len(pd.unique(rows.account[rows.y > 0])),
        "cutoffs": len(tried.cutoffs),
    }
    if MODEL not in tried.probabilities:
        return Evaluation({}, baselines, {}, {}, {}, counts, tried.skipped, list_share=capacity)
    p = tried.at_headline(MODEL)
    unmeasured: dict[str, str] = {}
    model = rows.figures(MODEL, (*FIGURES, *VALUE_FIGURES))
    money, money_ratio = rows.money(p, unmeasured)
    few = min(draws, SECONDARY_DRAWS)
    return Evaluation(
        metrics=model.intervals(),
        baselines=baselines,
        gains={
            name: model.above(figures, "average_precision", recipe.gate.interval_level)
            for name, figures in drawn.items()
        },
        unseen=rows.figures(UNSEEN, FEW_FIGURES).intervals() if UNSEEN in tried.probabilities else {},
        by_horizon=_by_horizon(tried, rows.account, seed, few),
        counts=counts,
        skipped=tried.skipped,
        segments=rows.segments(p, segments or {}, unmeasured),
        groups=rows.groups(p, unmeasured),
        deciles=decile_table(rows.y, p, rows.account, seed=seed, draws=few),
        capacity=rows.capacity_table(p, unmeasured),
        list_share=capacity,
        warning=rows.warning(p, baselines, unmeasured),
        money=money,
        money_ratio=money_ratio,
        calibrators=rows.calibrators(p),
        shifts=calibration_shifts(rows.y, p, rows.account, seed=seed, draws=min(few, 200)),
        unmeasured=unmeasured,
    )


class _Rows:
    """The out-of-time rows at the headline horizon, and what is measured on them."""

    def __init__(self, tried: Backtest, recipe: Recipe, seed: int, draws: int, capacity: float) -> None:
        self.tried, self.recipe, self.seed, self.draws = tried, recipe, seed, draws
        self.share = capacity
        self.y: Floats = tried.y
        self.account: npt.NDArray[Any] = tried.rows["account_id"].to_numpy()
        self.as_of: npt.NDArray[Any] = tried.rows["as_of"].to_numpy()
        arr = tried.rows["arr"].to_numpy(dtype=np.float64)
        self.arr: Floats | None = None if np.isnan(arr).all() else arr
        self.few: dict[str, Any] = {"seed": seed, "draws": min(draws, SECONDARY_DRAWS)}

    def figures(self, name: str, wanted: Iterable[str]) -> Bootstrap:
        """Measure one candidate on all rows."""
        return bootstrap(
            self.y,
            self.tried.at_headline(name),
            self.account,
            self.arr,
            self.seed,
            self.draws,
            as_of=self.as_of,
            capacity=self.share,
            metrics=wanted,
        )

    def segments(
        self, p: Floats, segments: Mapping[str, str], unmeasured: dict[str, str]
    ) -> dict[str, Group]:
        """Measure each segment, the largest first."""
        segment = pd.Series(self.account).map(dict(segments)).fillna("none recorded").to_numpy(dtype=object)
        accounts = (
            pd.Series(self.account).groupby(segment).nunique().sort_values(ascending=False, kind="stable")
        )
        if len(accounts) < 2:
            only = "" if not len(accounts) or "none recorded" in accounts else f" but {accounts.index[0]}"
            unmeasured["segments"] = f"no segment{only} is recorded"
            return {}
        return {str(name): self.group(p, segment == name) for name in accounts.index}

    def groups(self, p: Floats, unmeasured: dict[str, str]) -> dict[str, Group]:
        """Measure the accounts that renew inside the horizon, and all with members that never saw them."""
        found = {}
        left = self.tried.rows.get("days_to_renewal", pd.Series(np.nan, self.tried.rows.index))
        if left.isna().all():
            unmeasured["renewing"] = "no contract with an end is in force on any of these dates"
        else:
            renewing = ((left >= 0) & (left < self.tried.headline)).to_numpy()
            if renewing.any():
                found["renewing"] = self.group(p, renewing)
            else:
                unmeasured["renewing"] = f"no contract ends within {self.tried.headline} days of these dates"
        if UNSEEN in self.tried.probabilities:
            found["unseen_accounts"] = self.group(
                self.tried.at_headline(UNSEEN), np.ones(len(self.y), dtype=bool)
            )
        else:
            unmeasured["unseen_accounts"] = "no member of the model left every account out"
        if "treatment" in self.tried.rows:
            worked = (self.tried.rows["treatment"] == "treated").to_numpy()
            found |= {
                name: self.group(p, chosen)
                for name, chosen in ((LEFT_ALONE, ~worked), (WORKED_ON, worked))
                if chosen.any()
            }
        return found

    def group(self, p: Floats, chosen: npt.NDArray[np.bool_]) -> Group:
        """Measure the model, and the rule that orders these rows best."""
        y, account = self.y[chosen], self.account[chosen]
        events = len(pd.unique(account[y > 0]))
        counts = (len(y), len(pd.unique(account)), events)
        if events < self.recipe.gate.min_events:
            word = self.recipe.label.outcome
            needed = f"{events} {word} accounts; measured from {self.recipe.gate.min_events} on"
            return Group(*counts, reason=f"too few: {needed}")
        precision = {
            name: evaluate(y, scores[chosen], account, draws=0, metrics=["average_precision"])[
                "average_precision"
            ].value
            for name, scores in self.tried.rules.items()
        }
        model = bootstrap(y, p[chosen], account, metrics=GROUP_FIGURES, **self.few)
        if not precision:
            return Group(*counts, model.intervals())
        best = max(sorted(precision), key=lambda name: precision[name])
        name = "average_precision"
        rule = bootstrap(y, self.tried.rules[best][chosen], account, metrics=[name], **self.few)
        gain = model.above(rule, name, self.recipe.gate.interval_level)
        return Group(*counts, model.intervals(), best, rule.intervals()[name], gain)

    def capacity_table(self, p: Floats, unmeasured: dict[str, str]) -> pd.DataFrame:
        """Measure lists of several lengths beside ranking by ARR, alone and by renewal calendar."""
        against = {"arr": np.ones(len(p))}
        if CALENDAR in self.tried.rules:
            against["calendar"] = self.tried.rules[CALENDAR]
        if self.arr is None:
            unmeasured["arr_caught"] = "no ARR is known"
        return capacity_table(
            self.y,
            p,
            self.account,
            self.as_of,
            arr=self.arr,
            against=against,
            lists=sorted({*LISTS, self.share}),
            **self.few,
        )

    def warning(
        self, p: Floats, baselines: Mapping[str, Mapping[str, Interval]], unmeasured: dict[str, str]
    ) -> dict[str, DaysOfWarning]:
        """Measure how early accounts that churned stood on the list of the model, a rule, and chance."""
        rows = self.tried.rows
        if self.recipe.label.outcome != "churned":
            unmeasured["days_of_warning"] = "only churn has a last day on which to act"
            return {}
        if "churned_on" not in rows or rows["churned_on"].isna().all():
            unmeasured["days_of_warning"] = "no account churned"
            return {}
        ranked = {
            name: baselines[name]["average_precision"].value
            for name in self.tried.rules
            if name != BASE_RATE and not math.isnan(baselines[name]["average_precision"].value)
        }
        lists = {MODEL: p}
        if ranked:
            best = max(sorted(ranked), key=lambda name: ranked[name])
            lists[best] = self.tried.rules[best]
        # one number per account: a list drawn anew each date would name nearly everybody sooner or later
        code, accounts = pd.factorize(self.account)
        lists[RANDOM] = np.random.default_rng(self.seed).random(len(accounts))[code]
        return {
            name: days_of_warning(
                self.account,
                self.as_of,
                listed(scores, self.as_of, self.share),
                rows["churned_on"].to_numpy(),
                notice_days=rows["notice_days"].to_numpy(dtype=np.float64),
                **self.few,
            )
            for name, scores in lists.items()
        }

    def money(self, p: Floats, unmeasured: dict[str, str]) -> tuple[pd.DataFrame | None, Interval]:
        """Compare ARR expected to be lost (or gained) with what was."""
        if self.arr is None:
            unmeasured["money"] = "no ARR is known"
            return None, UNKNOWN
        rows = self.tried.rows
        if self.recipe.label.outcome == "churned":
            expected, observed = p * self.arr, self.y * self.arr
        else:
            rise = rows["rise"].to_numpy(dtype=np.float64)
            if np.isnan(rise).any():
                unmeasured["money"] = "how far ARR rose is not known at every cut-off"
                return None, UNKNOWN
            expected = p * self.arr * rise
            observed = self.y * (rows["arr_after"].to_numpy(dtype=np.float64) - self.arr)
        return money_by_date(expected, observed, self.account, self.as_of, **self.few)

    def bent(self, name: str) -> Floats:
        """Calibrate the model's rows in another way, each from the rows the one served learned it from."""
        before = self.tried.uncalibrated
        assert before is not None
        found = np.full(len(before), np.nan)
        for apply, learn in self.tried.calibrated_from:
            found[apply] = REPORTED[name](before[learn], self.y[learn])(before[apply])
        return found

    def calibrators(self, p: Floats) -> dict[str, dict[str, Interval]]:
        """Measure the log loss of calibrations that are not served, learned from the same rows."""
        if self.tried.uncalibrated is None:
            return {}
        tried = {"served": p, "none": self.tried.uncalibrated} | {name: self.bent(name) for name in REPORTED}
        name = "log_loss"
        drawn = {
            kind: bootstrap(self.y, scores, self.account, metrics=[name], **self.few)
            for kind, scores in tried.items()
        }
        return {
            kind: {**figures.intervals(), "above_served": figures.above(drawn["served"], name)}
            for kind, figures in drawn.items()
        }


def listed(score: Floats, as_of: npt.NDArray[Any], share: float) -> npt.NDArray[np.bool_]:
    """Mark the rows on the list of each date: the highest `share` of it, at least one; ties in row order."""
    dated = pd.Series(score).groupby(as_of)
    place = dated.rank(ascending=False, method="first")
    length = (share * dated.transform("size")).round().clip(lower=1)
    return np.asarray(place <= length)


def _by_horizon(
    tried: Backtest, account: npt.NDArray[Any], seed: int, draws: int
) -> dict[int, dict[str, Interval]]:
    found = {}
    for position, horizon in enumerate(tried.horizons):
        if horizon == tried.headline:
            continue
        outcome = tried.outcomes[:, position]
        known = ~np.isnan(outcome)
        found[horizon] = evaluate(
            outcome[known],
            tried.probabilities[MODEL][known, position],
            account[known],
            seed=seed,
            draws=draws,
            metrics=FEW_FIGURES,
        )
    return found
