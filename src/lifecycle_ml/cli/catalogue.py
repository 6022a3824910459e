"""What `features list` and `features show` print: definitions, in lines and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.screen import is_narrow, say, say_json, show_table
from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.tables.schema import CATEGORIES, SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lifecycle_ml.matrix.feature import Feature, FeatureSet
    from lifecycle_ml.workspace import Workspace

RISK = {"raises": "raises", "lowers": "lowers", "none": ""}


def list_features(
    workspace: Workspace, family: str | None, category: str | None, table: str | None, *, as_json: bool
) -> None:
    """List the features the workspace defines, all or those of a family, a category or a table.

    Raises: ConfigError for a family, category or table that is not there, with the nearest right one.
    """
    from lifecycle_ml.matrix.feature import CONTEXT
    from lifecycle_ml.matrix.load import load_families

    families = load_families(workspace)
    _require("--family", family, families)
    _require("--category", category, (*CATEGORIES, CONTEXT))
    _require("--table", table, SCHEMAS)
    found = [
        (name, feature)
        for name, members in families.items()
        for feature in members
        if family in {None, name} and category in {None, feature.category}
        if table is None or table in feature.tables
    ]
    if as_json:
        say_json([_entry(name, feature) for name, feature in found])
        return
    asked = {"family": family, "category": category, "reads": table}
    columns: dict[str, Callable[[str, Feature], str]] = {
        "feature": lambda _, feature: feature.name,
        "family": lambda name, _: name,
        "unit": lambda _, feature: feature.unit,
        "category": lambda _, feature: feature.category,
        "risk": lambda _, feature: RISK[feature.direction],
        "reads": lambda _, feature: ", ".join(feature.tables),
        "notes": lambda _, feature: _notes(feature),
    }
    # What was asked for is the same in every line, unless it is one table of several.
    left_out = {key for key in ("family", "category") if asked[key]}
    if is_narrow():
        left_out |= {"unit", "reads", "notes"}
    shown = {key: cell for key, cell in columns.items() if key not in left_out}
    only = ", ".join(f"{key} {value}" for key, value in asked.items() if value is not None)
    show_table(
        f"{len(found)} features{f' ({only})' if only else ''}",
        list(shown),
        [[cell(name, feature) for cell in shown.values()] for name, feature in found],
        whole=["feature"],
    )
    say("One of them in words: lifecycle features show NAME")


def _require(option: str, given: str | None, known: Any) -> None:
    if given is not None and given not in known:
        raise ConfigError(f"{option} {given!r}: there is none of that name.{did_you_mean(given, known)}")


def _notes(feature: Feature) -> str:
    notes = {
        "movable": feature.movable,
        "not for the model": not feature.for_model,
        "as of today": feature.rests_on_today,
    }
    return ", ".join(note for note, holds in notes.items() if holds)


def _entry(family: str, feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "family": family,
        "unit": feature.unit,
        "category": feature.category,
        "direction": feature.direction,
        "null_means": feature.null_means,
        "movable": feature.movable,
        "for_model": feature.for_model,
        "as_of_today": feature.rests_on_today,
        "tables": list(feature.tables),
        "columns": [f"{table}.{column}" for table, column in sorted(feature.columns)],
        "says": feature.says,
    }


def show_feature(workspace: Workspace, name: str, *, as_json: bool) -> None:
    """Show one feature in words. Raises: DefinitionError with the nearest right name."""
    from lifecycle_ml.matrix.examples import load_examples
    from lifecycle_ml.matrix.feature import FeatureSet
    from lifecycle_ml.matrix.load import load_families
    from lifecycle_ml.matrix.words import describe, describe_clocks

    families = load_families(workspace)
    features = FeatureSet(tuple(feature for members in families.values() for feature in members))
    feature = features[name]
    family = next(stem for stem, members in families.items() if feature in members)
    value = describe(feature.value)
    usual = None if feature.usual is None else describe(feature.usual)
    clocks = describe_clocks(feature.columns)
    sentences = {
        key: text
        for key in ("says", "says_one", "says_no", "says_null")
        if (text := getattr(feature, key)) is not None
    }
    users = list(_used_by(workspace, features, name))
    examples = load_examples(workspace, families, only={name})
    if as_json:
        document = _entry(family, feature) | {
            "measures": {"formula": value.text, "parts": value.parts},
            "usual": None if usual is None else {"formula": usual.text, "parts": usual.parts},
            "columns": clocks,
            "sentences": sentences,
            "used_by": [{"rule": rule, "says": text} for rule, text in users],
            "examples": [
                {"file": one.file, "example": one.number, "says": one.says, "values": len(one.expectations)}
                for one in examples
            ],
        }
        document.pop("says")
        say_json(document)
        return
    say(f"{name}  (features/{family}.py)")
    _show("measures", [value.text, *(f"  {letter}: {text}" for letter, text in value.parts.items())])
    if usual is not None:
        _show("usual", [usual.text, *(f"  {letter}: {text}" for letter, text in usual.parts.items())])
    _show("unit", [feature.unit])
    _show("null means", [feature.null_means.replace("_", " ")])
    _show("churn risk", [_risk(feature)])
    _show("category", [feature.category + ("" if feature.for_model else "; not for the model")])
    _show("movable", ["yes, by a team" if feature.movable else "no"])
    _show("reads", [f"{column}  {clock}" for column, clock in clocks.items()] or ["no table"])
    _show("sentences", list(sentences.values()))
    _show("used by", [f"{rule}: {text}" for rule, text in users] or ["no rule names it"])
    _show(
        "examples",
        [f"{one.file} {one.number}: {one.says}" for one in examples]
        or [f"none yet; add one to features/examples/{family}.toml"],
    )


def _show(label: str, lines: Sequence[str]) -> None:
    for position, line in enumerate(lines):
        say(f"  {label if position == 0 else '':11} {line}")


def _risk(feature: Feature) -> str:
    if feature.direction == "none":
        return "nothing is claimed"
    return f"more of it {feature.direction} it"


def _used_by(workspace: Workspace, features: FeatureSet, name: str) -> Iterator[tuple[str, str]]:
    """Yield every rule that names a feature or its usual value, with what the rule says."""
    from lifecycle_ml.actions.rulebook import load_action_rules
    from lifecycle_ml.health.config import load_health
    from lifecycle_ml.matrix.feature import USUAL
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.reasons.taxonomy import load_taxonomy

    columns = {name, f"{name}{USUAL}"}
    for stem in sorted(workspace.files("training", ".toml")):
        recipe = load_recipe(workspace, stem)
        for line in recipe.rules.points:
            if line.feature in columns:
                yield f"training/{stem}.toml rules.points", f"{line.points} for {line.op} {line.number:g}"
        if name in recipe.leave_out:
            yield f"training/{stem}.toml leave_out", "not learned from"
    taxonomy = load_taxonomy(workspace, features.names)
    for key, conditions in (("required_evidence", taxonomy.required), ("names_outright", taxonomy.outright)):
        for category, condition in conditions.items():
            if columns.intersection(condition.columns):
                yield f"serving/taxonomy.toml categories.{category}.{key}", _one_line(condition.text)
    health = load_health(workspace, features.names)
    for fact, condition in health.conditions.items():
        if columns.intersection(condition.columns):
            yield f"serving/health.toml facts.{fact}", _one_line(condition.text)
    for item, entry in health.inputs.items():
        if entry.feature in columns:
            yield f"serving/health.toml inputs.{item}", f"good from {entry.good:g}, {entry.better} is better"
    rules = load_action_rules(workspace, features.names)
    for playbook, plan in rules.playbooks.by_id.items():
        for predicate in plan.playbook.recovers_when:
            if predicate.feature in columns:
                yield f"serving/playbooks.toml {playbook}.recovers_when", predicate.says or predicate.op
    signs = rules.triggers.conditions.items()
    placed = [
        *((f"triggers.toml triggers.{at.rpartition('.')[0]}", condition) for at, condition in signs),
        *((f"stages.toml stages.{at}", condition) for at, condition in rules.stages.conditions.items()),
        *((f"renewals.toml data.problems.{at}", each) for at, each in rules.renewals.conditions.items()),
    ]
    for place, condition in placed:
        if columns.intersection(condition.columns):
            yield f"serving/{place}", _one_line(condition.text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
