"""The commands of who may call the service: keys create, list, rotate, revoke."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lifecycle_ml.cli.options import JsonOption, WorkspaceOption, open_workspace, who_says
from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.cli.sections import Uncut
from lifecycle_ml.errors import counted
from lifecycle_ml.settings import ROLES
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.keys import USUAL_PER_MINUTE

if TYPE_CHECKING:
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.keys import StoredKey
    from lifecycle_ml.store.store import Store

app = typer.Typer(cls=Uncut, help="Who may call the service.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of a key: of the system that calls with it.")]


@app.command("create")
def create(
    name: NameArgument,
    role: Annotated[str, typer.Option(help=f"{', '.join(ROLES)}: each may do what those before may.")],
    workspace: WorkspaceOption = Path(),
    days: Annotated[
        int | None, typer.Option(help="Days until it expires; default never.", min=1, max=3_650)
    ] = None,
    per_minute: Annotated[
        int, typer.Option(help="Calls a minute, by each worker of the service; 0 is any number.", min=0)
    ] = USUAL_PER_MINUTE,
    json: JsonOption = False,
) -> None:
    """Make a key and show it, this once; the store keeps its hash."""
    lasts = None if days is None else timedelta(days=days)
    with _store(workspace) as store:
        key = store.keys().create(
            name, role, _now(), lasts=lasts, per_minute=per_minute or None, by=who_says(None)
        )
    _show_key(name, key, "Services on this store know it within seconds.", as_json=json)


@app.command("list")
def list_keys(workspace: WorkspaceOption = Path(), json: JsonOption = False) -> None:
    """List the keys there are and were: role, age, last use, end. No key can be read again."""
    settings = open_workspace(workspace)[1]
    now = _now()
    with closing(_open(settings)) as store:
        rows = [_shown(each, now) for each in store.keys().all()]
    if json:
        say_json({"keys": rows, "in_the_environment": len(settings.api_keys)})
        return
    if rows:
        show_table(
            "Keys",
            [name.replace("_", " ") for name in rows[0]],
            [[*row.values()] for row in rows],
            right=["per minute"],
        )
    else:
        say("The store has no keys; `lifecycle keys create` makes one.")
    if settings.api_keys:
        count = len(settings.api_keys)
        say(f"LIFECYCLE_API_KEYS has {count} more, good as long as the service that was started with them.")


@app.command("rotate")
def rotate(
    name: NameArgument,
    workspace: WorkspaceOption = Path(),
    overlap_hours: Annotated[
        int, typer.Option(help="How long the key before works on; 0 ends it at once.", min=0, max=8_760)
    ] = 168,
    json: JsonOption = False,
) -> None:
    """Make a key that follows one, and show it, this once; the one before works on for a while."""
    with _store(workspace) as store:
        key = store.keys().rotate(name, _now(), timedelta(hours=overlap_hours), who_says(None))
    until = (
        f"The key before works for {overlap_hours} more hours."
        if overlap_hours
        else "The key before has ended."
    )
    _show_key(name, key, until, as_json=json)


@app.command("revoke")
def revoke(
    name: NameArgument,
    workspace: WorkspaceOption = Path(),
    key_id: Annotated[
        str | None, typer.Option("--id", help="Only the key with this id, of several of one name.")
    ] = None,
) -> None:
    """End the keys of a name at once: every worker refuses them within seconds."""
    with _store(workspace) as store:
        count = store.keys().revoke(name, _now(), key_id, who_says(None))
    them = "it" if count == 1 else "them"
    say(f"{counted(count, 'key')} named {name} revoked; workers refuse {them} within 2 seconds.")


@app.command("log")
def log(
    workspace: WorkspaceOption = Path(),
    name: Annotated[str | None, typer.Option(help="Only what this key or person did.")] = None,
    days: Annotated[int, typer.Option(help="How many days back.", min=1)] = 30,
    json: JsonOption = False,
) -> None:
    """List what was changed through the service and by commands: when, by whom, what, by which request."""
    with _store(workspace) as store:
        entries = store.audit_log(name, _now() - timedelta(days=days))
    rows = [asdict(entry) | {"at": instant_text(entry.at)} for entry in entries]
    if json:
        say_json(rows)
    elif not rows:
        whom = "" if name is None else f" by {name!r}"
        say(f"Nothing was changed{whom} in the last {counted(days, 'day')}.")
    else:
        columns = [column.replace("_", " ") for column in rows[0]]
        show_table("Changes, the newest first", columns, [[*row.values()] for row in rows])


def count_keys(settings: Settings) -> int:
    """Return how many keys would open the service now: those of the environment and those of the store."""
    now = _now()
    with closing(_open(settings)) as store:
        return len(settings.api_keys) + sum(each.works(now) for each in store.keys().all())


def _shown(key: StoredKey, now: datetime) -> dict[str, Any]:
    state = "revoked" if key.revoked_at else "works" if key.works(now) else "expired"
    return {
        "name": key.name,
        "id": key.key_id,
        "role": key.role,
        "state": state,
        "created": f"{key.created_at:%Y-%m-%d}",
        "last_used": None if key.last_used_on is None else str(key.last_used_on),
        "expires": None if key.expires_at is None else f"{key.expires_at:%Y-%m-%d %H:%M}Z",
        "per_minute": key.per_minute,
    }


def _show_key(name: str, key: str, more: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"name": name, "key": key})
        return
    say(key)
    say(f"This is the key of {name}, shown this once: put it where {name} keeps secrets. {more}")


def _store(workspace: Path) -> closing[Store]:
    return closing(_open(open_workspace(workspace)[1]))


def _open(settings: Settings) -> Store:
    from lifecycle_ml.store.store import Store

    return Store.open(settings.store_url)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
