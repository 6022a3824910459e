"""A recipe: what is predicted, from which snapshots, how it is judged (training/<name>.toml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from lifecycle_ml.conditions.parse import parse_condition
from lifecycle_ml.errors import ConditionError, ConfigError
from lifecycle_ml.matrix.spine import MEANINGFUL
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.workspace import Strict, Workspace

Days = Annotated[int, Field(ge=0, le=3660)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=100_000)]


def _above(value: float, info: ValidationInfo, lower: str) -> None:
    """Refuse a value that does not lie above another key of its section."""
    floor = info.data.get(lower)
    if floor is not None and value <= floor:
        raise ValueError(f"must be above {lower} = {floor}")


def _ascending(value: tuple[int, ...], each: str) -> tuple[int, ...]:
    """Refuse days that are not written once each, the shortest first."""
    if list(value) != sorted(set(value)):
        raise ValueError(f"write each {each} once, the shortest first")
    return value


class RollingLabel(Strict):
    """Churned: recurring ARR reaches zero inside the horizon and no new contract follows within grace."""

    mode: Literal["rolling"]
    horizons_days: tuple[Annotated[int, Field(ge=1, le=1100)], ...] = Field(min_length=1, max_length=8)
    headline_days: int
    grace_days: Annotated[int, Field(ge=0, le=366)]
    arrival_lag_days: Annotated[int, Field(ge=0, le=366)]

    @field_validator("horizons_days")
    @classmethod
    def _in_order(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _ascending(value, "horizon")

    @field_validator("headline_days")
    @classmethod
    def _one_of_the_horizons(cls, value: int, info: ValidationInfo) -> int:
        horizons = info.data.get("horizons_days", (value,))
        if value not in horizons:
            raise ValueError(f"must be one of horizons_days ({', '.join(map(str, horizons))})")
        return value

    @property
    def outcome(self) -> str:
        """What a label of 1 says of an account, in one word."""
        return "churned"


class RenewalLabel(Strict):
    """Churned: recurring ARR is gone at the next renewal and no new contract follows within grace."""

    mode: Literal["renewal"]
    leads_days: tuple[Annotated[int, Field(ge=1, le=1100)], ...] = Field(min_length=1, max_length=12)
    grace_days: Annotated[int, Field(ge=0, le=366)]
    arrival_lag_days: Annotated[int, Field(ge=0, le=366)]

    @field_validator("leads_days")
    @classmethod
    def _in_order(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _ascending(value, "lead")

    @property
    def horizons_days(self) -> tuple[int, ...]:
        """The one horizon: every renewal that is looked at lies inside the longest lead."""
        return (self.leads_days[-1],)

    @property
    def headline_days(self) -> int:
        """The horizon of the published score, the gate and the bands."""
        return self.leads_days[-1]

    @property
    def outcome(self) -> str:
        """What a label of 1 says of an account, in one word."""
        return "churned"


class _OneHorizon(Strict):
    """A label with a single horizon, which is then also the headline."""

    horizon_days: Annotated[int, Field(ge=1, le=1100)]
    arrival_lag_days: Annotated[int, Field(ge=0, le=366)]

    @property
    def horizons_days(self) -> tuple[int, ...]:
        """The horizon, as labels with several name theirs."""
        return (self.horizon_days,)

    @property
    def headline_days(self) -> int:
        """The horizon of the published score, the gate and the bands."""
        return self.horizon_days


class InactivityLabel(_OneHorizon):
    """Churned: an account in use at as_of shows no meaningful use inside the horizon."""

    mode: Literal["inactivity"]
    active_within_days: Annotated[int, Field(ge=1, le=1100)]
    meaningful: str = MEANINGFUL

    @field_validator("meaningful")
    @classmethod
    def _a_condition(cls, value: str) -> str:
        try:
            parse_condition(value, [*SCHEMAS["usage_events"].by_name, "known_at"], "meaningful")
        except ConditionError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def grace_days(self) -> int:
        """None: the horizon itself is the time an account may still come back."""
        return 0

    @property
    def outcome(self) -> str:
        """What a label of 1 says of an account, in one word."""
        return "churned"


class ExpansionLabel(_OneHorizon):
    """Expanded: retained through the horizon, and recurring ARR up by more than a rise in price."""

    mode: Literal["expansion"]
    min_share: Annotated[float, Field(gt=0, le=10)]
    seat_tier: Annotated[int, Field(ge=1, le=100_000)]
    grace_days: Annotated[int, Field(ge=0, le=366)]

    @property
    def outcome(self) -> str:
        """What a label of 1 says of an account, in one word."""
        return "expanded"


Label = Annotated[RollingLabel | RenewalLabel | InactivityLabel | ExpansionLabel, Field(discriminator="mode")]
"""What counts as the outcome, and through when it can be known."""


class Snapshots(Strict):
    """The dates on which customers are looked at."""

    step_days: Annotated[int, Field(ge=1, le=366)]
    warmup_days: Days


class Splits(Strict):
    """How past and future are kept apart."""

    cutoffs: Annotated[int, Field(ge=1, le=24)]
    dates_per_cutoff: Annotated[int, Field(ge=1, le=24)]
    gap_days: Days
    min_training_dates: Count


class TreeCapacity(Strict):
    """Shape and number of a member's boosted trees, where they are not chosen from the data."""

    trees: Annotated[int, Field(ge=1, le=5000)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    leaves: Annotated[int, Field(ge=2, le=256)]
    min_child: Count
    l2: Annotated[float, Field(ge=0, le=10_000)]
    feature_fraction: Annotated[float, Field(gt=0, le=1)]


class Estimator(Strict):
    """The bag, how much it may bend, and its logistic challenger."""

    members: Annotated[int, Field(ge=1, le=100)]
    capacity: Literal["auto"] | TreeCapacity
    linear: bool
    account_fraction: Annotated[float, Field(gt=0, le=1)]
    monotone: bool
    logistic_events_per_feature: Annotated[float, Field(ge=1, le=1000)]


class Search(Strict):
    """What `train --search` tries: how many capacities, for how long at most, and from which ranges."""

    trials: Annotated[int, Field(ge=2, le=10_000)] = 40
    max_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 3600
    trees: tuple[Annotated[int, Field(ge=1, le=5000)], Annotated[int, Field(ge=1, le=5000)]] = (50, 600)
    learning_rate: tuple[Share, Share] = (0.01, 0.15)
    leaves: tuple[Annotated[int, Field(ge=2, le=256)], Annotated[int, Field(ge=2, le=256)]] = (3, 64)
    min_child: tuple[Count, Count] = (10, 200)
    l2: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(le=10_000)]] = (0.1, 100.0)
    feature_fraction: tuple[Share, Share] = (0.15, 0.9)

    @field_validator("trees", "learning_rate", "leaves", "min_child", "l2", "feature_fraction")
    @classmethod
    def _from_low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError(f"write the lower end first ([{value[1]:g}, {value[0]:g}])")
        return value


