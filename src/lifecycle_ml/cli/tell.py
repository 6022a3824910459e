"""`lifecycle tell`: what people say of an account, and what they do with an action, kept in the store."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lifecycle_ml.cli import clock
from lifecycle_ml.cli.options import parse_day, who_says
from lifecycle_ml.cli.screen import say, say_json
from lifecycle_ml.cli.sections import Uncut

if TYPE_CHECKING:
    from lifecycle_ml.actions.account_words import AccountWord, Ending, Feeling
    from lifecycle_ml.actions.ledger import Word
    from lifecycle_ml.health.state import Color
    from lifecycle_ml.store.store import Store

app = typer.Typer(
    cls=Uncut, help="Say what people know: of an account, or of an action.", no_args_is_help=True
)

Account = Annotated[str, typer.Argument(help="An account_id.")]
ActionId = Annotated[str, typer.Argument(metavar="ACTION", help="An action_id; `lifecycle actions --json`.")]
Folder = Annotated[Path, typer.Option("--workspace", help="Folder with features/, training/ or serving/.")]
By = Annotated[str | None, typer.Option(help="Who says it; default who is logged in here.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Note = Annotated[str, typer.Option(help="What it rests on, or what came of it.")]


@app.command()
def override(
    account: Account,
    reason: Annotated[str, typer.Option(help="What the model does not know.")],
    color: Annotated[str, typer.Option(help="green, yellow, red; none ends the colour that stands.")],
    until: Annotated[
        str | None, typer.Option(help="Last day it stands, YYYY-MM-DD, within 180 days.")
    ] = None,
    by: By = None,
    workspace: Folder = Path(),
    json: Json = False,
) -> None:
    """Set a colour of your own until a day; it stands beside the model's and changes no score."""
    from lifecycle_ml.actions.account_words import Override

    chosen = None if color == "none" else cast("Color", color)
    last = None if until is None else parse_day(until, "--until")
    _keep(workspace, account, Override(chosen, reason, last), by, as_json=json)


@app.command()
def sentiment(
    account: Account,
    value: Annotated[str, typer.Option(help="happy, neutral or unhappy.")],
    note: Note = "",
    by: By = None,
    workspace: Folder = Path(),
    json: Json = False,
) -> None:
    """Say how an account feels; the last word stands."""
    from lifecycle_ml.actions.account_words import Sentiment

    _keep(workspace, account, Sentiment(cast("Feeling", value), note), by, as_json=json)


@app.command()
def outcome(
    account: Account,
    outcome: Annotated[str, typer.Option(help="renew, contract, expand or leave.")],
    checkpoint: Annotated[
        int | None, typer.Option(help="180, 120, 90, 60 or 30; default the last one reached.")
    ] = None,
    note: Note = "",
    by: By = None,
    workspace: Folder = Path(),
    json: Json = False,
) -> None:
    """Say what a checkpoint of the renewal ahead came to."""
    from lifecycle_ml.actions.account_words import Outcome

    word = Outcome(cast("Ending", outcome), checkpoint, note)
    _keep(workspace, account, word, by, as_json=json)


@app.command()
def decision(
    account: Account,
    decision: Annotated[str, typer.Option(help="What was decided.")],
    decided_by: Annotated[str, typer.Option(help="Who decided it.")],
    next_step: Annotated[str, typer.Option(help="What happens now.")],
    due: Annotated[str, typer.Option(help="When the next step is due, YYYY-MM-DD.")],
    by: By = None,
    workspace: Folder = Path(),
    json: Json = False,
) -> None:
    """Keep what a review decided, who decided it, what happens next and by when."""
    from lifecycle_ml.actions.account_words import Decision

    word = Decision(decision, decided_by, next_step, parse_day(due, "--due"))
    _keep(workspace, account, word, by, as_json=json)


@app.command()
def complete(
    action: ActionId, note: Note = "", by: By = None, workspace: Folder = Path(), json: Json = False
) -> None:
    """Say that the work of an action is done, and what came of it."""
    from lifecycle_ml.actions.ledger import Complete

    _change(workspace, action, Complete(note), by, as_json=json)


@app.command()
def dismiss(
    action: ActionId,
    reason: Annotated[str, typer.Option(help="Why it will not be done.")],
    by: By = None,
    workspace: Folder = Path(),
    json: Json = False,
) -> None:
    """Say that the work of an action will not be done, and why."""
    from lifecycle_ml.actions.ledger import Dismiss

    _change(workspace, action, Dismiss(reason), by, as_json=json)


@app.command()
def snooze(
    action: ActionId,
    until: Annotated[str, typer.Option(help="The day it comes back, YYYY-MM-DD, within 90 days.")],
    by: By = None,
    workspace: Folder = Path(),
    json: Json = False,
) -> None:
    """Put an action off: it neither escalates nor comes up before that day."""
    from lifecycle_ml.actions.ledger import Snooze

    day = datetime.combine(parse_day(until, "--until"), datetime.min.time())
    _change(workspace, action, Snooze(day), by, as_json=json)


@app.command()
def assign(
    action: ActionId,
    owner: Annotated[str, typer.Option(help="Who takes it, as the team or the CRM names them.")],
    by: By = None,
    workspace: Folder = Path(),
    json: Json = False,
) -> None:
    """Give an action to somebody else."""
    from lifecycle_ml.actions.ledger import Assign

    _change(workspace, action, Assign(owner), by, as_json=json)


def _keep(workspace: Path, account: str, word: AccountWord, by: str | None, *, as_json: bool) -> None:
    from lifecycle_ml.store.document import instant_text

    with closing(_store(workspace)) as store:
        said = store.say(account, word, who_says(by), _now())
    if as_json:
        say_json({"account_id": account, "at": instant_text(said.at), **said.to_json()})
    else:
        say(f"Kept: {said.by} {said.at:%Y-%m-%d}: {account}: {said.says}")


def _change(workspace: Path, action_id: str, word: Word, by: str | None, *, as_json: bool) -> None:
    from dataclasses import asdict

    from lifecycle_ml.store.lists import plain

    with closing(_store(workspace)) as store:
        action = store.tell(action_id, word, who_says(by), _now())
    if as_json:
        found: dict[str, Any] = plain(asdict(action))
        say_json(found)
    else:
        say(f"Kept: {action.title} ({action.account_id}) is {action.status}; owner {action.owner}.")


def _store(workspace: Path) -> Store:
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.workspace import load_workspace

    return Store.open(Settings.read(load_workspace(workspace).root).store_url)


def _now() -> datetime:
    return clock.run_clock(None, clock.today())
