"""docs/reference/health-inputs.md, written from the standard workspace.

`python -m lifecycle_ml.health.reference > docs/reference/health-inputs.md`
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lifecycle_ml.health.config import HealthConfig, Input
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.reasons.sentences import write_number

_HEAD: Final = """# Health inputs

The ten things every account is shown beside its colour, and the facts that turn a colour alone, as defined in
`serving/health.toml`. This page is written from that file
(`python -m lifecycle_ml.health.reference > docs/reference/health-inputs.md`). How a colour comes about:
[colours that hold still](../explanation/health.md).

An input is *good* at `good` or better, *poor* at `poor` or worse, *watch* between them, and *unknown* where
nobody knows the value. Its trend compares it with a reading between {half} and {whole} days old: *steady*
where it moved by no more than the last column says, else *improving* or *declining*. Inputs that move by the
calendar alone have no trend."""

_FACTS: Final = """## Facts that turn a colour alone

A fact turns the colour in the publication that first sees it, whatever the model says, and holds it while
it is true. One that cannot be told does not fire, and does not let go."""

_LIMITS: Final = """## Limits of risk

In {unit}; see `lifecycle health tune`."""


def describe_health(config: HealthConfig, features: FeatureSet) -> str:
    """Return docs/reference/health-inputs.md: the ten inputs, the facts, and the limits of risk."""
    trend_days = config.file.trend_days
    parts = [_HEAD.format(half=trend_days // 2, whole=trend_days)]
    parts.append(
        _table(
            ("Input", "Feature", "Better", "Good", "Poor", "Steady within"),
            (_input(name, entry, features) for name, entry in config.inputs.items()),
        )
    )
    parts.append(_FACTS)
    parts.append(
        _table(
            ("Fact", "Turns", "When", "Says", "Reason"),
            (
                (
                    f"`{name}`",
                    fact.color,
                    f"`{' '.join(fact.when.replace('|', chr(92) + '|').split())}`",
                    fact.says,
                    f"`{fact.category}`" if fact.category else "the first one of the day",
                )
                for name, fact in config.facts.items()
            ),
        )
    )
    limits = config.file.limits
    every = {"all": limits, **limits.segments}
    unit = "multiples of the base rate" if limits.unit == "times_base_rate" else "chances of churn"
    parts.append(_LIMITS.format(unit=unit))
    parts.append(
        _table(
            ("Accounts", "Red from", "left under", "Yellow from", "left under"),
            (
                (name, *(f"{value:g}" for turn in (own.red, own.yellow) for value in (turn.enter, turn.exit)))
                for name, own in every.items()
            ),
        )
    )
    return "\n\n".join(parts) + "\n"


def _input(name: str, entry: Input, features: FeatureSet) -> tuple[str, ...]:
    unit = features[entry.feature].unit if entry.feature in features.names else ""

    def shown(value: float | None) -> str:
        return "never" if value is None else write_number(value, unit)

    steady = shown(entry.steady_within) if entry.trend else "no trend"
    return (f"`{name}`", f"`{entry.feature}`", entry.better, shown(entry.good), shown(entry.poor), steady)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    import sys

    from lifecycle_ml.health.config import load_health
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.workspace import load_workspace

    workspace = load_workspace()
    defined = load_features(workspace)
    sys.stdout.write(describe_health(load_health(workspace, defined.names), defined))
