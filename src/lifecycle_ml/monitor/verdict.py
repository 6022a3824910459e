"""One verdict out of all that was seen, in words an analyst can act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.monitor.config import MonitoringConfig, VerdictWord
from lifecycle_ml.monitor.drift import FeatureDrift, grown_accounts
from lifecycle_ml.monitor.observe import RISK, Observation, observe
from lifecycle_ml.monitor.performance import Realised, truth_known_through
from lifecycle_ml.monitor.sentences import (
    auroc_says,
    base_rate_says,
    calibration_says,
    drift_says,
    estimate_says,
    money,
    percent,
    realised_says,
)
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.tables.source import Tables

SHOWN_DRIFTS = 5
"""Drifted features told in words that the verdict does not rest on; figures of all are in the document."""


@dataclass(frozen=True)
class Evidence:
    """One thing seen. `weighs`: whether the verdict rests on it; `kind` says what it is about."""

    kind: str
    says: str
    weighs: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"kind": self.kind, "says": self.says, "weighs": self.weighs}


@dataclass(frozen=True)
class Verdict:
    """One verdict at one as_of: what, where, how many accounts and ARR, whose it is, by when, what to do.

    evidence: what it rests on first, then what else was seen. accounts and arr: those affected (arr None
    where the company has no contracts); account_ids: the largest of them, at most ten. owner_role and due_on
    are None where there is nothing to do. truth_known_through: the newest snapshot date whose outcome at the
    headline horizon is final. details: every figure.
    """

    as_of: date
    word: VerdictWord
    says: str
    do: str
    evidence: tuple[Evidence, ...]
    truth_known_through: date
    accounts: int = 0
    arr: float | None = None
    account_ids: tuple[str, ...] = ()
    owner_role: str | None = None
    due_on: date | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `monitor --json`."""
        return {
            "verdict": self.word,
            "as_of": self.as_of.isoformat(),
            "says": self.says,
            "do": self.do,
            "accounts": self.accounts,
            "arr": None if self.arr is None else round(self.arr, 2),
            "account_ids": list(self.account_ids),
            "owner_role": self.owner_role,
            "due_on": None if self.due_on is None else self.due_on.isoformat(),
            "evidence": [item.to_json() for item in self.evidence],
            "truth_known_through": self.truth_known_through.isoformat(),
            **self.details,
        }


def watch(
    tables: Tables,
    features: FeatureSet,
    bundle: Bundle,
    recipe: Recipe,
    config: MonitoringConfig,
    as_of: date,
    store_scores: pd.DataFrame | None = None,
) -> Verdict:
    """Say whether what serves is still right at `as_of`; arguments as in `observe`."""
    return decide(observe(tables, features, bundle, recipe, config, as_of, store_scores), config)


@dataclass(frozen=True)
class _Case:
    """What speaks for one verdict: its evidence and the accounts it is about."""

    word: VerdictWord
    says: str
    evidence: tuple[Evidence, ...]
    account_ids: Sequence[str]


def decide(seen: Observation, config: MonitoringConfig) -> Verdict:
    """Decide on one verdict. Data come first: nothing is concluded from a feed that is broken.

    Then, in this order: retrain (the ranking is lost, or features leaned on have drifted and no known outcome
    shows that the model copes), recalibrate (known outcomes contradict the level or spread of the
    probabilities), move threshold (the probabilities are right, but the base rate they are measured against
    is no longer that of the book), do nothing.
    """
    asks: tuple[Callable[[Observation, MonitoringConfig], _Case | None], ...] = (
        _fix_feed,
        _retrain,
        _recalibrate,
        _move_threshold,
    )
    case = next((found for ask in asks if (found := ask(seen, config)) is not None), None)
    weighing = () if case is None else case.evidence
    told = {item.says for item in weighing}
    also = tuple(item for item in _also_seen(seen, config) if item.says not in told)
    through = truth_known_through(seen.recipe, seen.as_of, seen.bundle.headline)
    common: dict[str, Any] = {
        "as_of": seen.as_of,
        "evidence": weighing + also,
        "truth_known_through": through,
        "details": _details(seen),
    }
    if case is None:
        says, do = _nothing(seen, config, through)
        return Verdict(word="do nothing", says=says, do=do, arr=seen.arr_of(()), **common)
    errand = config.verdicts.errand(case.word)
    assert errand is not None
    largest = sorted(set(case.account_ids), key=lambda account: (-seen.arr.get(account, 0.0), account))
    arr = seen.arr_of(largest)
    return Verdict(
        word=case.word,
        says=f"{case.says} {_affects(len(largest), arr)}",
        do=errand.do,
        accounts=len(largest),
        arr=arr,
        account_ids=tuple(largest[:10]),
        owner_role=errand.owner_role,
        due_on=seen.as_of + timedelta(days=errand.due_days),
        **common,
    )


