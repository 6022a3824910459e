"""`lifecycle forget`: an account and its people out of the store and the files beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from lifecycle_ml.cli import clock
from lifecycle_ml.cli.options import who_says
from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.forgetting import Known
    from lifecycle_ml.store.outputs import Named
    from lifecycle_ml.workspace import Workspace

_SQLITE: Final = "sqlite:///"
_ALWAYS: Final = """\
backups and copies of the store and of files, logs and replicas of a database server, blocks deleted files had
what was learned: a model is numbers from many accounts and has no row of one; train again without it
what others were given: fields in a CRM, downloads, files written elsewhere than here, logs of the service"""


@dataclass(frozen=True)
class _Found:
    """What there is of the account, and where it cannot be erased from here."""

    known: Known
    files: list[Named]
    settings: Settings
    root: Path

    @property
    def places(self) -> list[dict[str, Any]]:
        """Return what is (or was) erased: place, what and how many."""
        rows = [
            {"place": "store", "what": name.replace("_", " "), "count": count}
            for name, count in self.known.rows.items()
        ]
        files = [
            {"place": self._shown(each.path), "what": "rows and words", "count": each.count}
            for each in self.files
            if not each.why
        ]
        return rows + files

    @property
    def out_of_reach(self) -> list[str]:
        """Return in sentences what is not erased."""
        account = self.known.traces.account_id
        source = _shown(self.settings.source_url)
        said = [f"the source tables ({source}): as long as {account} is in them, the next run brings it back"]
        said += [f"{self._shown(each.path)}: {each.why}" for each in self.files if each.why]
        for name, count in self.known.told.items():
            events = "1 event" if count == 1 else f"{count:,} events"
            said.append(f"webhook {name}: it was told of {events} of this account")
        if not _is_local(self.settings.mlflow_tracking_uri):
            said.append(
                f"MLflow at {_shown(self.settings.mlflow_tracking_uri)}: predictions kept with its runs"
            )
        if not self.known.traces.searched:
            said.append(
                f"sentences with {account!r}: an id this short, or of digits or lower-case letters only, "
                "is taken out where a column or key holds accounts, and not looked for in texts"
            )
        return [*said, *_ALWAYS.splitlines()]

    def _shown(self, path: Path) -> str:
        root = self.root.resolve()
        return str(path.relative_to(root) if path.is_relative_to(root) else path)


def forget(
    workspace: Workspace, settings: Settings, account: str, by: str | None, *, yes: bool, as_json: bool
) -> None:
    """Show what there is of an account and what cannot be reached; with `yes`, erase it for good.

    Files go first and the store last, so that a command that was killed finds the account again.
    Raises: NoSuchAccountError where neither the store nor a file knows the account.
    """
    from lifecycle_ml.store import forgetting, outputs
    from lifecycle_ml.store.engine import exists, open_engine

    if not exists(settings.store_url):
        raise ConfigError("there is no store yet, so there is nothing to forget. `lifecycle run` makes one.")
    engine = open_engine(settings.store_url)
    try:
        known = forgetting.look(engine, account)
        roots, leave = _roots(workspace, settings), _left_alone(settings)
        files = outputs.look(roots, leave, known.traces)
        found = _Found(known, files, settings, workspace.root)
        if not found.places and known.before is None:
            raise _unknown(engine, account)
        kept = None
        if yes:
            if found.places:
                # a file may be found and still not be writable
                found = replace(found, files=outputs.erase(roots, leave, known.traces))
                forgetting.forget(engine, account, who_says(by), clock.run_clock(None, clock.today()))
            kept = forgetting.sweep(engine)
    finally:
        engine.dispose()
    if as_json:
        _say_json(found, kept, erased=yes)
    else:
        _say(found, kept, erased=yes)


def _roots(workspace: Workspace, settings: Settings) -> list[Path]:
    """Return the folders and files this software writes to."""
    roots = [workspace.root / "out", workspace.root / "mlruns", settings.bundles]
    uri = settings.mlflow_tracking_uri
    if uri.startswith(_SQLITE):
        database = Path(uri.removeprefix(_SQLITE))
        roots += [database.parent / "artifacts", database]
    elif _is_local(uri):
        roots.append(Path(uri.removeprefix("file://")))
    return roots


def _left_alone(settings: Settings) -> list[Path]:
    """Return the store's own files and the source tables, which nobody may rewrite as files."""
    leave = [Path(settings.source_url.removeprefix("file://"))]
    if (parsed := make_url(settings.store_url)).get_backend_name() == "sqlite" and parsed.database:
        leave += [Path(parsed.database + end) for end in ("", "-wal", "-shm", "-journal")]
    return leave


def _is_local(uri: str) -> bool:
    return urlsplit(uri).scheme in ("", "file", "sqlite")


def _shown(address: str) -> str:
    """Return an address without user and password."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _unknown(engine: sa.Engine, account: str) -> Exception:
    from lifecycle_ml.store.forgetting import nearest
    from lifecycle_ml.store.said import NoSuchAccountError

    near = nearest(engine, account)
    more = f" The nearest: {', '.join(near)}." if near else ""
    return NoSuchAccountError(
        f"neither the store nor a file under out or mlruns knows an account {account!r}.{more} Nothing was "
        "erased."
    )


def _say_json(found: _Found, kept: str | None, *, erased: bool) -> None:
    before = found.known.before
    say_json(
        {
            "account_id": found.known.traces.account_id,
            "erased": erased,
            "room_given_back": erased and kept is None,
            "places": found.places,
            "out_of_reach": found.out_of_reach,
            "forgotten_before": None if before is None else {"at": f"{before.at:%Y-%m-%d}", "by": before.who},
        }
    )


def _say(found: _Found, kept: str | None, *, erased: bool) -> None:
    traces, places = found.known.traces, found.places
    called = f" ({', '.join(traces.names)})" if traces.names else ""
    if (before := found.known.before) is not None:
        say(f"{traces.account_id} was forgotten on {before.at:%Y-%m-%d} by {before.who}.")
    if places:
        say(f"{'Erased' if erased else 'Would erase'}: {traces.account_id}{called}")
        show_table("", ["place", "what", "count"], _rows(places), right=["count"], whole=["place"])
    else:
        say("Nothing of it has come back to the store or the files beside it.")
    say("")
    say("Out of reach from here:")
    for sentence in found.out_of_reach:
        say(f"- {sentence}.")
    say("")
    if not erased and not places:
        say("With --yes the store gives the room of what was deleted back once more.")
    elif not erased:
        say("Nothing was erased yet. Repeat the command with --yes to erase it for good.")
    elif kept is None:
        say("The store gave back the room of what was deleted.")
    else:
        say(
            f"The rows are deleted, but their bytes may still be in the store's files: {kept}. Repeat the "
            "command when no run is at work."
        )


def _rows(places: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [[each["place"], each["what"], f"{each['count']:,}"] for each in places]
