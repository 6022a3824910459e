"""`lifecycle check`: what is wrong with the data, what to do about it, and what it costs meanwhile."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from lifecycle_ml.actions.agreed import FILE as MOTION
from lifecycle_ml.actions.agreed import MotionFile, load_motion_file
from lifecycle_ml.actions.checkpoint_evidence import SEEN_IN, Evidence
from lifecycle_ml.actions.checkpoints import FILE as RENEWALS
from lifecycle_ml.actions.levers import check_levers
from lifecycle_ml.actions.rulebook import ActionRules, load_action_rules
from lifecycle_ml.actions.soundness import examine_rules
from lifecycle_ml.errors import counted, did_you_mean
from lifecycle_ml.health.config import HealthConfig, load_health
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.matrix.measures import leaves
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.reasons.taxonomy import Taxonomy, load_taxonomy
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.conflicts import find_conflicts
from lifecycle_ml.tables.examine import examine
from lifecycle_ml.tables.feeds import FEED_RULES
from lifecycle_ml.tables.findings import SEVERITIES, Costs, Finding, Severity, in_order
from lifecycle_ml.tables.rules import found, rows_of
from lifecycle_ml.tables.schema import CATEGORIES, SCHEMAS, Column
from lifecycle_ml.tables.source import Tables, survey_tables
from lifecycle_ml.workspace import Workspace

CHURN = "churn"
"""The recipe every workspace lives by."""

_ABSENT = {"table_absent", "table_missing"}
"""Rules after which a table is not there."""

_SHAKY = {*FEED_RULES, "column_empty", "as_of_today"}
"""Rules after which features still have values, but not ones to lean on."""


@dataclass(frozen=True)
class CheckReport:
    """What `check` found at one as_of, errors first."""

    as_of: date
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether `run` may go on: there is no error."""
        return not self.of("error")

    @property
    def provisional(self) -> tuple[Finding, ...]:
        """The findings that make scores provisional: data that has stopped arriving."""
        return tuple(finding for finding in self.findings if finding.rule in FEED_RULES)

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Only the findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def to_json(self) -> dict[str, Any]:
        """Return the report as `check --json` prints it."""
        return {"ok": self.ok, "findings": [finding.to_json() for finding in self.findings]}

    def lines(self) -> list[str]:
        """One line per finding and one that counts them."""
        lines = []
        for finding in self.findings:
            cost = f" Costs {_listed(finding.costs)}." if finding.costs != Costs() else ""
            lines.append(f"{finding.severity:<8} {finding.rule:<21} {finding.advice}{cost}")
        counts = [(len(self.of(severity)), severity) for severity in SEVERITIES]
        words = {"error": "errors", "warning": "warnings", "advice": "pieces of advice"}
        lines.append(", ".join(f"{n} {words[s]}" for n, s in counts) + f" as of {self.as_of}.")
        return lines


def check(workspace: Workspace, settings: Settings, as_of: date, tables: Tables | None = None) -> CheckReport:
    """Examine the workspace's tables as of a date and say what each finding costs.

    `tables` saves reading them again where the caller has them. A table with an error is not there, and costs
    what its absence costs.
    Costs: `features` are those that cannot be built, or whose values cannot be leaned on; `categories` those
    of the churn taxonomy whose required evidence can then no longer be true.
    Raises: TableError if the source cannot be opened; DefinitionError if a feature definition is wrong.
    """
    features = load_features(workspace)
    taxonomy = load_taxonomy(workspace, features.names)
    known = survey_tables(workspace, settings) if tables is None else tables
    found_wrong = [*examine(known, as_of), *find_conflicts(known, as_of)]
    findings = required(found_wrong, known, recipes(workspace))
    left = features.available(known).names
    actions = load_action_rules(workspace, features.names)
    check_levers(actions.playbooks, features)
    health = load_health(workspace, features.names)
    waiting = {**health.unavailable(left), **actions.unavailable(left)}
    findings += [*idle(waiting, known, features), *_unsound(health, actions, taxonomy)]
    findings += hand_off_fields(known, load_motion_file(workspace, actions.team))
    findings += unseen_evidence(known, actions.renewals.evidence)
    return CheckReport(as_of, price(findings, known, features, taxonomy))


def check_rules(workspace: Workspace, features: FeatureSet) -> list[Finding]:
    """Load everything in serving/ but monitoring, and say which rules do nothing or not what was meant.

    Reads no data.
    Raises: UserError for the first rule that cannot be, with file, key and the nearest right one.
    """
    taxonomy = load_taxonomy(workspace, features.names)
    actions = load_action_rules(workspace, features.names)
    check_levers(actions.playbooks, features)
    return _unsound(load_health(workspace, features.names), actions, taxonomy)