class Tiers(Strict):
    """How much may be claimed, by the number of accounts with the outcome."""

    advisory_from_accounts: Count
    full_from_accounts: Count
    min_history_horizons: Annotated[float, Field(ge=0, le=40)]

    @field_validator("full_from_accounts")
    @classmethod
    def _above_advisory(cls, value: int, info: ValidationInfo) -> int:
        _above(value, info, "advisory_from_accounts")
        return value


class Calibration(Strict):
    """From how many events the calibration may have a slope."""

    platt_from_events: Count


class Bands(Strict):
    """Where low, medium and high begin, as multiples of the base rate of the recipe's population."""

    medium_from: Annotated[float, Field(gt=0, le=100)]
    high_from: Annotated[float, Field(gt=0, le=100)]

    @field_validator("high_from")
    @classmethod
    def _above_medium(cls, value: float, info: ValidationInfo) -> float:
        _above(value, info, "medium_from")
        return value

    def band(self, multiple: float) -> Literal["low", "medium", "high"]:
        """Name the band of a risk given as a multiple of the base rate."""
        if multiple >= self.high_from:
            return "high"
        return "medium" if multiple >= self.medium_from else "low"


class Gate(Strict):
    """What a model must show before it may be served."""

    level: Annotated[float, Field(gt=0.5, lt=1)]
    min_gain: Annotated[float, Field(ge=-1, le=1)]
    min_events: Count
    slope_low: Annotated[float, Field(ge=0, le=10)]
    slope_high: Annotated[float, Field(gt=0, le=10)]
    observed_expected_low: Annotated[float, Field(ge=0, le=10)]
    observed_expected_high: Annotated[float, Field(gt=0, le=10)]
    leak_auroc: Annotated[float, Field(gt=0.5, le=1)]
    promote_from: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    min_stability: Annotated[float, Field(ge=0, le=1)] = 0.75
    min_colour_gain: Annotated[float, Field(ge=-1, le=1)] = 0.0
    min_red_odds: Annotated[float, Field(ge=0, le=100)] = 3.0
    red_capacity: Share = 0.05
    flagged_capacity: Share = 0.3

    @property
    def interval_level(self) -> float:
        """Level of the two-sided interval whose low end is the one-sided bound at `level`."""
        return 2 * self.level - 1

    @field_validator("slope_high")
    @classmethod
    def _slope_range(cls, value: float, info: ValidationInfo) -> float:
        _above(value, info, "slope_low")
        return value

    @field_validator("observed_expected_high")
    @classmethod
    def _observed_range(cls, value: float, info: ValidationInfo) -> float:
        _above(value, info, "observed_expected_low")
        return value

    @field_validator("flagged_capacity")
    @classmethod
    def _room_for_yellow(cls, value: float, info: ValidationInfo) -> float:
        _above(value, info, "red_capacity")
        return value


