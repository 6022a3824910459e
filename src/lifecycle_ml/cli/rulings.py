"""`lifecycle actions --explain`: every rule and one account, in sentences."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from lifecycle_ml.actions.rulings import KINDS
from lifecycle_ml.cli import clock
from lifecycle_ml.cli.screen import say, say_json
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from lifecycle_ml.actions.rulings import Ruling
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

FIRED = {True: "fired", False: "not", None: "cannot tell"}
HOLDS = {True: "holds", False: "fails", None: "cannot be told"}


def explain_rules(
    workspace: Workspace, settings: Settings, account: str, as_of: date | None, *, as_json: bool
) -> None:
    """Show which rules fired for an account as of a date, default that of the publication readers see."""
    from lifecycle_ml.rulings import rulings_on

    if as_of is None:
        with closing(Store.open(settings.store_url)) as store:
            latest = store.current()
        if latest is None:
            raise ConfigError("nothing is published; run `lifecycle run` first.")
        as_of = latest.as_of
    found = rulings_on(workspace, settings, account, as_of, clock.run_clock(None, as_of))
    if as_json:
        rules = [ruling.to_json() for ruling in found]
        say_json({"account_id": account, "as_of": as_of.isoformat(), "rules": rules})
    else:
        _tell(account, as_of, found)


def _tell(account: str, as_of: date, found: Sequence[Ruling]) -> None:
    say(f"Rules for {account} as of {as_of}")
    for kind, title in KINDS.items():
        rulings = [ruling for ruling in found if ruling.kind == kind]
        if not rulings:
            continue
        say("")
        say(title)
        for ruling in rulings:
            say(f"  {FIRED[ruling.fired]:<12}{ruling.rule}: {ruling.says}")
            for part in ruling.parts:
                say(f"              {HOLDS[part.holds]}: {part.needs} ({part.now})")
            for reason in ruling.held:
                say(f"              held back: {reason}")
