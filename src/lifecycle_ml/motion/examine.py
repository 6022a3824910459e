"""`lifecycle check motion`: which parts of a working lifecycle motion this workspace defines.

A part is *missing* where nobody wrote it down, *incomplete* where something it rests on is not there (a table
without a SELECT, a role nobody holds), *contradictory* where two files or rules disagree. No data is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lifecycle_ml.actions.agreed import FILE, RECEIVERS, TITLES, MotionFile, load_motion_file
from lifecycle_ml.actions.rule_words import RuleWords
from lifecycle_ml.actions.rulebook import ActionRules, load_action_rules
from lifecycle_ml.actions.soundness import examine_rules
from lifecycle_ml.actions.stages import FILE as STAGES
from lifecycle_ml.actions.stages import START
from lifecycle_ml.health.config import HealthConfig, Input, load_health
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.motion.parts import Motion, Part, role_in_words
from lifecycle_ml.reasons.sentences import SHARES, YES_NO, after_one, write_number
from lifecycle_ml.reasons.taxonomy import Taxonomy, load_taxonomy
from lifecycle_ml.revenue.churn_reasons import FILE as REVIEW
from lifecycle_ml.revenue.churn_reasons import load_review
from lifecycle_ml.workspace import Workspace, standard_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lifecycle_ml.conditions.parse import Condition
    from lifecycle_ml.matrix.feature import FeatureSet
    from lifecycle_ml.tables.findings import Finding

HAND_OFF_GAPS = "handoff_gaps"
"""The feature that counts the hand-off fields sales left empty."""


def lifecycle_motion(workspace: Workspace) -> Motion:
    """Read what the workspace defines of the ten parts.

    Raises: UserError for the first rule that cannot be, as `check serving` does.
    """
    return Motion(parts=tuple(_Reading.of(workspace).parts()))


@dataclass(frozen=True)
class _Reading:
    """Everything in a workspace that defines some part."""

    workspace: Workspace
    file: MotionFile
    features: FeatureSet
    health: HealthConfig
    actions: ActionRules
    taxonomy: Taxonomy
    review: Mapping[str, Any]
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, workspace: Workspace) -> _Reading:
        features = load_features(workspace)
        actions, health = load_action_rules(workspace, features.names), load_health(workspace, features.names)
        taxonomy = load_taxonomy(workspace, features.names)
        evidence = {f"{name}.required_evidence": each for name, each in taxonomy.required.items()}
        file = load_motion_file(workspace, actions.team)
        return cls(
            workspace=workspace,
            file=file,
            features=features,
            health=health,
            actions=actions,
            taxonomy=taxonomy,
            review=load_review(workspace).categories,
            findings=tuple(examine_rules(health, actions, evidence)),
        )

    def parts(self) -> Iterable[Part]:
        """Yield the ten parts in their order."""
        yield self._onboarding_start()
        yield self._hand_off()
        yield self._activation()
        yield self._usage_signals()
        yield self._health_inputs()
        yield self._renewal_ownership()
        yield self._expansion_triggers()
        yield self._churn_categories()
        yield self._escalation()
        yield self._feedback_loops()

    def _part(
        self,
        name: str,
        where: Iterable[str],
        defined: Iterable[str],
        missing: Iterable[str] = (),
        contradicts: Iterable[str] = (),
    ) -> Part:
        owner = self.file.owners.get(name)
        places = tuple(dict.fromkeys(where))
        unowned = [] if owner else [f"nobody owns it: name a role under owners.{name} in {FILE}"]
        return Part(
            name=name,
            title=TITLES[name],
            defined=tuple(defined),
            missing=(*missing, *unowned),
            contradicts=tuple(contradicts),
            where=places,
            owner=owner,
            standard=not any((self.workspace.root / place).exists() for place in places)
            or self.workspace.root == standard_root(),
        )

    def _onboarding_start(self) -> Part:
        stages, words = self.actions.stages, RuleWords(self.features)
        criteria = stages.file.onboarding_start
        ways = {
            key: stages.conditions[key] for key in ("hand_off.exits", "onboarding.enters", "onboarding.exits")
        }
        told = ("the hand-off stage ends when", "the onboarding stage begins when", "it is over when")
        starts = {f"{START}.{name}": condition for name, condition in stages.starts.items()}
        defined = [
            f"before onboarding starts: {criterion.label.lower()} ({words.needs(stages.starts[name])})"
            for name, criterion in criteria.items()
        ]
        missing = [] if criteria else [f"what must be true before onboarding starts: [{START}] in {STAGES}"]
        agreed = self.file.hand_off is not None
        if criteria and agreed and not any(HAND_OFF_GAPS in each.columns for each in stages.starts.values()):
            missing.append(
                f"required hand-off fields are agreed on and no criterion under {START} asks for them"
            )
        return self._part(
            "onboarding_start",
            [STAGES],
            [
                *defined,
                *(
                    f"{said} {words.needs(each)}"
                    for said, each in zip(told, ways.values(), strict=True)
                    if criteria
                ),
            ],
            [*missing, *self._untold(ways | starts)],
            self._said(STAGES, "stages.hand_off", "stages.onboarding", START),
        )

    def _hand_off(self) -> Part:
        agreed, defined, missing = self.file.hand_off, [], []
        if agreed is None:
            missing.append(f"which fields sales hands over: list them under hand_off in {FILE}")
        else:
            fields = ", ".join(name.replace("_", " ") for name in agreed.required_fields)
            defined.append(f"sales hands over: {fields}")
        tasks = self.actions.stages.file.stages["hand_off"].tasks
        defined += [
            f"what is missing is filled in by the {role_in_words(step.owner_role)} within {step.sla_days} "
            f"days: {step.title}"
            for name, task in tasks.items()
            if HAND_OFF_GAPS in self.actions.stages.conditions[f"hand_off.tasks.{name}"].columns
            for step in task.steps
        ]
        if not tasks:
            missing.append("no task of the stage hand_off asks for what is missing (serving/stages.toml)")
        return self._part(
            "hand_off",
            [FILE, "serving/stages.toml", "features/sources/accounts.sql"],
            defined if agreed else (),
            [*missing, *self._absent(["accounts"])],
            _twice("required field", agreed.required_fields if agreed else ()),
        )

    def _activation(self) -> Part:
        agreed, defined, missing = self.file.activation, [], []
        if agreed is None:
            missing.append(f"which milestone counts as activation, and by when: activation in {FILE}")
        else:
            names = " or ".join(name.replace("_", " ") for name in agreed.milestones)
            defined.append(f"an account is activated with {names}, within {agreed.within_days} days")
        onboarding = self.actions.stages.conditions["onboarding.exits"]
        about = set(self._features_of("milestones"))
        contradicts = _twice("milestone", agreed.milestones if agreed else ())
        if not about.intersection(onboarding.columns):
            contradicts.append("onboarding ends (serving/stages.toml) whether or not a milestone was reached")
        return self._part(
            "activation",
            [FILE, "features/sources/milestones.sql", "features/onboarding.py"],
            defined,
            [*missing, *self._absent(["milestones"])],
            contradicts,
        )

    def _usage_signals(self) -> Part:
        about = self._features_of("usage_events")
        read = {column.removesuffix("__usual") for column in self.taxonomy.features}
        read |= {c for each in self.health.conditions.values() for c in each.columns}
        read |= {entry.feature for entry in self.health.inputs.values()}
        read |= {c for each in self.actions.triggers.conditions.values() for c in each.columns}
        used = [name for name in about if name in read]
        return self._part(
            "usage_signals",
            ["features/usage.py", "features/sources/usage_events.sql"],
            [f"{len(about)} signals of use are counted, {len(used)} of them are read by rules: {_few(used)}"]
            if used
            else (),
            [
                *([] if used else ["no rule of serving/ reads how the product is used"]),
                *self._absent(["usage_events"]),
            ],
        )

    def _health_inputs(self) -> Part:
        file = "serving/health.toml"
        listed = [self._input(name, entry) for name, entry in self.health.inputs.items()]
        tables = {
            name: set(self.features.tables_of(entry.feature)) - self._sources
            for name, entry in self.health.inputs.items()
            if entry.feature in self.features.names
        }
        missing = [
            f"{name.replace('_', ' ')} waits for {_few(sorted(lacking))}"
            for name, lacking in tables.items()
            if lacking
        ]
        return self._part("health_inputs", [file], listed, missing, self._said(file))

    def _input(self, name: str, entry: Input) -> str:
        """Say where an input turns good and poor, in the unit of its feature, and which feature it is."""
        unit = self.features[entry.feature].unit if entry.feature in self.features.names else ""
        good, poor = ("from", "up to") if entry.better == "higher" else ("up to", "from")
        name, feature = name.replace("_", " "), entry.feature.replace("_", " ")
        said = f"{name}: {feature} good {good} {_with_unit(entry.good, unit)}"
        return said if entry.poor is None else f"{said}, poor {poor} {_with_unit(entry.poor, unit)}"

    def _renewal_ownership(self) -> Part:
        file, team = self.actions.renewals.file, self.actions.team
        levels = sorted(file.owners, key=lambda level: level.arr_from)
        defined = [
            f"renewals from {level.arr_from:,.0f} of ARR: the {role_in_words(level.role)}" for level in levels
        ]
        defined.append(
            "prepared at "
            + ", ".join(f"{days}" for days in file.checkpoints)
            + " days before the day that decides"
        )
        contradicts = self._said("serving/renewals.toml")
        amounts = [level.arr_from for level in levels]
        contradicts += [
            f"two roles own renewals from {amount:,.0f} of ARR"
            for amount in sorted({one for one in amounts if amounts.count(one) > 1})
        ]
        missing = [
            f"{role_in_words(level.role)} owns renewals and no such role is in serving/team.toml"
            for level in levels
            if level.role not in team.roles
        ]
        return self._part(
            "renewal_ownership",
            ["serving/renewals.toml", "features/sources/contracts.sql"],
            defined,
            [*missing, *self._absent(["contracts"])],
            contradicts,
        )

    def _expansion_triggers(self) -> Part:
        triggers = self.actions.triggers
        defined = [
            f"{trigger.label}: the {role_in_words(trigger.owner_role)}"
            + (f", {trigger.steps[0].sla_days} days" if trigger.steps else ", shown only")
            for trigger in triggers.by_id.values()
        ]
        return self._part(
            "expansion_triggers",
            ["serving/triggers.toml"],
            defined,
            [*self._untold(triggers.conditions), *([] if defined else ["no trigger is written down"])],
            self._said("serving/triggers.toml"),
        )

    def _churn_categories(self) -> Part:
        taxonomy, team = self.taxonomy, self.actions.team
        available = [f.name for f in self.features if not set(f.tables) - self._sources]
        still = taxonomy.evidenced(available)
        contradicts = self._said("serving/taxonomy.toml", "categories")
        held = set(team.roles)
        contradicts += [
            f"{taxonomy.label(name)}: {file} names the {role_in_words(role)}, a role serving/team.toml does "
            "not have"
            for name in taxonomy.categories
            for file, role in (
                ("serving/taxonomy.toml", taxonomy.named(name).owner_role),
                (f"serving/{REVIEW}", self.review[name].decides),
            )
            if role not in held
        ]
        return self._part(
            "churn_categories",
            ["serving/taxonomy.toml", "serving/playbooks.toml", f"serving/{REVIEW}"],
            [
                f"{taxonomy.label(name)}: the {role_in_words(taxonomy.named(name).owner_role)} answers, the "
                f"{role_in_words(self.review[name].decides)} decides if it rises"
                for name in taxonomy.categories
            ],
            [
                f"{taxonomy.label(name)} can never be named with the tables there are"
                for name in taxonomy.categories
                if name not in still
            ],
            contradicts,
        )

    def _escalation(self) -> Part:
        team = self.actions.team
        levels = sorted(team.escalation, key=lambda level: level.arr_from)
        defined = [
            ", then ".join(role_in_words(one) for one in (name, *team.chain(name)))
            for name in team.roles
            if team.chain(name)
        ]
        defined += [
            f"from {one.arr_from:,.0f} of ARR the {role_in_words(one.role)} is told first" for one in levels
        ]
        missing = (
            [] if levels else ["from which ARR on an executive is told: [[escalation]] in serving/team.toml"]
        )
        tops = {
            (*team.chain(name), name)[-1] if not team.chain(name) else team.chain(name)[-1]
            for name in team.roles
        }
        if len(tops) > 1:
            missing.append(
                f"paths end with {len(tops)} roles: {_few(role_in_words(top) for top in sorted(tops))}"
            )
        return self._part(
            "escalation",
            ["serving/team.toml"],
            defined if any(map(team.chain, team.roles)) else (),
            missing,
            self._said("serving/team.toml"),
        )

    def _feedback_loops(self) -> Part:
        heard = self.file.feedback_loops
        named = [one.receiver for one in heard]
        return self._part(
            "feedback_loops",
            [FILE],
            [
                f"{one.receiver}: the {role_in_words(one.role)}, every {one.every_days} days "
                f"(lifecycle revenue {'--finance' if one.receiver == 'finance' else '--loops'})"
                for one in heard
            ],
            [
                f"nobody hears it for {name}: [[feedback_loops]] in {FILE}"
                for name in RECEIVERS
                if name not in named
            ],
            _twice("receiver", named),
        )

    @property
    def _sources(self) -> set[str]:
        return set(self.workspace.sources())

    def _absent(self, tables: Iterable[str]) -> list[str]:
        return [
            f"features/sources/{name}.sql does not exist, so nothing of it is seen"
            for name in tables
            if name not in self._sources
        ]

    def _features_of(self, table: str) -> list[str]:
        return [feature.name for feature in self.features if table in feature.tables]

    def _untold(self, conditions: Mapping[str, Condition]) -> list[str]:
        """Rules that read features whose tables have no SELECT."""
        waits: dict[str, list[str]] = {}
        for key, condition in conditions.items():
            for column in condition.columns:
                name = column.removesuffix("__usual")
                lacking = (
                    set(self.features.tables_of(name)) - self._sources if name in self.features.names else ()
                )
                for table in lacking:
                    waits.setdefault(table, []).append(key)
        return [
            f"features/sources/{table}.sql does not exist, and {_few(dict.fromkeys(keys))} waits for it"
            for table, keys in sorted(waits.items())
        ]

    def _said(self, file: str, *keys: str) -> list[str]:
        """What `check serving` finds in a file, about rules that begin with one of the keys."""
        return [
            finding.advice
            for finding in self.findings
            if finding.table == file and (not keys or str(finding.column).startswith(keys))
        ]


def _twice(what: str, names: Iterable[str]) -> list[str]:
    given = list(names)
    return [f"{what} {name!r} is there twice" for name in dict.fromkeys(given) if given.count(name) > 1]


def _few(names: Iterable[str]) -> str:
    given = [name.replace("_", " ") for name in names]
    return ", ".join(given[:4]) + (f" and {len(given) - 4} more" if len(given) > 4 else "")


def _with_unit(value: float, unit: str) -> str:
    number = write_number(value, unit)
    if unit in SHARES | YES_NO | {""}:
        return number
    return f"{number}{after_one(f' {unit}') if number == '1' else f' {unit}'}"