def decisive(seen: Observation, config: MonitoringConfig) -> Realised | None:
    """Return the known outcomes that decide: the headline's, else the longest other horizon's."""
    order = [seen.bundle.headline, *sorted(seen.realised, reverse=True)]
    for horizon in order:
        found = seen.realised.get(horizon)
        if found is not None and found.events >= config.performance.min_events:
            return found
    return None


def _fix_feed(seen: Observation, config: MonitoringConfig) -> _Case | None:
    del config
    faults = sorted((fault for fault in seen.faults if fault.weighs), key=lambda fault: -fault.lean)
    if not faults:
        return None
    everyone = [*seen.current.matrix["account_id"].astype(str)] or list(seen.arr)
    accounts: list[str] = []
    for fault in faults:
        accounts += everyone if fault.accounts is None else fault.accounts
    places = list(dict.fromkeys(fault.where for fault in faults))
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return _Case(
        "fix feed",
        f"The data changed, not the customers: {', '.join(places[:3])}{more}.",
        tuple(Evidence(fault.rule, fault.says, weighs=True) for fault in faults),
        accounts,
    )


def _retrain(seen: Observation, config: MonitoringConfig) -> _Case | None:
    truth = decisive(seen, config)
    trained = _trained_auroc(seen.bundle, truth.horizon_days) if truth else None
    if (
        truth is not None
        and trained is not None
        and truth.auroc.high < trained - config.performance.auroc_drop
    ):
        return _Case(
            "retrain",
            "The model no longer ranks accounts as it did when it was trained.",
            (Evidence("auroc", auroc_says(truth, trained, seen.bundle, config.performance), weighs=True),),
            seen.current.matrix["account_id"].astype(str).tolist(),
        )
    drifted = _unproven(seen, config, truth)
    lean = sum(item.lean for item in drifted)
    if lean < config.drift.retrain_from_lean:
        return None
    accounts: list[str] = []
    for item in drifted:
        accounts += grown_accounts(seen.reference, seen.current, item, config.drift)
    one = len(drifted) == 1
    return _Case(
        "retrain",
        f"{len(drifted)} feature{'' if one else 's'} that make{'s' if one else ''} up {percent(lean)} "
        "of what "
        f"the model leans on {'has' if one else 'have'} drifted.",
        (
            *(Evidence("drift", drift_says(item, len(seen.current)), weighs=True) for item in drifted),
            *_one_source(seen, drifted),
        ),
        accounts,
    )


def _one_source(seen: Observation, drifted: Sequence[FeatureDrift]) -> list[Evidence]:
    """Say where all that drifted comes from, if it is one table: half a feed lost looks like drift."""
    shared = set.intersection(*(set(seen.sources.get(item.feature, ())) for item in drifted))
    if len(drifted) < 2 or not shared:
        return []
    tables = " and ".join(f"`{name}`" for name in sorted(shared))
    says = (
        f"All {len(drifted)} read {tables}: see first that nothing of it is lost, which would look the same."
    )
    return [Evidence("one_source", says, weighs=True)]


