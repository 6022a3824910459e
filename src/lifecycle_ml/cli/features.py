"""Commands around feature definitions: list, show, test, build, late."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lifecycle_ml.cli.options import AsOfOption, JsonOption, WorkspaceOption, open_workspace, parse_day
from lifecycle_ml.cli.screen import is_narrow, progress_bars, say, say_json, show_table
from lifecycle_ml.errors import ConfigError, UserError, did_you_mean
from lifecycle_ml.tables.schema import CATEGORIES, SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from lifecycle_ml.matrix.examples import Proof
    from lifecycle_ml.matrix.feature import Feature, FeatureSet
    from lifecycle_ml.matrix.lateness import Lateness
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.tables.source import Tables
    from lifecycle_ml.workspace import Workspace

app = typer.Typer(help="What is known about an account.", no_args_is_help=True)

KnownAtOption = Annotated[
    str | None,
    typer.Option(
        "--known-at", help="Replay what was known at this date or instant (UTC); default the as-of date."
    ),
]


RISK = {"raises": "raises", "lowers": "lowers", "none": ""}
SUFFIXES = (".parquet", ".csv", ".csv.gz")
EVERY = 28
"""Days between two as_of dates, where --from is given without --every."""


@app.command("list")
def features_list(
    workspace: WorkspaceOption = Path(),
    family: Annotated[str | None, typer.Option(help="Only a file of features/, without .py.")] = None,
    category: Annotated[str | None, typer.Option(help="Only one churn category, or context.")] = None,
    table: Annotated[str | None, typer.Option(help="Only what reads this table.")] = None,
    json: JsonOption = False,
) -> None:
    """List the features of the workspace: all, or those of a family, a category or a table."""
    list_features(open_workspace(workspace)[0], family, category, table, as_json=json)


@app.command("show")
def features_show(
    name: Annotated[str, typer.Argument(help="Name of a feature.")],
    workspace: WorkspaceOption = Path(),
    json: JsonOption = False,
) -> None:
    """Show one feature in words: what it measures, what it reads, how it reads as evidence, who uses it."""
    show_feature(open_workspace(workspace)[0], name, as_json=json)


@app.command("test")
def features_test(
    names: Annotated[
        list[str] | None, typer.Argument(help="Features or families; all where none is named.")
    ] = None,
    workspace: WorkspaceOption = Path(),
    json: JsonOption = False,
) -> None:
    """Work out the examples in features/examples/; exit 2 where a value is not as expected."""
    prove_features(open_workspace(workspace)[0], names or [], as_json=json)


@app.command("build")
def features_build(
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .csv.gz.")],
    workspace: WorkspaceOption = Path(),
    as_of: Annotated[
        list[str] | None,
        typer.Option(
            "--as-of", help="Date to stand on, YYYY-MM-DD; several are allowed. Default today (UTC)."
        ),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="Earliest date: also every so many days before --as-of.")
    ] = None,
    every: Annotated[int | None, typer.Option(help="Days between two dates; with --from, 28.", min=1)] = None,
    known_at: KnownAtOption = None,
    account: Annotated[
        list[str] | None,
        typer.Option(help="Only this account, customer or not; several are allowed. Default all customers."),
    ] = None,
) -> None:
    """Write the matrix of all customers as of one or several dates, in one pass over the events."""
    days = [parse_day(text) for text in as_of] if as_of else [parse_day(None)]
    days = dates_of(days, None if first is None else parse_day(first, "--from"), every)
    opened = open_workspace(workspace)
    build(*opened, days, known_at_of(known_at), account or [], out)


@app.command("late")
def features_late(
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    known_at: Annotated[
        str | None,
        typer.Option("--known-at", help="When to look again; default when the newest row became known."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say how much rows that arrived late change the matrix of a past date: accounts, features, examples."""
    late(*open_workspace(workspace), parse_day(as_of), known_at_of(known_at), as_json=json)


