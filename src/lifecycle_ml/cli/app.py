"""The `lifecycle` command. This edge reads the clock and the environment; nothing below it does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from lifecycle_ml.cli import clock, features, keys, prune, tell, tune
from lifecycle_ml.cli.options import (
    AsOfOption,
    ByOption,
    JsonOption,
    WorkspaceOption,
    only_one,
    open_workspace,
    parse_day,
)
from lifecycle_ml.cli.sections import Sectioned
from lifecycle_ml.errors import ConfigError, LifecycleError

app = typer.Typer(
    name="lifecycle",
    cls=Sectioned,
    help="Churn and expansion for B2B subscriptions: scores with reasons, owners and actions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(features.app, name="features")
app.add_typer(tune.app, name="health")
app.add_typer(keys.app, name="keys")
app.add_typer(prune.app, name="store")
app.add_typer(tell.app, name="tell")


def main() -> None:
    """Run the command line: exit 0 on success, 2 on a user's mistake, 1 on a fault."""
    try:
        app()
    except LifecycleError as error:
        print(f"lifecycle: {error}", file=sys.stderr)  # noqa: T201 - the one place errors are said
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"lifecycle: {error.filename}: {error.strerror}.", file=sys.stderr)  # noqa: T201
        sys.exit(2)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="New workspace folder.")]) -> None:
    """Make a workspace: one SELECT per canonical table, ready to be pointed at your tables."""
    from lifecycle_ml.cli import newcomer

    newcomer.init(folder)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder for the tables; truth goes to FOLDER-truth.")],
    accounts: Annotated[int, typer.Option(help="How many accounts.", min=1)] = 600,
    seed: Annotated[int, typer.Option(help="Same seed, same company.")] = 7,
) -> None:
    """Write the tables of a synthetic B2B company whose true causes of churn are known."""
    from lifecycle_ml.cli import newcomer

    newcomer.simulate(folder, accounts, seed)


