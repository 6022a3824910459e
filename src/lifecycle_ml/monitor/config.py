"""serving/monitoring.toml: from what size on a difference counts, and who does what about it."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from lifecycle_ml.actions.team import ROLES
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.workspace import Strict, Workspace

FILE: Final = "serving/monitoring.toml"

VerdictWord = Literal["do nothing", "fix feed", "recalibrate", "retrain", "move threshold"]

Share = Annotated[float, Field(gt=0, lt=1)]


class Reference(Strict):
    """Which training snapshots today's accounts are compared with."""

    dates: Annotated[int, Field(ge=2, le=60)]


class Drift(Strict):
    """When a difference between today's accounts and the training snapshots is called drift."""

    level: Annotated[float, Field(gt=0, le=0.2)]
    least_psi: Annotated[float, Field(gt=0, le=2)]
    usual_factor: Annotated[float, Field(ge=1, le=10)]
    cover: Annotated[float, Field(gt=0, le=1)]
    bins: Annotated[int, Field(ge=3, le=50)]
    few_bins: Annotated[int, Field(ge=2, le=50)]
    few_accounts: Annotated[int, Field(ge=1)]
    least_accounts: Annotated[int, Field(ge=20)]
    retrain_from_lean: Share

    @model_validator(mode="after")
    def _fewer_bins_for_fewer_accounts(self) -> Self:
        if self.few_bins > self.bins:
            raise ValueError(f"few_bins = {self.few_bins} must not be above bins = {self.bins}")
        return self


class Quality(Strict):
    """When the data, not the customers, have changed."""

    fix_from_lean: Share
    null_points: Share
    outside_share: Share
    customers_down: Share


class Performance(Strict):
    """When outcomes that are known contradict the scores."""

    level: Annotated[float, Field(gt=0.5, lt=1)]
    cohorts: Annotated[int, Field(ge=1, le=24)]
    min_events: Annotated[int, Field(ge=1)]
    auroc_drop: Share
    observed_expected_low: Annotated[float, Field(gt=0, lt=1)]
    observed_expected_high: Annotated[float, Field(gt=1, le=10)]
    slope_low: Annotated[float, Field(gt=0, lt=1)]
    slope_high: Annotated[float, Field(gt=1, le=10)]


class Threshold(Strict):
    """When the base rate that bands and limits are multiples of is no longer that of the book."""

    rate_factor: Annotated[float, Field(gt=1, le=10)]


class Errand(Strict):
    """What follows from a verdict: whose it is, by when, and what to do first."""

    owner_role: str
    due_days: Annotated[int, Field(ge=0, le=366)]
    do: Annotated[str, Field(min_length=1)]

    @field_validator("owner_role")
    @classmethod
    def _known_role(cls, value: str) -> str:
        if value not in ROLES:
            raise ConfigError(f"{FILE}: verdicts: no role {value!r}.{did_you_mean(value, ROLES)}")
        return value


class Verdicts(Strict):
    """One errand for each verdict that asks for something."""

    fix_feed: Errand
    recalibrate: Errand
    retrain: Errand
    move_threshold: Errand

    def errand(self, word: VerdictWord) -> Errand | None:
        """Return what follows from a verdict; None where nothing does."""
        found: Errand | None = getattr(self, word.replace(" ", "_"), None)
        return found


class MonitoringConfig(Strict):
    """serving/monitoring.toml, whole."""

    reference: Reference
    drift: Drift
    quality: Quality
    performance: Performance
    threshold: Threshold
    verdicts: Verdicts


def load_monitoring(workspace: Workspace) -> MonitoringConfig:
    """Load serving/monitoring.toml. Raises: ConfigError with file, key and the nearest right name."""
    return workspace.load("serving", "monitoring.toml", MonitoringConfig)
