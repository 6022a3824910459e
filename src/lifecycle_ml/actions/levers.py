"""[levers] of serving/playbooks.toml: what a team can move, in which words, and which step does it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lifecycle_ml.actions.playbooks import COLORS, FILE, LeverSection, Playbooks, PlaybooksFile
from lifecycle_ml.conditions.calculate import parse_calculation
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.health.levers import TARGET, Lever
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.health.what_would_help import Offer, WhatIf
from lifecycle_ml.matrix.feature import USUAL, Feature, FeatureSet
from lifecycle_ml.reasons.sentences import SHARES, fill_template

NOTHING: Final = "Nothing a team usually achieves would bring the model's risk under the limit"
UNDER: Final = "No change is needed for the model's risk: it is under the limit already"
SIGNS: Final = {"lowers": 1, "raises": -1}


@dataclass(frozen=True)
class Levers:
    """Checked levers: each feature, calculation and step exists. Build them with `check_levers`."""

    sections: Mapping[str, LeverSection]
    moved: tuple[Lever, ...]
    """As the search takes them, in the order of the file."""
    units: Mapping[str, str]
    playbooks: PlaybooksFile

    def say(self, found: WhatIf | None, state: HealthState, risk: float | None) -> list[dict[str, Any]]:
        """Return `what_would_help` of one account: one entry per offer, smallest first.

        `found` is None where nothing was looked for: green, or no probability is served. Where nothing is in
        reach one entry says so, its probability null; where the risk is under the limit already one entry
        says that, with the risk as it is.
        """
        if found is None:
            return []
        if found.under:
            return [{"change": UNDER, "probability": risk, "step": None}]
        if not found.offers:
            return [{"change": NOTHING, "probability": None, "step": None}]
        return [
            {
                "change": self._words(offer),
                "probability": offer.probability,
                "step": "; ".join(dict.fromkeys(self._step(move.lever, state).title for move in offer.moves)),
            }
            for offer in found.offers
        ]

    def _words(self, offer: Offer) -> str:
        said = []
        for move in offer.moves:
            section = self.sections[move.lever]
            template = section.says.replace("{target}", "{value}").replace("{now}", "{usual}")
            said.append(fill_template(template, move.target, move.now, self.units[move.lever]))
        first, *rest = said
        return ", and ".join([first, *(text[:1].lower() + text[1:] for text in rest)])

    def _step(self, lever: str, state: HealthState) -> Any:
        """Return the step of the account's own playbook, else the first for its colour."""
        ours = [name for name in self.sections[lever].steps if name.split(".")[1] == state.color]
        own = [name for name in ours if state.playbook == _playbook(name)]
        reason, color, step = (own or ours)[0].split(".")
        return next(each for each in self.playbooks.playbooks[reason][color].steps if each.id == step)


def check_levers(playbooks: Playbooks, features: FeatureSet) -> Levers:
    """Check the levers of a playbooks file against all features that are defined, and its own steps.

    Raises: ConfigError or ConditionError with file, key and the nearest right name.
    """
    file = playbooks.file
    columns = {*features.names, *(f"{each.name}{USUAL}" for each in features if each.usual is not None)}
    moved = []
    for name, section in file.levers.items():
        where = f"{FILE} levers.{name}"
        for each in (section.feature, *section.along):
            _check_movable(each, features, where)
        if section.needs is not None and section.needs not in features.names:
            raise ConfigError(
                f"{where}.needs: no feature {section.needs!r}.{did_you_mean(section.needs, features.names)}"
            )
        _check_steps(section.steps, file, where)
        feature = features[section.feature]
        if (sign := SIGNS.get(feature.direction)) is None:
            raise ConfigError(
                f"{where}: feature {feature.name!r} claims no direction; a lever needs 'raises' or 'lowers'."
            )
        if section.feature in section.along:
            raise ConfigError(f"{where}.along: {section.feature!r} is the lever's own feature.")
        touched = [feature, *(features[each] for each in section.along)]
        moved.append(
            Lever(
                name=name,
                feature=section.feature,
                sign=sign,
                step=_step(feature),
                most=_most(section, feature),
                along={
                    each: parse_calculation(text, {*columns, TARGET}, f"{where}.along.{each}")
                    for each, text in section.along.items()
                },
                needs=frozenset() if section.needs is None else frozenset({section.needs}),
                ends=frozenset(each.name for each in touched if each.null_means == "none"),
                shares=frozenset(each.name for each in touched if each.unit in ("share", "yes/no")),
            )
        )
    units = {name: features[section.feature].unit for name, section in file.levers.items()}
    return Levers(file.levers, tuple(moved), units, file)


def _most(section: LeverSection, feature: Feature) -> float:
    if section.most is not None:
        return section.most
    return 1.0 if feature.unit in ("share", "yes/no") else float("inf")


def _step(feature: Feature) -> float:
    """Return the smallest change that is still seen in the number people read."""
    if feature.unit in SHARES:
        return 0.01
    return 0.1 if " per " in feature.unit else 1.0


def _check_movable(name: str, features: FeatureSet, where: str) -> None:
    movable = [each.name for each in features if each.movable]
    if name in movable:
        return
    if name in features.names:
        raise ConfigError(f"{where}: feature {name!r} is not movable; its definition says so in features/.")
    raise ConfigError(f"{where}: no feature {name!r}.{did_you_mean(name, movable)}")


def _check_steps(steps: Collection[str], file: PlaybooksFile, where: str) -> None:
    known = {
        f"{reason}.{color}.{step.id}": step
        for reason, by_color in file.playbooks.items()
        for color, playbook in by_color.items()
        for step in playbook.steps
    }
    for step in steps:
        if step not in known:
            raise ConfigError(f"{where}.steps: no step {step!r}.{did_you_mean(step, known)}")
    for color in COLORS:
        if not any(step.split(".")[1] == color for step in steps):
            raise ConfigError(f"{where}.steps: none is of a {color} playbook; each lever needs one.")


def _playbook(step: str) -> str:
    reason, color, _ = step.split(".")
    return f"{reason}_{color}"
