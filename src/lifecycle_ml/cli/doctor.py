"""Whether a workspace is fit for tonight's run and today's questions: one line each, with what to do."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from lifecycle_ml.cli.screen import say, say_json
from lifecycle_ml.errors import ConfigError, LifecycleError, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.rows import Publication
    from lifecycle_ml.workspace import Workspace

FRESH: Final = timedelta(hours=26)
"""A nightly run and what it may be late."""
AHEAD: Final = timedelta(minutes=5)
"""How far clocks may lie apart before a publication seems to come from the future."""
IN_DAYS: Final = 72
"""Hours from which an age is said in days."""
LEAST_ROOM: Final = 2_000_000_000
"""Bytes; a night's readings, a training and what DuckDB puts aside."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `exit_code` is 0 where it is in order, 2 where a person can mend it, else 1."""

    name: str
    says: str
    exit_code: int = 0


def doctor(workspace: Workspace, settings: Settings, *, as_json: bool) -> int:
    """Look at everything and say it; return 0 in order, 2 where a person can mend it, 1 for a fault."""
    now = datetime.now(UTC).replace(tzinfo=None)
    found = [_look(name, one) for name, one in _checks(workspace, settings, now).items()]
    wrong = [each for each in found if each.exit_code]
    if as_json:
        say_json({"ok": not wrong, "checks": [asdict(each) for each in found]})
    else:
        for each in found:
            say(f"{'wrong' if each.exit_code else 'ok':6} {each.name:11} {each.says}")
        if wrong:
            say(f"{len(wrong)} of {len(found)} things are not in order.")
    codes = {each.exit_code for each in wrong}
    return 1 if 1 in codes else max(codes, default=0)


def _look(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, check())
    except LifecycleError as error:
        return Finding(name, str(error), error.exit_code)


def _checks(workspace: Workspace, settings: Settings, now: datetime) -> dict[str, Callable[[], str]]:
    return {
        "source": lambda: _source(workspace, settings),
        "rules": lambda: _rules(workspace),
        "model": lambda: _model(settings),
        "store": lambda: _store(settings),
        "publication": lambda: _publication(_current(settings), now),
        "keys": lambda: _keys(settings),
        "disk": lambda: _disk(settings),
    }


def _source(workspace: Workspace, settings: Settings) -> str:
    from lifecycle_ml.tables.source import survey_tables

    return f"{len(survey_tables(workspace, settings).names)} canonical tables can be read"


def _rules(workspace: Workspace) -> str:
    from lifecycle_ml.cli.inspect import check_rules_of

    return f"{check_rules_of(workspace)[0]} features, all rules parse"


def _model(settings: Settings) -> str:
    from lifecycle_ml.promotion.training import champion

    serving = champion(settings, "churn")
    if serving is None:
        raise ConfigError("nothing serves yet; run `lifecycle run`.")
    return f"loads: {serving.source}, tier {serving.tier}, {serving.digest[:19]}"


def _store(settings: Settings) -> str:
    from lifecycle_ml.store.revisions import REVISION
    from lifecycle_ml.store.store import Store

    with closing(Store.open(settings.store_url)) as opened:
        opened.ping()
    return f"answers, at revision {REVISION}"


def _current(settings: Settings) -> Publication | None:
    from lifecycle_ml.store.store import Store

    with closing(Store.open(settings.store_url)) as opened:
        return opened.current()


def _publication(current: Publication | None, now: datetime) -> str:
    if current is None:
        raise ConfigError("nothing is published yet; run `lifecycle run`.")
    age = now - current.now
    if age < -AHEAD:
        raise ConfigError(
            f"made at {current.now:%Y-%m-%d %H:%M}Z, which this machine's clock has not reached: set the "
            "clock (UTC), or leave out --now where it was given."
        )
    hours = max(age.total_seconds() / 3600, 0)
    ago = counted(round(hours), "hour") if hours < IN_DAYS else counted(round(hours / 24), "day")
    if age > FRESH:
        raise ConfigError(
            f"as of {current.as_of}, made {ago} ago: the nightly run did not come. Run "
            "`lifecycle run` and read what it says."
        )
    return f"as of {current.as_of}, made {ago} ago"


def _keys(settings: Settings) -> str:
    from lifecycle_ml.cli.keys import count_keys

    if not (count := count_keys(settings)):
        raise ConfigError("no key works; make one with `lifecycle keys create`.")
    return f"{count} work"


def _disk(settings: Settings) -> str:
    folder = next(each for each in (settings.bundles, *settings.bundles.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    if free < LEAST_ROOM:
        raise ConfigError(
            f"{free / 1e9:.1f} GB are free where models are kept, of {LEAST_ROOM / 1e9:.0f} GB a run may "
            "need: make room, for example with `lifecycle store prune`."
        )
    return f"{free / 1e9:,.0f} GB are free where models are kept"