def _recalibrate(seen: Observation, config: MonitoringConfig) -> _Case | None:
    truth = decisive(seen, config)
    if truth is None or not _miscalibrated(truth, config):
        return None
    ratio = truth.observed_expected.value
    way = "too low" if ratio > 1 else "too high"
    off = _level_off(truth, config)
    says = (
        f"The ranking holds, but the probabilities are {way}" if off else "The probabilities are too extreme"
    )
    if not off and truth.calibration_slope.value > 1:
        says = "The probabilities are too timid"
    return _Case(
        "recalibrate",
        f"{says}: known outcomes contradict them.",
        (Evidence("calibration", calibration_says(truth, seen.recipe), weighs=True),),
        _other_band(seen, ratio, 1.0) if off else seen.current.matrix["account_id"].astype(str).tolist(),
    )


def _move_threshold(seen: Observation, config: MonitoringConfig) -> _Case | None:
    truth, ahead = decisive(seen, config), seen.estimated
    if truth is None or ahead is None or seen.bundle.tier != "full":
        return None
    factor, base = config.threshold.rate_factor, seen.bundle.base_rate
    more = truth.rate.value >= factor and truth.rate.low > 1 and ahead.rate >= factor * base
    fewer = truth.rate.value <= 1 / factor and truth.rate.high < 1 and ahead.rate <= base / factor
    if not (more or fewer):
        return None
    return _Case(
        "move threshold",
        "The probabilities are right, but the base rate they are measured against is old: accounts that "
        f"{seen.recipe.label.outcome} are {truth.rate.value:.1f} times as frequent as when it was set.",
        (
            Evidence(
                "base_rate",
                base_rate_says(truth, ahead.rate, seen.bundle, len(_high(seen)), len(seen.current)),
                weighs=True,
            ),
        ),
        _other_band(seen, 1.0, truth.rate.value),
    )


def _unproven(seen: Observation, config: MonitoringConfig, truth: Realised | None) -> list[FeatureDrift]:
    """Drifted features, but those a fault explains and those known outcomes show the model copes with."""
    explained = {name for fault in seen.faults for name in fault.features}
    copes = truth is not None and not _miscalibrated(truth, config)
    proven = frozenset() if truth is None else seen.proven.get(truth.horizon_days, frozenset())
    return [
        item
        for item in seen.drifts
        if item.drifted and item.feature not in explained and not (copes and item.feature in proven)
    ]


def _miscalibrated(truth: Realised, config: MonitoringConfig) -> bool:
    return _level_off(truth, config) or _slope_off(truth, config)


def _level_off(truth: Realised, config: MonitoringConfig) -> bool:
    found, limits = truth.observed_expected, config.performance
    too_low = found.value > limits.observed_expected_high and found.low > 1
    return too_low or (found.value < limits.observed_expected_low and found.high < 1)


def _slope_off(truth: Realised, config: MonitoringConfig) -> bool:
    slope, limits = truth.calibration_slope, config.performance
    return slope.low > limits.slope_high or slope.high < limits.slope_low


def _trained_auroc(bundle: Bundle, horizon: int) -> float | None:
    """AUROC out of time when the bundle was trained, at that horizon."""
    metrics = bundle.metrics
    figures = metrics.get("metrics", {}) if horizon == bundle.headline else {}
    figures = figures or metrics.get("by_horizon", {}).get(str(horizon), {})
    value = figures.get("auroc", {}).get("value")
    return None if value is None else float(value)


def _other_band(seen: Observation, probability_factor: float, rate_factor: float) -> list[str]:
    """Accounts that would be in another band with probabilities or the base rate so many times as high."""
    bundle, risk = seen.bundle, seen.scored[RISK].to_numpy(dtype=np.float64)
    limits = [bundle.medium_from, bundle.high_from]
    was = np.digitize(risk / bundle.base_rate, limits)
    becomes = np.digitize(np.minimum(risk * probability_factor, 1) / (bundle.base_rate * rate_factor), limits)
    return _named(seen, was != becomes)


def _high(seen: Observation) -> list[str]:
    return _named(seen, (seen.scored["band"] == "high").to_numpy())


def _named(seen: Observation, chosen: npt.NDArray[np.bool_]) -> list[str]:
    return [str(account) for account in seen.scored.loc[chosen, "account_id"]]