def known_at_of(text: str | None) -> datetime | None:
    """Return the instant of --known-at (a date: its midnight) in UTC, None where it was not given."""
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--known-at {text!r} is no date or instant; write YYYY-MM-DD or YYYY-MM-DDTHH:MM."
        ) from error
    return given.astimezone(UTC).replace(tzinfo=None) if given.tzinfo else given


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


def prove_features(workspace: Workspace, names: Sequence[str], *, as_json: bool) -> None:
    """Work out the examples of features/examples/ and say what is not as expected.

    `names` are features or families; all without. Raises: UserError where a value is not as expected, or
    ConfigError for an example that cannot be read: exit status 2.
    """
    from lifecycle_ml.matrix.examples import load_examples, prove
    from lifecycle_ml.matrix.load import load_families

    families = load_families(workspace)
    wanted = _wanted(families, names)
    examples = load_examples(workspace, families, only=wanted)
    with progress_bars() as progress:
        proofs = prove(examples, progress)
    wrong = [proof for proof in proofs if not proof.holds]
    proven = {proof.expectation.feature.name for proof in proofs}
    unproven = [
        feature.name
        for members in families.values()
        for feature in members
        if feature.name in wanted and feature.name not in proven
    ]
    if as_json:
        say_json(
            {
                "ok": not wrong,
                "examples": len(examples),
                "values": len(proofs),
                "failures": [_proof_entry(proof) for proof in wrong],
                "without_example": unproven,
            }
        )
    else:
        if names:
            _show_values(proofs)
        for proof in wrong:
            _show_failure(proof)
        _show_families(families, wanted, proofs, unproven)
    if wrong:
        raise UserError(
            f"{len(wrong)} of {len(proofs)} values {'is' if len(wrong) == 1 else 'are'} not as expected."
        )


def _wanted(families: Mapping[str, Sequence[Feature]], names: Sequence[str]) -> set[str]:
    by_family = {family: {item.name for item in members} for family, members in families.items()}
    every = set().union(*by_family.values())
    wanted: set[str] = set()
    for name in names:
        if name not in every and name not in by_family:
            raise ConfigError(f"no feature or family {name!r}.{did_you_mean(name, {*every, *by_family})}")
        wanted |= {name} if name in every else by_family[name]
    return wanted if names else every


def _proof_entry(proof: Proof) -> dict[str, Any]:
    item = proof.expectation
    return {
        "file": proof.example.file,
        "example": proof.example.number,
        "example_says": proof.example.says,
        "account_id": item.account_id,
        "as_of": item.as_of.isoformat(),
        "known_at": item.known_at.isoformat(),
        "feature": item.feature.name,
        "usual": item.is_usual,
        "expected": item.value,
        "got": proof.got,
        "sentence": _sentence(proof),
    }


def _sentence(proof: Proof) -> str | None:
    from lifecycle_ml.reasons.sentences import write_sentence

    return write_sentence(proof.expectation.feature, proof.value, proof.usual)