class Points(Strict):
    """One line of the point table: a feature that meets the comparison adds its points; a null never does."""

    feature: Annotated[str, Field(min_length=1)]
    op: Literal["<", "<=", ">", ">=", "=="]
    number: float
    points: Annotated[int, Field(ge=-100, le=100)]


class Rules(Strict):
    """What serves where no model may: prior rates per band, and points where no label exists at all."""

    prior_rate_low: Share
    prior_rate_medium: Share
    prior_rate_high: Share
    prior_accounts: Annotated[float, Field(gt=0, le=100_000)]
    medium_from_points: int
    high_from_points: int
    points: tuple[Points, ...] = Field(min_length=1)

    @field_validator("prior_rate_medium")
    @classmethod
    def _above_low(cls, value: float, info: ValidationInfo) -> float:
        _above(value, info, "prior_rate_low")
        return value

    @field_validator("prior_rate_high")
    @classmethod
    def _above_medium(cls, value: float, info: ValidationInfo) -> float:
        _above(value, info, "prior_rate_medium")
        return value

    @field_validator("high_from_points")
    @classmethod
    def _above_medium_points(cls, value: int, info: ValidationInfo) -> int:
        _above(value, info, "medium_from_points")
        return value

    @property
    def prior_rates(self) -> dict[str, float]:
        """Prior rate of the outcome in the headline horizon by band."""
        return {"low": self.prior_rate_low, "medium": self.prior_rate_medium, "high": self.prior_rate_high}


class Recipe(Strict):
    """One training configuration, whole. `name` is the file's stem, set by `load_recipe`."""

    name: str = ""
    says: str
    allow_as_of_today: bool
    leave_out: tuple[str, ...]
    treated: Literal["keep", "leave_out"] = "keep"
    label: Label
    snapshots: Snapshots
    splits: Splits
    estimator: Estimator
    search: Search = Search()
    tiers: Tiers
    calibration: Calibration
    bands: Bands
    gate: Gate
    rules: Rules

    @property
    def needs(self) -> frozenset[str]:
        """Canonical tables this recipe cannot do without, beside accounts."""
        return frozenset({"usage_events" if self.label.mode == "inactivity" else "contracts"})


class _Rolling(Recipe):
    label: RollingLabel


class _Renewal(Recipe):
    label: RenewalLabel


class _Inactivity(Recipe):
    label: InactivityLabel


class _Expansion(Recipe):
    label: ExpansionLabel


# By the mode it names, so that messages speak of the keys of that mode and of no other.
_BY_MODE: dict[str | None, type[Recipe]] = {
    "rolling": _Rolling,
    "renewal": _Renewal,
    "inactivity": _Inactivity,
    "expansion": _Expansion,
}


class _Mode(Strict):
    model_config = ConfigDict(extra="ignore")
    mode: Literal["rolling", "renewal", "inactivity", "expansion"] | None = None


class _Peeked(Strict):
    model_config = ConfigDict(extra="ignore")
    label: _Mode | None = None


def load_recipe(workspace: Workspace, name: str) -> Recipe:
    """Read training/<name>.toml of the workspace.

    Raises: ConfigError naming file and key for an unknown or missing key, a value out of range, or no file.
    """
    peeked = workspace.load("training", f"{name}.toml", _Peeked)
    mode = None if peeked.label is None else peeked.label.mode
    recipe = workspace.load("training", f"{name}.toml", _BY_MODE.get(mode, _Rolling))
    return recipe.model_copy(update={"name": name})


def recorded_recipe(document: Mapping[str, Any]) -> Recipe:
    """Rebuild a recipe from its own `model_dump(mode="json")`, as a run keeps it.

    Raises: ConfigError for one that this version cannot read.
    """
    try:
        return _BY_MODE[document["label"]["mode"]].model_validate(document)
    except (KeyError, TypeError, ValidationError) as error:
        raise ConfigError(
            f"the recorded recipe is of another version and cannot be read: {error}."
        ) from error
