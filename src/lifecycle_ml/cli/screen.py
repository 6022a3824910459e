"""What the terminal shows: sentences and tables on stdout, progress on stderr."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.progress import TaskID

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True)


def say(sentence: str) -> None:
    """Print one line as it is."""
    _out.print(sentence, markup=False)


def say_json(document: Any) -> None:
    """Print a JSON document and nothing else."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))  # noqa: T201


def show_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print a table; columns named in `right` hold numbers, those in `whole` are never broken into lines.

    Into a file or pipe it is 150 wide, or as wide as COLUMNS says.
    """
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*[Text("" if cell is None else str(cell)) for cell in row])
    told = os.environ.get("COLUMNS", "").isdigit()
    console = _out if _out.is_terminal else Console(width=None if told else 150, highlight=False)
    console.print(table)


def is_narrow() -> bool:
    """Tell whether a person looks at a terminal in which many columns would be broken into pieces."""
    return _out.is_terminal and _out.width < 130


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield `progress(step, done, total)`: one bar a step on stderr, gone from pipes and files."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=_err,
    )
    steps: dict[str, TaskID] = {}

    def progress(step: str, done: int, total: int) -> None:
        if step not in steps:
            steps[step] = bars.add_task(step, total=total)
        bars.update(steps[step], completed=done, total=total)

    with bars:
        yield progress