def _written(value: float | str | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else f"{value:.12g}"


def _when(proof: Proof) -> str:
    item = proof.expectation
    at_once = item.known_at == datetime.combine(item.as_of, datetime.min.time())
    return str(item.as_of) + ("" if at_once else f", known {item.known_at.isoformat()}")


def _show_failure(proof: Proof) -> None:
    item = proof.expectation
    what = f"the usual value of {item.feature.name}" if item.is_usual else item.feature.name
    say(f"{proof.example.where}: {proof.example.says}")
    say(f"  {what} of account {item.account_id} as of {_when(proof)}")
    say(f"    expected  {_written(item.value)}")
    say(f"    got       {_written(proof.got)}")
    say(f"    reads     {_sentence(proof) or '(nothing is said of null)'}")


def _show_values(proofs: Sequence[Proof]) -> None:
    """Show what was worked out and how it reads, as an author wants to see it."""
    rows = []
    for proof in proofs:
        item = proof.expectation
        if item.is_usual:
            continue
        rows.append(
            [
                f"{proof.example.family} {proof.example.number}",
                item.account_id,
                _when(proof),
                item.feature.name,
                _written(proof.value),
                _sentence(proof) or "",
            ]
        )
    columns = ["example", "account", "as of", "feature", "value", "reads"]
    show_table("As worked out", columns, rows, right=["value"], whole=["example", "feature"])


def _show_families(
    families: Mapping[str, Sequence[Feature]],
    wanted: set[str],
    proofs: Sequence[Proof],
    unproven: Sequence[str],
) -> None:
    rows = []
    for family, members in families.items():
        names = [feature.name for feature in members if feature.name in wanted]
        mine = [proof for proof in proofs if proof.example.family == family]
        if not names and not mine:
            continue
        wrong = sum(not proof.holds for proof in mine)
        without = sum(name in unproven for name in names)
        examples = len({proof.example.number for proof in mine})
        rows.append([family, len(names), without or "", examples, len(mine), wrong or ""])
    columns = ["family", "features", "without example", "examples", "values", "wrong"]
    show_table("Worked examples", columns, rows, columns[1:])
    held = sum(proof.holds for proof in proofs)
    examples = len({(proof.example.family, proof.example.number) for proof in proofs})
    say(f"{_counted(examples, 'example')}, {held} of {len(proofs)} values as expected.")
    if unproven:
        shown = ", ".join(unproven[:20]) + (f" and {len(unproven) - 20} more" if len(unproven) > 20 else "")
        lacking = f"{_counted(len(unproven), 'feature')} {'has' if len(unproven) == 1 else 'have'}"
        say(f"{lacking} no example in features/examples/: {shown}.")
    else:
        say("Every feature has an example." if len(wanted) > 1 else "It has an example.")


def dates_of(days: Sequence[date], first: date | None, every: int | None) -> list[date]:
    """Return the as_of dates asked for: those given, or from `first` every so many days up to the one given.

    Raises: ConfigError where the two ways are mixed, or `first` lies after the last.
    """
    if first is None:
        if every is not None:
            raise ConfigError("--every needs --from, the earliest date.")
        return sorted(set(days))
    if len(days) > 1:
        raise ConfigError(f"--from goes up to one --as-of; {len(days)} were given.")
    last = days[0]
    if first > last:
        raise ConfigError(f"--from {first} lies after --as-of {last}.")
    step = EVERY if every is None else every
    return [last - timedelta(days=step * back) for back in range((last - first).days // step, -1, -1)]


def build(
    workspace: Workspace,
    settings: Settings,
    days: Sequence[date],
    known_at: datetime | None,
    accounts: Sequence[str],
    out: Path,
) -> None:
    """Write the matrix of all customers (of the accounts named) as of one or several dates to a file.

    Raises: ConfigError for a file of an unknown kind, a look before one of the dates, or an unknown account.
    """
    from lifecycle_ml.matrix.build import build_matrix
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.tables.source import read_tables

    if not out.name.endswith(SUFFIXES):
        raise ConfigError(f"--out {out}: the name must end in {', '.join(SUFFIXES)}.")
    _require_later(known_at, max(days))
    features = load_features(workspace)
    with progress_bars() as progress:
        progress("reading the tables", 0, 1)
        tables = read_tables(workspace, settings)
        progress("reading the tables", 1, 1)
        available = features.available(tables)
        spine = _spine(tables, days, known_at, accounts)
        step = f"building {len(available)} features as of {_counted(len(days), 'date')}"
        progress(step, 0, 1)
        matrix = build_matrix(tables, available, spine)
        progress(step, 1, 1)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        matrix.to_parquet(out, index=False)
    else:
        matrix.to_csv(out, index=False)
    span = f"{days[0]}" if len(days) == 1 else f"{len(days)} dates from {days[0]} to {days[-1]}"
    rows = _counted(len(matrix), "row")
    people = _counted(matrix["account_id"].nunique(), "account")
    known = "" if known_at is None else f", as known at {known_at}"
    say(f"{out}: {rows}, {people} as of {span}{known}; {len(available)} features.")
    if len(available) < len(features):
        left = len(features) - len(available)
        say(f"{left} features are left out because the source lacks tables or columns; see lifecycle check.")
    if matrix.empty:
        say("Nobody was a customer then: no contract known then was in force.")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _require_later(known_at: datetime | None, day: date) -> None:
    if known_at is not None and known_at < datetime.combine(day, datetime.min.time()):
        raise ConfigError(f"--known-at {known_at} lies before --as-of {day}; look at its 00:00 or later.")


def _spine(
    tables: Tables, days: Sequence[date], known_at: datetime | None, accounts: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the customers of each date (every account, without contracts), or the accounts named."""
    from lifecycle_ml.matrix.spine import customers, known_accounts

    if not accounts and "contracts" in tables:
        return customers(tables, days, known_at)
    everyone = known_accounts(tables, days, known_at)
    if not accounts:
        return everyone
    here = set(everyone["account_id"])
    for account in accounts:
        if account not in here:
            when = f"on {days[0]}" if len(days) == 1 else f"on any of the {len(days)} dates"
            raise ConfigError(
                f"--account {account!r}: no account of that id is known {when}.{did_you_mean(account, here)}"
            )
    return everyone[everyone["account_id"].isin(accounts)].reset_index(drop=True)


def late(
    workspace: Workspace, settings: Settings, as_of: date, known_at: datetime | None, *, as_json: bool
) -> None:
    """Say how much rows that arrived after `as_of` change the matrix of that day."""
    from lifecycle_ml.matrix.lateness import measure_lateness
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.tables.source import read_tables

    _require_later(known_at, as_of)
    features = load_features(workspace)
    with progress_bars() as progress:
        progress("reading the tables", 0, 1)
        tables = read_tables(workspace, settings)
        progress("reading the tables", 1, 1)
        found = measure_lateness(tables, features.available(tables), as_of, known_at, progress)
    if as_json:
        say_json(found.to_json())
    else:
        _show_late(found)


def _show_late(found: Lateness) -> None:
    say(
        f"As of {found.as_of}, known then and known at {found.known_at}: "
        f"{found.accounts_then:,} accounts then, {found.accounts_now:,} now; "
        f"{len(found.entered)} entered{_named(found.entered)}, "
        f"{len(found.left)} left{_named(found.left)}."
    )
    late = [item for item in found.late_rows if item.rows]
    if late:
        show_table(
            f"Rows of before {found.as_of} that became known after it",
            ["table", "rows", "accounts", "median delay in days"],
            [
                [item.table, f"{item.rows:,}", f"{item.accounts:,}", _short(item.median_delay_days)]
                for item in late
            ],
            ["rows", "accounts", "median delay in days"],
        )
    plans = [f"{item.plans_since:,} {item.table}" for item in found.late_rows if item.plans_since]
    if plans:
        say(
            f"Known since, too: {' and '.join(plans)} that begin or are due from {found.as_of} on. They are "
            "plans, not late rows, but what looks ahead changes with them; a nearer --known-at has fewer."
        )
    if found.changed:
        numbers = ["accounts", "share", "median change", "relative", "known now", "null now"]
        show_table(
            "Features they changed",
            ["feature", *numbers, "changed most (then → now)"],
            [
                [
                    item.feature,
                    f"{item.accounts_changed:,}",
                    f"{item.share_changed:.1%}",
                    _short(item.median_change),
                    "" if item.median_relative_change is None else f"{item.median_relative_change:.1%}",
                    item.became_known or "",
                    item.became_null or "",
                    ", ".join(f"{v.account_id} {_short(v.then)} → {_short(v.now)}" for v in item.largest),
                ]
                for item in found.changed
            ],
            right=numbers,
            whole=["feature"],
        )
    same = len(found.features) - len(found.changed)
    say(f"{len(found.changed)} of {len(found.features)} features changed; {same} are as they were.")


def _named(accounts: Sequence[str]) -> str:
    return f" ({', '.join(accounts[:5])}{', …' if len(accounts) > 5 else ''})" if accounts else ""


def _short(value: float | str | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else f"{value:,.4g}"
