"""The command that hands the queue to other systems: actions --format."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Final

from lifecycle_ml.cli.screen import say_json
from lifecycle_ml.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from lifecycle_ml.settings import Settings

FORMATS: Final = ("csv", "json")


def write_queue(settings: Settings, owner: str | None, form: str) -> None:
    """Write every action that has not ended to the output, as CSV or as a JSON list of flat objects.

    Raises: ConfigError for another format, or where nothing is published.
    """
    from lifecycle_ml.store.export import QUEUE_COLUMNS, csv_lines, queue_rows
    from lifecycle_ml.store.store import Store

    if form not in FORMATS:
        raise ConfigError(f"--format {form!r}: write csv or json.{did_you_mean(form, FORMATS)}")
    with closing(Store.open(settings.store_url)) as store:
        if store.current() is None:
            raise ConfigError("nothing is published; run `lifecycle run` first.")
        rows = queue_rows(store, owner)
        if form == "json":
            say_json(list(rows))
        else:
            sys.stdout.writelines(csv_lines(QUEUE_COLUMNS, rows))
