"""`lifecycle features`: what is known about an account, as definitions, as examples and as a matrix."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lifecycle_ml.cli.options import AsOfOption, JsonOption, WorkspaceOption, open_workspace, parse_day
from lifecycle_ml.cli.sections import Uncut
from lifecycle_ml.errors import ConfigError

app = typer.Typer(cls=Uncut, help="What is known about an account.", no_args_is_help=True)

KnownAtOption = Annotated[
    str | None,
    typer.Option(
        "--known-at", help="Replay what was known at this date or instant (UTC); default the as-of date."
    ),
]


@app.command("list")
def features_list(
    workspace: WorkspaceOption = Path(),
    family: Annotated[str | None, typer.Option(help="Only a file of features/, without .py.")] = None,
    category: Annotated[str | None, typer.Option(help="Only one churn category, or context.")] = None,
    table: Annotated[str | None, typer.Option(help="Only what reads this table.")] = None,
    json: JsonOption = False,
) -> None:
    """List the features of the workspace: all, or those of a family, a category or a table."""
    from lifecycle_ml.cli import catalogue

    catalogue.list_features(open_workspace(workspace)[0], family, category, table, as_json=json)


@app.command("show")
def features_show(
    name: Annotated[str, typer.Argument(help="Name of a feature.")],
    workspace: WorkspaceOption = Path(),
    json: JsonOption = False,
) -> None:
    """Show one feature in words: what it measures, what it reads, how it reads as evidence, who uses it."""
    from lifecycle_ml.cli import catalogue

    catalogue.show_feature(open_workspace(workspace)[0], name, as_json=json)


@app.command("test")
def features_test(
    names: Annotated[
        list[str] | None, typer.Argument(help="Features or families; all where none is named.")
    ] = None,
    workspace: WorkspaceOption = Path(),
    json: JsonOption = False,
) -> None:
    """Work out the examples in features/examples/; exit 2 where a value is not as expected."""
    from lifecycle_ml.cli import proofs

    proofs.prove_features(open_workspace(workspace)[0], names or [], as_json=json)


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
    from lifecycle_ml.cli import matrix

    days = [parse_day(text) for text in as_of] if as_of else [parse_day(None)]
    days = matrix.dates_of(days, None if first is None else parse_day(first, "--from"), every)
    opened = open_workspace(workspace)
    matrix.build(*opened, days, known_at_of(known_at), account or [], out)


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
    from lifecycle_ml.cli import matrix

    matrix.late(*open_workspace(workspace), parse_day(as_of), known_at_of(known_at), as_json=json)


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