@app.command()
def check(
    part: Annotated[str, typer.Argument(help="all, features, serving or motion.")] = "all",
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    html: Annotated[
        Path | None, typer.Option(help="With motion: write the ten parts as one page to this file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what is wrong with the tables, features and rules, and its cost; or what is agreed (motion)."""
    from lifecycle_ml.cli import inspect, loops

    if part == "motion":
        if as_of is not None:
            raise ConfigError("--as-of goes with the tables; what is agreed has no date. Leave it out.")
        loops.check_motion(open_workspace(workspace)[0], html, as_json=json)
        return
    if html is not None:
        raise ConfigError("--html goes with `lifecycle check motion`; nothing else is written as a page.")
    inspect.check(*open_workspace(workspace), part, parse_day(as_of), as_json=json)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A file of training/, without .toml.")] = "churn",
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    seed: Annotated[int, typer.Option(help="Same data, seed and recipe: same model.")] = 0,
    search: Annotated[
        bool, typer.Option("--search", help="Try other capacities first, as [search] of the recipe says.")
    ] = False,
    predictions: Annotated[
        Path | None, typer.Option(help="Write every out-of-time prediction to this Parquet file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train a challenger, say how good it is beside simple rules, and serve it only if the gate lets it."""
    from lifecycle_ml.cli import work

    opened = open_workspace(workspace)
    work.train(*opened, recipe, parse_day(as_of), seed, predictions, searching=search, as_json=json)


@app.command()
def promote(
    recipe: Annotated[str, typer.Argument(help="A file of training/, without .toml.")] = "churn",
    workspace: WorkspaceOption = Path(),
    version: Annotated[
        str | None,
        typer.Option(help="Registered version; default the newest one after the champion."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to what served before; a second time undoes it.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Let a challenger serve if it beats the champion on the same dates; else say what is missing."""
    from lifecycle_ml.cli import champions

    champions.promote(*open_workspace(workspace), recipe, version, back=rollback, as_json=json)


@app.command()
def run(
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    now: Annotated[
        str | None,
        typer.Option(
            help="The run's clock, ISO 8601 UTC; default the clock, for a past as-of 02:00 that day."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run the nightly chain: check, train where nothing serves, score, explain, act, publish."""
    from lifecycle_ml.cli import work

    day = parse_day(as_of)
    work.run(*open_workspace(workspace), day, clock.run_clock(now, day), as_json=json, may_train=True)


@app.command()
def score(workspace: WorkspaceOption = Path(), as_of: AsOfOption = None, json: JsonOption = False) -> None:
    """Score and publish every customer with the model that serves; like run, but never trains."""
    from lifecycle_ml.cli import work

    day = parse_day(as_of)
    work.run(*open_workspace(workspace), day, clock.run_clock(None, day), as_json=json, may_train=False)


@app.command()
def explain(
    account: Annotated[str, typer.Argument(help="An account_id.")],
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    since: Annotated[
        str | None,
        typer.Option(help="Say instead why the risk moved since its reading on this day or the last before."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show one scored account: why it has its colour, what to do, what is missing to be green."""
    from lifecycle_ml.cli import moves, readings

    day = None if as_of is None else parse_day(as_of)
    opened = open_workspace(workspace)
    if since is not None:
        moves.explain_move(*opened, account, parse_day(since, "--since"), day, as_json=json)
        return
    readings.explain(opened[1], account, day, as_json=json)


@app.command()
def actions(
    workspace: WorkspaceOption = Path(),
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain",
            metavar="ACCOUNT",
            help="Show instead which rules fired for this account, and why not.",
        ),
    ] = None,
    effects: Annotated[
        bool, typer.Option("--effects", help="Show instead what playbooks changed: offered against held out.")
    ] = False,
    effect: Annotated[
        float | None,
        typer.Option(help="With --effects: the effect to look for, 0.05 for five accounts in a hundred."),
    ] = None,
    scoreboard: Annotated[
        bool,
        typer.Option("--scoreboard", help="Show instead what followed when triggers fired, and for whom."),
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="With --explain: another date than the published one; --effects, --scoreboard: what was "
            "known by then.",
        ),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Write the whole queue to the output: csv or json.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the open actions in the order in which they are worth doing."""
    from lifecycle_ml.cli import effects as measured
    from lifecycle_ml.cli import queue, readings, rulings
    from lifecycle_ml.cli import scoreboard as scores

    instead = only_one(
        {
            "--explain": explain is not None,
            "--effects": effects,
            "--scoreboard": scoreboard,
            "--format": form is not None,
        }
    )
    if owner is not None and instead not in {None, "--format"}:
        raise ConfigError(f"--owner narrows the list of actions; {instead} is of all owners. Leave one out.")
    if json and form is not None:
        raise ConfigError("--format says how the queue is written; leave out --json, or --format.")
    if effect is not None and not effects:
        raise ConfigError("--effect goes with --effects; see `lifecycle actions --help`.")
    opened = open_workspace(workspace)
    if effects:
        measured.effects(*opened, parse_day(as_of), effect, as_json=json)
        return
    if scoreboard:
        scores.scoreboard(*opened, parse_day(as_of), as_json=json)
        return
    if explain is not None:
        day = None if as_of is None else parse_day(as_of)
        rulings.explain_rules(*opened, explain, day, as_json=json)
        return
    if as_of is not None:
        raise ConfigError("--as-of goes with --explain ACCOUNT; open actions are those of today.")
    if form is not None:
        queue.write_queue(opened[1], owner, form)
        return
    readings.actions(opened[1], owner, as_json=json)


@app.command()
def deliver(
    workspace: WorkspaceOption = Path(),
    dead: Annotated[bool, typer.Option("--dead", help="List instead what was given up.")] = False,
    retry: Annotated[
        str | None, typer.Option(metavar="ID", help="Make what was given up under this id due again.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Tell the webhooks what happened to actions: everything that is due, signed, in order per account."""
    from lifecycle_ml.cli import deliver as delivery

    delivery.deliver(open_workspace(workspace)[1], dead=dead, retry=retry, as_json=json)


@app.command()
def monitor(
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for drift.html and drift.json.")] = None,
    json: JsonOption = False,
) -> None:
    """Say whether what serves is still right: do nothing, fix feed, recalibrate, retrain, move threshold."""
    from lifecycle_ml.cli import watch

    watch.monitor(*open_workspace(workspace), parse_day(as_of), out, as_json=json)


@app.command()
def revenue(
    workspace: WorkspaceOption = Path(),
    as_of: AsOfOption = None,
    gross_margin: Annotated[
        float, typer.Option(help="Share of revenue that payback and LTV count, as 0.8; 1 is all of it.")
    ] = 1.0,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="Show instead NRR and GRR of the next four quarters.")
    ] = False,
    leakage: Annotated[
        bool,
        typer.Option("--leakage", help="Show instead use not billed, invoices unpaid and old discounts."),
    ] = False,
    finance: Annotated[
        bool,
        typer.Option("--finance", help="Show instead ARR at risk, days of notice and who does not pay."),
    ] = False,
    reasons: Annotated[
        bool,
        typer.Option("--reasons", help="Show instead why accounts leave, by month, with control limits."),
    ] = False,
    loops: Annotated[
        bool,
        typer.Option("--loops", help="Show instead what sales, marketing and product can learn from it."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show the ARR waterfall of the last twelve months, NRR, GRR, CAC and LTV, each with its formula."""
    from lifecycle_ml.cli import ahead
    from lifecycle_ml.cli import loops as feedback
    from lifecycle_ml.cli import revenue as books

    opened, day = open_workspace(workspace), parse_day(as_of)
    parts = {
        "--forecast": (forecast, ahead.forecast),
        "--leakage": (leakage, ahead.leakage),
        "--finance": (finance, ahead.finance),
        "--reasons": (reasons, ahead.reasons),
        "--loops": (loops, feedback.loops),
    }
    chosen = only_one({name: wanted for name, (wanted, _) in parts.items()})
    if chosen is not None and gross_margin != 1.0:
        raise ConfigError(
            f"--gross-margin counts in CAC payback and LTV; {chosen} has neither. Leave one out."
        )
    if chosen is not None:
        parts[chosen][1](*opened, day, as_json=json)
        return
    books.revenue(*opened, day, gross_margin, as_json=json)


@app.command()
def serve(
    workspace: WorkspaceOption = Path(),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    log: Annotated[
        Literal["quiet", "text", "json"],
        typer.Option(help="What to log: warnings and faults; requests too; those as lines of JSON."),
    ] = "quiet",
    warm: Annotated[
        bool, typer.Option("--warm", help="Refresh one account at the start, so that no caller waits for it.")
    ] = False,
) -> None:
    """Serve scores, reasons and actions over HTTP, and the pages."""
    from lifecycle_ml.cli import work

    work.serve(*open_workspace(workspace), host, port, log, warm=warm)


@app.command()
def doctor(workspace: WorkspaceOption = Path(), json: JsonOption = False) -> None:
    """Say whether all that runs and answers rest on is in order, and what to do where it is not."""
    from lifecycle_ml.cli import doctor as checks

    raise typer.Exit(checks.doctor(*open_workspace(workspace), as_json=json))


@app.command()
def forget(
    account: Annotated[str, typer.Argument(help="An account_id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Erase it; else only say what would be erased.")] = False,
    workspace: WorkspaceOption = Path(),
    by: ByOption = None,
    json: JsonOption = False,
) -> None:
    """Erase an account and its people from the store, out and mlruns; say what cannot be reached."""
    from lifecycle_ml.cli import forget as forgetting

    forgetting.forget(*open_workspace(workspace), account, by, yes=yes, as_json=json)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo company lives.")] = Path("out/demo"),
    accounts: Annotated[int, typer.Option(help="How many accounts.", min=50)] = 1500,
    seed: Annotated[int, typer.Option(help="Same seed, same company.")] = 11,
    as_of: AsOfOption = None,
    port: Annotated[int, typer.Option(help="Port to serve on.", min=1, max=65535)] = 8000,
    serve: Annotated[bool, typer.Option(help="Serve at the end.")] = True,
) -> None:
    """Simulate a company and take it from raw tables to the ten accounts that need someone today."""
    from lifecycle_ml.cli import newcomer

    newcomer.demo(folder, accounts, seed, parse_day(as_of), port, serve_after=serve)


@app.command("export-openapi")
def export_openapi(
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="3.1 (all of it), 3.0 (for Salesforce), 2.0 (for Power Platform), or hubspot (an action).",
        ),
    ] = "3.1",
    server: Annotated[str, typer.Option(help="Address the CRM calls.")] = "https://lifecycle.example.com",
    workspace: WorkspaceOption = Path(),
) -> None:
    """Write the API's description for those who import it: OpenAPI 3.1 or 3.0, Swagger 2.0, HubSpot."""
    from lifecycle_ml.cli import openapi

    openapi.export_openapi(*open_workspace(workspace), form, server, out)