def _affects(accounts: int, arr: float | None) -> str:
    one = accounts == 1
    worth = "" if arr is None else f" with {money(arr)} ARR"
    return f"It concerns {accounts:,} account{'' if one else 's'}{worth}."


def _nothing(seen: Observation, config: MonitoringConfig, through: date) -> tuple[str, str]:
    """Say why there is nothing to do, and when to look again."""
    if len(seen.current) < config.drift.least_accounts:
        says = (
            f"{len(seen.current):,} accounts are too few to tell drift from chance "
            f"(it takes {config.drift.least_accounts})."
        )
    elif not len(seen.reference):
        says = "What serves was not trained on any snapshot, so there is nothing to compare with."
    elif any(item.drifted for item in seen.drifts):
        says = "What drifted is too little of what the model leans on, or known outcomes show that it copes."
    else:
        says = f"Nothing beyond chance and season moved among {len(seen.current):,} accounts."
    if not seen.realised:
        first = date.fromisoformat(seen.bundle.data.get("data_through") or seen.as_of.isoformat())
        shortest = seen.recipe.label.horizons_days[0]
        known_on = first + (seen.as_of - truth_known_through(seen.recipe, seen.as_of, shortest))
        return says, f"Look again on {max(known_on, seen.as_of)}, when the first outcomes are known."
    return says, f"Look again with the next run. Outcomes are final for snapshots through {through}."


def _also_seen(seen: Observation, config: MonitoringConfig) -> list[Evidence]:
    """Everything else worth a sentence: it weighs nothing in this verdict, but is shown."""
    found = [Evidence(fault.rule, fault.says) for fault in seen.faults]
    today = len(seen.current)
    if seen.bundle.source == "rules":
        says = "Rules serve: no model leans on a feature. `lifecycle run` on new data tries to train again."
        found.append(Evidence("rules", says))
    drifted = [item for item in seen.drifts if item.drifted]
    found += [Evidence("drift", drift_says(item, today)) for item in drifted[:SHOWN_DRIFTS]]
    if seen.score_drift is not None and seen.score_drift.drifted:
        found.append(Evidence("score_drift", drift_says(seen.score_drift, today)))
    months = len(seen.reference_dates) * seen.recipe.snapshots.step_days
    if 0 < months < 364:
        says = f"The reference covers {months} days: a season it did not see cannot be told from drift."
        found.append(Evidence("short_reference", says))
    truth = decisive(seen, config)
    for realised in seen.realised.values():
        if realised is truth or realised.horizon_days == seen.bundle.headline:
            found.append(Evidence("realised", realised_says(realised, seen.recipe)))
    if not seen.realised:
        found.append(Evidence("realised", "No outcome of a snapshot after the training is known yet."))
    if seen.estimated is not None:
        trained = _trained_auroc(seen.bundle, seen.bundle.headline)
        found.append(Evidence("estimated", estimate_says(seen.estimated, trained, seen.recipe)))
    return found


def _details(seen: Observation) -> dict[str, Any]:
    """Return every figure, for machines and for the report."""
    bundle = seen.bundle
    dates = seen.reference_dates
    return {
        "model": {
            "name": bundle.name,
            "version": bundle.version or None,
            "digest": bundle.digest,
            "source": bundle.source,
            "tier": bundle.tier,
            "trained_through": bundle.data.get("data_through"),
        },
        "reference": {
            "from": dates[0].isoformat() if dates else None,
            "to": dates[-1].isoformat() if dates else None,
            "dates": len(dates),
            "accounts": int(seen.reference.matrix["account_id"].nunique()),
            "snapshots": len(seen.reference),
        },
        "scored": len(seen.current),
        "features": [item.to_json() for item in seen.drifts],
        "scores": None if seen.score_drift is None else seen.score_drift.to_json(),
        "feeds": [fault.to_json() for fault in seen.faults],
        "performance": {
            "realised": [item.to_json() for item in seen.realised.values()],
            "estimated": None if seen.estimated is None else seen.estimated.to_json(),
        },
    }
