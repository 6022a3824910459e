"""Is it the data that changed? Feeds, unknown values, values never seen before, customers gone at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.errors import counted
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.monitor.config import MonitoringConfig
from lifecycle_ml.monitor.drift import Snapshots, age_weights, effective_accounts
from lifecycle_ml.reasons.sentences import write_number
from lifecycle_ml.tables.feeds import FEED_RULES
from lifecycle_ml.tables.findings import Finding

Z = 4.0
"""Standard errors a share must move by: with a hundred features once in a hundred and fifty reports."""


@dataclass(frozen=True)
class Fault:
    """One fault of the data. `features`: those of the model that rest on it, `lean` their part of the lean.

    accounts: today's accounts concerned; None where it is all of them. weighs: whether it asks for a fix.
    """

    rule: str
    where: str
    features: tuple[str, ...]
    lean: float
    weighs: bool
    says: str
    accounts: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "rule": self.rule,
            "where": self.where,
            "features": list(self.features),
            "lean": round(self.lean, 4),
            "weighs": self.weighs,
            "says": self.says,
        }


def feed_faults(
    findings: Sequence[Finding], features: FeatureSet, leans: Mapping[str, float], config: MonitoringConfig
) -> list[Fault]:
    """Return the findings about feeds that stopped, each with the features of the model that rest on it."""
    faults = []
    for finding in findings:
        if finding.rule not in FEED_RULES:
            continue
        whole = finding.column is None or finding.column == "known_at"
        hit = [
            feature.name
            for feature in features
            if feature.name in leans
            and (
                finding.table in feature.tables
                if whole
                else (finding.table, str(finding.column)) in feature.columns
            )
        ]
        lean = sum(leans[name] for name in hit)
        where = finding.table if whole else f"{finding.table}.{finding.column}"
        faults.append(
            Fault(
                rule=finding.rule,
                where=where,
                features=tuple(hit),
                lean=lean,
                weighs=lean >= config.quality.fix_from_lean,
                says=f"{finding.advice} {_rest_on(hit, leans)}",
            )
        )
    return faults


def absent_fault(missing: Sequence[str]) -> Fault:
    """Return the fault of features the model needs and the source can no longer give."""
    return Fault(
        rule="feature_absent",
        where=missing[0],
        features=tuple(missing),
        lean=1.0,
        weighs=True,
        says=f"{counted(len(missing), 'feature')} of the model cannot be built any more, so no "
        "account can be "
        f"scored: {_listed(missing)}. Bring back their definitions, tables and columns; `lifecycle check` "
        "names what is absent.",
    )


def value_faults(
    reference: Snapshots,
    current: Snapshots,
    features: FeatureSet,
    leans: Mapping[str, float],
    config: MonitoringConfig,
) -> list[Fault]:
    """Return features whose values became unknown, or lie where no value ever lay."""
    if len(current) < config.drift.least_accounts:
        return []
    weights = age_weights(reference.age_days, current.age_days)
    worth = effective_accounts(reference, weights)
    faults = []
    for name, lean in leans.items():
        then, now = reference.matrix[name], current.matrix[name]
        weighs = lean >= config.quality.fix_from_lean
        empty = now.isna().to_numpy()
        if name in features and features[name].null_means == "unknown":
            was = float(np.average(then.isna(), weights=weights))
            risen = float(empty.mean()) - was
            error = (max(was, 0.01) * (1 - was) * (1 / len(now) + 1 / worth)) ** 0.5
            usual = _largest_by_date(reference, then.isna().to_numpy())
            if risen >= config.quality.null_points and risen > Z * error and empty.mean() > usual:
                faults.append(
                    Fault(
                        rule="unknown_values",
                        where=name,
                        features=(name,),
                        lean=lean,
                        weighs=weighs,
                        says=f"`{name}` is unknown for {int(empty.sum()):,} of {len(now):,} accounts "
                        f"({empty.mean():.0%}); in the training snapshots it was for {was:.0%}. It is "
                        "read from "
                        f"{_sources(features, name)}. {_rest_on([name], leans)}",
                        accounts=_accounts(current, empty),
                    )
                )
        if not pd.api.types.is_numeric_dtype(then.dtype) or not then.notna().any():
            continue
        low, high = float(then.min()), float(then.max())
        outside = ((now < low) | (now > high)).to_numpy()
        if low < high and outside.mean() >= config.quality.outside_share:
            faults.append(
                Fault(
                    rule="never_seen_values",
                    where=name,
                    features=(name,),
                    lean=lean,
                    weighs=weighs,
                    says=f"`{name}` of {int(outside.sum()):,} of {len(now):,} accounts "
                    f"({outside.mean():.0%}) lies "
                    f"outside {_figure(features, name, low)} to {_figure(features, name, high)}, all that "
                    "the training snapshots held; half of today's lie above "
                    f"{_figure(features, name, float(now.median()))}. A unit or a definition changed in "
                    f"{_sources(features, name)}. "
                    f"{_rest_on([name], leans)}",
                    accounts=_accounts(current, outside),
                )
            )
    return faults


def customers_fault(
    now: pd.DataFrame, before: pd.DataFrame, days: int, config: MonitoringConfig
) -> Fault | None:
    """Return the fault of customers who vanished within `days`: more than ever leave at once."""
    gone = sorted(set(before["account_id"].astype(str)) - set(now["account_id"].astype(str)))
    share = 1 - len(now) / max(1, len(before))
    if len(before) < config.drift.least_accounts or share < config.quality.customers_down:
        return None
    return Fault(
        rule="customers_gone",
        where="contracts",
        features=(),
        lean=1.0,
        weighs=True,
        says=f"{len(before):,} accounts were customers {days} days ago, {len(now):,} are now "
        f"({share:.0%} fewer); "
        f"gone are {_listed(gone)}. So many do not leave at once: see that the source of contracts and "
        "accounts "
        "runs whole.",
        accounts=tuple(gone),
    )


def _largest_by_date(reference: Snapshots, values: npt.NDArray[Any]) -> float:
    by_date = pd.Series(values).groupby(reference.matrix["as_of"].to_numpy()).mean()
    return float(by_date.max())


def _accounts(snapshots: Snapshots, chosen: Any) -> tuple[str, ...]:
    return tuple(snapshots.matrix.loc[chosen, "account_id"].astype(str))


def _rest_on(names: Sequence[str], leans: Mapping[str, float]) -> str:
    if not names:
        return "No feature of the model rests on it."
    if len(set(leans.values())) == 1:  # rules serve: no model leans on one feature more than on another
        rest = "rests" if len(names) == 1 else "rest"
        return f"{len(names)} of {len(leans)} features {rest} on it ({_listed(names)})."
    lean = sum(leans[name] for name in names)
    return f"{lean:.0%} of what the model leans on rests on it ({_listed(names)})."


def _figure(features: FeatureSet, name: str, value: float) -> str:
    return write_number(value, features[name].unit if name in features else "")


def _sources(features: FeatureSet, name: str) -> str:
    if name not in features:
        return "a feature that is no longer defined"
    return ", ".join(f"features/sources/{table}.sql" for table in features[name].tables)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
