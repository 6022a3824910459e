"""What retention teaches the company, and the motion it agreed on: `revenue --loops`, `check motion`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.screen import say, say_json, show_table

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from lifecycle_ml.motion.parts import Motion
    from lifecycle_ml.revenue.loops.loop import Column, Loop
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

_SHOWN = 15


def loops(workspace: Workspace, settings: Settings, as_of: date, *, as_json: bool) -> None:
    """Show each feedback loop: its question, what stands out, and the table behind it.

    Raises: TableError where there are no contracts.
    """
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.outcomes.recipe import load_recipe
    from lifecycle_ml.reasons.taxonomy import load_taxonomy
    from lifecycle_ml.revenue.loops.report import feedback_loops
    from lifecycle_ml.tables.source import read_tables

    label = load_recipe(workspace, "churn").label
    taxonomy = load_taxonomy(workspace, load_features(workspace).names)
    decides = {name: taxonomy.named(name).owner_role for name in taxonomy.categories}
    found = feedback_loops(
        read_tables(workspace, settings), as_of, label.grace_days, label.arrival_lag_days, decides=decides
    )
    if as_json:
        say_json({"as_of": as_of.isoformat(), "loops": [loop.to_json() for loop in found]})
        return
    for loop in found:
        _show(loop)
    say(
        "Only differences that chance would hardly make stand out: of all that one table reports, at most "
        "the share it names is expected to be chance (Benjamini-Hochberg). In brackets: 95% intervals."
    )


def _show(loop: Loop) -> None:
    from lifecycle_ml.revenue.loops.loop import NOTHING

    say(f"For {loop.receiver}: {loop.question}")
    if loop.lacks is not None:
        say(f"  {loop.lacks}")
        say("")
        return
    for sentence in loop.findings or [NOTHING]:
        say(f"  {sentence}")
    rows = loop.rows.to_dict("records")
    many = max(_SHOWN, len(loop.findings))
    if rows:
        numbers = [column.heading for column in loop.columns if column.kind != "text"]
        show_table(
            "" if len(rows) <= many else f"{many} of {len(rows)} rows; all of them with --json",
            [*(column.heading for column in loop.columns), "stands out"],
            [
                [*(_cell(row, column) for column in loop.columns), "yes" if row["stands_out"] else ""]
                for row in rows[:many]
            ],
            right=numbers,
        )
    say(f"  {loop.method} At most {loop.false_share:.0%} of what stands out is expected to be chance.")
    say("")


_FORMS = {"count": ",.0f", "rate": ",.1f", "money": ",.0f", "days": ".0f", "ratio": ".2f"}


def _cell(row: dict[Any, Any], column: Column) -> str:
    """Write a figure with its interval; what cannot be told stays empty."""
    value, low, high = (_told(row.get(column.name + end)) for end in ("", "_low", "_high"))
    if value is None or column.kind == "text":
        return "" if value is None else str(value)
    scale, form, unit = (100.0, ".1f", "%") if column.kind == "share" else (1.0, _FORMS[column.kind], "")
    ends = "" if low is None else f" ({scale * low:{form}} to {scale * high:{form}})"
    return f"{scale * value:{form}}{unit}{ends}"


def _told(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def check_motion(workspace: Workspace, html: Path | None, *, as_json: bool) -> None:
    """Say which of the ten parts of the lifecycle motion the workspace defines; write them as a page.

    Reads no data. Raises: UserError as `check serving`, where a rule cannot be; what is missing or
    contradicts is said and is no error.
    """
    from lifecycle_ml.motion.examine import lifecycle_motion
    from lifecycle_ml.motion.page import render

    motion = lifecycle_motion(workspace)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(render(motion), encoding="utf-8")
    if as_json:
        say_json(motion.to_json())
    else:
        _show_motion(motion, html)


def _show_motion(motion: Motion, html: Path | None) -> None:
    from lifecycle_ml.motion.parts import role_in_words

    for part in motion.parts:
        say(f"{part.state:14}{part.title}")
        for line in part.defined:
            say(f"              {line}")
        for line in (*part.contradicts, *part.missing):
            say(f"            ! {line}")
        where = ", ".join(part.where) or "nowhere"
        owner = "nobody" if part.owner is None else f"the {role_in_words(part.owner)}"
        say(f"              owned by {owner}; defined in {where}")
    counts = motion.counts
    say(
        f"{counts['defined']} of {len(motion.parts)} parts are defined, {counts['incomplete']} incomplete, "
        f"{counts['missing']} missing, {counts['contradictory']} contradictory."
    )
    if html is not None:
        say(f"{html}: the motion on one page.")