def _unsound(health: HealthConfig, actions: ActionRules, taxonomy: Taxonomy) -> list[Finding]:
    evidence = {
        **{f"{name}.required_evidence": condition for name, condition in taxonomy.required.items()},
        **{f"{name}.names_outright": condition for name, condition in taxonomy.outright.items()},
    }
    return examine_rules(health, actions, evidence)


def recipes(workspace: Workspace) -> list[Recipe]:
    """Return every recipe of the workspace, by name. Raises: ConfigError for the first that is wrong."""
    return [load_recipe(workspace, name) for name in sorted(workspace.files("training", ".toml"))]


def required(findings: Iterable[Finding], tables: Tables, every: Iterable[Recipe]) -> list[Finding]:
    """Say what the recipes cannot do without: an error for churn, without which nothing is scored.

    A table that is there and could not be read for an error of its own is not said to be missing too.
    """
    given = list(findings)
    unread = {finding.table for finding in given if finding.severity == "error"}
    for recipe in every:
        for table in sorted(recipe.needs.difference(tables.names, unread)):
            why = f"training/{recipe.name}.toml (mode {recipe.label.mode!r}) needs `{table}`"
            if recipe.name != CHURN:
                given.append(
                    found("recipe_skipped", table, advice=f"{why}, which is not there; it is not trained.")
                )
                continue
            absent = [f for f in given if f.rule == "table_absent" and f.table == table]
            given = [f for f in given if f not in absent]
            said = absent[0].advice.partition(";")[0] if absent else f"`{table}` is absent"
            given.append(found("table_missing", table, advice=f"{said}; {why}."))
    return given


def hand_off_fields(tables: Tables, motion: MotionFile) -> list[Finding]:
    """Say which fields `accounts.handoff_missing` names that are not among those sales has to hand over."""
    if motion.hand_off is None or "accounts" not in tables:
        return []
    if "handoff_missing" not in tables.provided("accounts"):
        return []
    accounts = tables["accounts"]
    listed = accounts.filter(accounts.superseded_at.isnull() & accounts.handoff_missing.notnull())
    required = motion.hand_off.required_fields
    unknown: Counter[str] = Counter()
    rows = 0
    for fields in listed.select("handoff_missing").execute()["handoff_missing"]:
        strange = {str(name) for name in fields}.difference(required)
        unknown.update(strange)
        rows += bool(strange)
    if not rows:
        return []
    named = [f"{name!r} ({count:,})" for name, count in unknown.most_common(3)]
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    first = unknown.most_common(1)[0][0]
    return [
        found(
            "hand_off_field_unknown",
            "accounts",
            "handoff_missing",
            rows=rows,
            examples=[name for name, _ in unknown.most_common()],
            advice=f"{rows_of(rows, 'accounts')} name hand-off fields that {MOTION} does not require: "
            f"{', '.join(named)}{more}.{did_you_mean(first, required)} Map them in "
            "features/sources/accounts.sql, or list them under [hand_off].",
        )
    ]


def unseen_evidence(tables: Tables, wanted: Iterable[Evidence]) -> list[Finding]:
    """Say which evidence of checkpoints nothing in a table shows: by none of its topics, or milestones."""
    given, findings = list(wanted), []
    for origin, (table, column, _) in SEEN_IN.items():
        asked = {one.label: [name for kind, name in one.asked if kind == origin] for one in given}
        if table not in tables or column not in tables.provided(table) or not any(asked.values()):
            continue
        held = set(tables[table].select(column).distinct().execute()[column].dropna())
        unseen = {label: names for label, names in asked.items() if names and not held.intersection(names)}
        if not unseen:
            continue
        names = [name for each in unseen.values() for name in each]
        findings.append(
            found(
                "evidence_unseen",
                table,
                column,
                examples=names,
                advice=f"`{table}.{column}` is never {', '.join(names)}, so only finished steps show: "
                f"{'; '.join(unseen)}. Map what you call them in features/sources/{table}.sql, or name it "
                f"under evidence in {RENEWALS}.",
            )
        )
    return findings


def idle(waiting: Mapping[str, Iterable[str]], tables: Tables, features: FeatureSet) -> list[Finding]:
    """Say which rules wait for which table: `waiting` holds rules and the features they lack."""
    lacked: dict[str, dict[str, None]] = {}
    for rule, names in waiting.items():
        for name in names:
            for item in sorted(features[name].lacks(tables)):
                lacked.setdefault(item, {})[rule] = None
    return [
        found(
            "rule_idle",
            *(item.split(".") if "." in item else (item, None)),
            examples=list(rules),
            advice=f"{len(rules)} rule{' waits' if len(rules) == 1 else 's wait'} for `{item}`: a rule that "
            "cannot be told never fires, and a criterion on it is left out.",
        )
        for item, rules in sorted(lacked.items())
    ]


