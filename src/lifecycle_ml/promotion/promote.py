"""Promote a challenger, or go back to the champion before: what serves changes here and nowhere else.

The pointer in the bundles folder says what serves; the registry's aliases follow it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lifecycle_ml.errors import BundleError, ConfigError, LifecycleError
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.outcomes.recipe import load_recipe, recorded_recipe
from lifecycle_ml.promotion.backtest import Progress
from lifecycle_ml.promotion.comparison import Comparison, Recorded, read_predictions
from lifecycle_ml.promotion.decision import Duel, of_the_gate, of_what_there_is
from lifecycle_ml.promotion.gate import Refusal
from lifecycle_ml.promotion.training import (
    INPUTS,
    PREDICTIONS,
    RECIPE,
    champion,
    export,
    folder_of,
    name_champion,
    pointer_of,
    write_pointer,
)
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.source import Tables
from lifecycle_ml.workspace import Workspace

if TYPE_CHECKING:
    from lifecycle_ml.promotion.registry import Registry, Version

DecidedBy = Literal["gate", "comparison", "refresh", "rollback"]


@dataclass(frozen=True)
class Side:
    """One of the two: its version, its bundle's digest, who speaks (model or rules), its data's last day.

    What cannot be known of a damaged bundle is None.
    """

    version: str
    digest: str
    source: str | None = None
    data_through: str | None = None

    @classmethod
    def of(cls, bundle: Bundle, version: str) -> Side:
        """Describe a bundle that loads."""
        through = bundle.data.get("data_through")
        return cls(version, bundle.digest, bundle.source, None if through is None else str(through))

    @property
    def called(self) -> str:
        """How sentences name it."""
        return "the rule" if self.source == "rules" or self.version == "rules" else f"version {self.version}"

    def to_json(self) -> dict[str, str | None]:
        """Return version, digest, source and data_through."""
        return {
            "version": self.version,
            "digest": self.digest,
            "source": self.source,
            "data_through": self.data_through,
        }


@dataclass(frozen=True)
class Promotion:
    """What was decided, and why. `champion` served before; `serves` does from the next publication on.

    decided_by: `gate` where nothing was there to compare with or the gate refuses, `comparison`, `refresh`
    (the champion's own procedure on newer data), `rollback`. notes: what else a reader must know.
    """

    recipe: str
    promoted: bool
    decided_by: DecidedBy
    champion: Side | None
    challenger: Side | None
    serves: Side | None
    says: str
    refusals: tuple[Refusal, ...] = ()
    comparison: Comparison | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """Return the document of `promote --json`."""
        sides = {"champion": self.champion, "challenger": self.challenger, "serves": self.serves}
        return {
            "recipe": self.recipe,
            "promoted": self.promoted,
            "rolled_back": self.decided_by == "rollback",
            "decided_by": self.decided_by,
            **{name: None if side is None else side.to_json() for name, side in sides.items()},
            "says": self.says,
            "refusals": [refusal.to_json() for refusal in self.refusals],
            "comparison": None if self.comparison is None else self.comparison.to_json(),
            "notes": list(self.notes),
        }


def _quiet(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


def promote(
    workspace: Workspace,
    settings: Settings,
    recipe_name: str,
    read: Callable[[], Tables],
    *,
    version: str | None = None,
    draws: int = 1000,
    progress: Progress = _quiet,
) -> Promotion:
    """Let a registered version serve from the next publication on, if it earned that; else say why not.

    version: a registered version; default the newest one registered after the champion. read: reads the
    tables, asked only where the gate lets the challenger pass. The rules: nothing in the challenger's gate
    refuses, and the bootstrap probability that its average precision is the higher one on the same rows is at
    least the recipe's `promote_from`; the champion's own procedure on newer data is promoted unless that
    probability is under 1 - promote_from. Where no model serves the gate alone decides.

    Killed at any point, either the old or the new champion serves whole; aliases are mended by the next call.
    Raises: ConfigError for an unknown recipe or version or nothing to promote; BundleError where the
    registered bundle is not what was registered; LifecycleError where the registry does not answer.
    """
    from lifecycle_ml.promotion.registry import Registry, answering

    recipe = load_recipe(workspace, recipe_name)
    registry = Registry.open(settings.mlflow_tracking_uri, make=False)
    notes: list[str] = []
    try:
        serving = champion(settings, recipe_name)
    except BundleError as error:
        serving = None
        notes.append(f"What served could not be read: {error}")
    with answering(settings.mlflow_tracking_uri):
        versions = registry.versions(recipe_name)
        _mend_aliases(registry, settings, recipe_name)
        chosen = _chosen(versions, recipe_name, version, serving)
        challenger = registry.bundle(chosen)
        before = None if serving is None else Side.of(serving, serving.version)
        after = Side.of(challenger, chosen.number)
        verdict = of_the_gate(challenger)
        if verdict is None:
            progress("reading the tables", 0, 1)
            tables = read()
            progress("reading the tables", 1, 1)
            features = load_features(workspace).available(tables)
            verdict = of_what_there_is(challenger, features, serving)
            if verdict is None:
                assert serving is not None
                held = [each for each in versions if each.digest == serving.digest]
                verdict = Duel(
                    tables, features, recipe.gate, serving, challenger, draws, settings.threads, progress
                ).judge(
                    _recorded(registry, held[-1]) if held else None,
                    _recorded(registry, chosen),
                    chosen.number,
                )
        promoted = not verdict.refusals
        if promoted:
            export(settings, recipe_name, challenger, chosen.number)
            name_champion(registry, settings, recipe_name)
        registry.note(recipe_name, chosen, f"{'promoted' if promoted else 'refused'}: {verdict.says}")
    return Promotion(
        recipe=recipe_name,
        promoted=promoted,
        decided_by=verdict.decided_by,
        champion=before,
        challenger=after,
        serves=after if promoted else before,
        says=verdict.says,
        refusals=verdict.refusals,
        comparison=verdict.comparison,
        notes=(*notes, *verdict.notes),
    )


def rollback(workspace: Workspace, settings: Settings, recipe_name: str) -> Promotion:
    """Point back at the bundle that served before; what served is kept, so that a second rollback undoes it.

    Needs neither the registry nor the bundle that serves; where the registry does not answer, its alias is
    mended by the next `train` or `promote`. A bundle before that is damaged is fetched from the registry.
    Raises: ConfigError where nothing served before; BundleError where what did is damaged for good.
    """
    pointer = pointer_of(settings, recipe_name)
    if pointer is None:
        load_recipe(workspace, recipe_name)  # a misspelt name is told as such
        raise ConfigError(f"recipe {recipe_name!r}: nothing serves yet, so there is nothing to go back to.")
    current = _side(settings, str(pointer["digest"]), str(pointer.get("version")))
    previous = pointer.get("previous") or {}
    if not isinstance(previous.get("digest"), str):
        raise ConfigError(
            f"recipe {recipe_name!r}: {current.called} serves and nothing served before it. Name another "
            f"version: `lifecycle promote {recipe_name} --version N`."
        )
    digest, number = str(previous["digest"]), str(previous.get("version"))
    notes = []
    try:
        found = Bundle.load(folder_of(settings, digest), digest)
    except BundleError as error:
        found = _fetched(settings, recipe_name, digest, error)
        found.save(folder_of(settings, digest))
        notes.append(f"Version {number} was damaged ({error}) and was fetched from the registry.")
    write_pointer(settings, recipe_name, previous, pointer)
    try:
        _tell_registry(settings, recipe_name)
    except LifecycleError as error:
        notes.append(f"The registry was not told: {error} The next `train` or `promote` mends its alias.")
    serves = Side.of(found, number)
    if serves.source == "rules":
        notes.append(
            "A rule is no champion: the next `lifecycle run` on new data trains, and a model that passes the "
            "gate serves."
        )
    return Promotion(
        recipe=recipe_name,
        promoted=False,
        decided_by="rollback",
        champion=current,
        challenger=None,
        serves=serves,
        says=f"Rolled back from {current.called} to {serves.called}.",
        notes=tuple(notes),
    )


def _mend_aliases(registry: Registry, settings: Settings, recipe_name: str) -> None:
    try:
        name_champion(registry, settings, recipe_name)
    except BundleError:
        return  # the pointer is unreadable; promoting writes it anew


def _tell_registry(settings: Settings, recipe_name: str) -> None:
    from lifecycle_ml.promotion.registry import Registry, answering

    with answering(settings.mlflow_tracking_uri):
        name_champion(Registry.open(settings.mlflow_tracking_uri, make=False), settings, recipe_name)


def _fetched(settings: Settings, recipe_name: str, digest: str, damage: BundleError) -> Bundle:
    from lifecycle_ml.promotion.registry import Registry, answering

    try:
        with answering(settings.mlflow_tracking_uri):
            registry = Registry.open(settings.mlflow_tracking_uri, make=False)
            held = [each for each in registry.versions(recipe_name) if each.digest == digest]
            if held:
                return registry.bundle(held[-1])
    except LifecycleError as error:
        raise BundleError(f"{damage} It could not be fetched again: {error} Nothing was changed.") from error
    raise BundleError(f"{damage} The registry holds no copy of it. Nothing was changed.") from damage


def _side(settings: Settings, digest: str, version: str) -> Side:
    try:
        return Side.of(Bundle.load(folder_of(settings, digest), digest), version)
    except BundleError:
        return Side(version, digest)


def _chosen(
    versions: list[Version], recipe_name: str, version: str | None, serving: Bundle | None
) -> Version:
    """Return the version to promote. Raises: ConfigError for one that is not there, serves, or none."""
    if not versions:
        raise ConfigError(
            f"recipe {recipe_name!r}: no version is registered, so there is nothing to promote. "
            f"Run `lifecycle train {recipe_name}` first."
        )
    digest = None if serving is None else serving.digest
    numbers = [each.number for each in versions]
    shown = ", ".join(numbers[-12:])
    if version is not None:
        asked = version.strip().removeprefix("v")
        if asked not in numbers:
            raise ConfigError(
                f"recipe {recipe_name!r}: there is no version {version!r}. Registered: {shown}."
            )
        chosen = versions[numbers.index(asked)]
        if chosen.digest == digest:
            raise ConfigError(f"recipe {recipe_name!r}: version {asked} serves already. Registered: {shown}.")
        return chosen
    held = [int(each.number) for each in versions if each.digest == digest]
    newer = [each for each in versions if not held or int(each.number) > held[-1]]
    if not newer:
        raise ConfigError(
            f"recipe {recipe_name!r}: version {held[-1]}, the newest, serves already, so there is nothing to "
            f"promote. Train another with `lifecycle train {recipe_name}`, name one with --version "
            f"(registered: {shown}), or go back with --rollback."
        )
    return newer[-1]


def _recorded(registry: Registry, version: Version) -> Recorded | None:
    """Return what the run of a version kept; None for one that kept it not, or as another version does."""
    found = [registry.artefact(version, name) for name in (PREDICTIONS, RECIPE, INPUTS)]
    predictions, recipe, inputs = found
    if predictions is None or recipe is None or inputs is None:
        return None
    try:
        rebuilt = recorded_recipe(json.loads(recipe))
    except ConfigError:
        return None
    return Recorded(read_predictions(predictions), rebuilt, json.loads(inputs), registry.seed(version))
