"""The command that hands the queue to other systems: actions --format."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Final

from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle_ml.actions.next_hour import NextHour
    from lifecycle_ml.settings import Settings

FORMATS: Final = ("csv", "json")
MOST: Final = 10
"""People and roles shown with what one more hour would bring them."""


def write_queue(settings: Settings, owner: str | None, form: str) -> None:
    """Write every action that has not ended to the output, as CSV or as a JSON list of flat objects.

    Raises: ConfigError for another format, or where nothing is published.
    """
    from lifecycle_ml.store.export import QUEUE_COLUMNS, csv_lines, queue_rows
    from lifecycle_ml.store.store import Store

    if form not in FORMATS:
        raise ConfigError(f"--format {form!r} is not one.{did_you_mean(form, FORMATS)}")
    with closing(Store.open(settings.store_url)) as store:
        if store.current() is None:
            raise ConfigError("nothing is published; run `lifecycle run` first.")
        rows = queue_rows(store, owner)
        if form == "json":
            say_json(list(rows))
        else:
            sys.stdout.writelines(csv_lines(QUEUE_COLUMNS, rows))


def show_next_hours(beyond: Sequence[NextHour]) -> None:
    """Show what one more hour would bring to those with more work than hours; nothing where nobody has."""
    if not beyond:
        return
    show_table(
        "Over capacity: what one more hour would bring",
        ["role", "owner", "over capacity", "hours", "ARR kept by the next hour", "now with"],
        [
            [
                each.owner_role,
                each.owner or "anybody",
                each.actions,
                f"{each.hours:,.1f}",
                f"{each.arr_kept:,.0f}",
                each.lead,
            ]
            for each in beyond[:MOST]
        ],
        right=["over capacity", "hours", "ARR kept by the next hour"],
    )
    if len(beyond) > MOST:
        say(f"{len(beyond) - MOST} more; `lifecycle actions --json` has them all.")