def price(
    findings: Iterable[Finding], tables: Tables, features: FeatureSet, taxonomy: Taxonomy
) -> tuple[Finding, ...]:
    """Join findings to what they cost, and add a finding for each optional column that features lack."""
    given = list(findings)
    said = {(finding.table, finding.column) for finding in given if finding.rule == "column_empty"}
    lost = {feature.name: feature.lacks(tables) for feature in features}
    wanted: dict[str, list[str]] = {}
    for name, lacking in lost.items():
        for item in lacking:
            wanted.setdefault(item, []).append(name)
    for item, names in sorted(wanted.items()):
        table, _, column = item.partition(".")
        if column and (table, column) not in said:
            given.append(
                found(
                    "column_absent",
                    table,
                    column,
                    advice=f"`{table}.{column}` is absent; {len(names)} "
                    f"feature{' needs' if len(names) == 1 else 's need'} it. "
                    f"Select it in features/sources/{table}.sql if you have it.",
                )
            )
    priced = [replace(f, costs=_costs(f, lost, features, taxonomy)) for f in given]
    priced += _never_seen(tables, features.available(tables))
    # What costs most comes first among findings of one severity that concern no rows.
    return tuple(
        sorted(
            in_order(priced), key=lambda f: (SEVERITIES.index(f.severity), -f.rows, -len(f.costs.features))
        )
    )


def _never_seen(tables: Tables, features: FeatureSet) -> list[Finding]:
    """Features that count only kinds of rows the source never delivers: a 0 that may mean "not recorded"."""
    findings = []
    for name in tables.names:
        for column in SCHEMAS[name].columns:
            if not column.values or column.name not in tables.provided(name):
                continue
            seen = set(tables[name].select(column.name).distinct().execute()[column.name])
            counted = {feature.name: _counts(feature, name, column) for feature in features}
            hit = tuple(feature for feature, values in counted.items() if values and not values & seen)
            if hit:
                unseen = sorted(set().union(*(counted[feature] for feature in hit)))
                findings.append(
                    replace(
                        found(
                            "value_absent",
                            name,
                            column.name,
                            examples=unseen,
                            advice=f"`{name}.{column.name}` is never {', '.join(unseen)}, so what counts "
                            "them reads "
                            "0. Right if none occurred; if they are not recorded, map them in "
                            f"features/sources/{name}.sql or leave these features out of the recipe.",
                        ),
                        costs=Costs(features=hit),
                    )
                )
    return findings


def _counts(feature: Feature, table: str, column: Column) -> frozenset[str]:
    """Values of a closed list that are all a feature counts; none where it also counts others."""
    named: set[str] = set()
    for leaf in leaves(feature.value):
        if leaf.table != table:
            continue
        literals = set(re.findall(r"'(\w+)'", leaf.where or "")) & set(column.values)
        if not literals or re.search(r"\bNOT\b|<>|!=", leaf.where or "", re.IGNORECASE):
            return frozenset()
        named |= literals
    return frozenset(named)


def _costs(
    finding: Finding, lost: dict[str, frozenset[str]], features: FeatureSet, taxonomy: Taxonomy
) -> Costs:
    hit = [feature for feature in features if _is_hit(finding, feature, lost[feature.name])]
    names = {feature.name for feature in hit}
    left = [name for name in features.names if name not in names and not lost[name]]
    still = taxonomy.evidenced(left)
    return Costs(
        features=tuple(feature.name for feature in hit),
        categories=tuple(
            category
            for category in CATEGORIES
            if category not in still and names.intersection(taxonomy.evidence_features(category))
        ),
    )


def _is_hit(finding: Finding, feature: Feature, lacking: frozenset[str]) -> bool:
    table, column = finding.table, finding.column
    if finding.rule in _ABSENT or (finding.severity == "error" and table in lacking):
        return table in lacking
    if finding.rule in {"column_absent", "column_empty"}:
        return f"{table}.{column}" in lacking
    if finding.rule == "as_of_today" and not feature.rests_on_today:
        return False  # who its peers are may be as of today, its value is not
    if finding.rule in _SHAKY:
        whole = column is None or column == "known_at"
        return table in feature.tables if whole else (table, column) in feature.columns
    return False


def _listed(costs: Costs) -> str:
    names, n = costs.features, len(costs.features)
    text = f"{counted(n, 'feature')} ({', '.join(names[:4])}{', …' if n > 4 else ''})"
    if costs.categories:
        text += f" and all evidence for {', '.join(costs.categories)}"
    return text
