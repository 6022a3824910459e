"""The command that changes what serves: promote, and roll back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lifecycle_ml.cli.screen import progress_bars, say, say_json, show_table
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from lifecycle_ml.models.evaluation import Interval
    from lifecycle_ml.promotion.comparison import Comparison
    from lifecycle_ml.promotion.promote import Promotion
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

FIGURES = {
    "average_precision": "average precision (decides)",
    "auroc": "AUROC",
    "log_loss": "log loss (less is better)",
}


def promote(
    workspace: Workspace,
    settings: Settings,
    recipe: str,
    version: str | None,
    *,
    back: bool,
    as_json: bool,
) -> None:
    """Let a challenger serve if it earned that, or go back to what served before; show what was decided.

    Raises: ConfigError where a version is named although the one before is what --rollback means.
    """
    from lifecycle_ml.promotion import promote as promotion
    from lifecycle_ml.tables.source import read_tables

    if back and version is not None:
        raise ConfigError("--rollback goes back to what served before; leave out --version, or --rollback.")
    if back:
        decided = promotion.rollback(workspace, settings, recipe)
    else:
        with progress_bars() as progress:
            decided = promotion.promote(
                workspace,
                settings,
                recipe,
                lambda: read_tables(workspace, settings),
                version=version,
                progress=progress,
            )
    if as_json:
        say_json(decided.to_json())
    else:
        show_promotion(decided)


def show_promotion(decided: Promotion) -> None:
    """Show what was compared, what was decided and why, and how to go on."""
    if decided.comparison is not None:
        _show_comparison(decided, decided.comparison)
    say(decided.says)
    for note in decided.notes:
        say(note)
    recipe, serves, challenger = decided.recipe, decided.serves, decided.challenger
    if decided.refusals:
        going_on = "nothing serves" if serves is None else f"{serves.called} goes on serving"
        say(f"{challenger.called.capitalize() if challenger else 'It'} is not promoted; {going_on}:")
        for refusal in decided.refusals:
            say(f"  {refusal.rule}: saw {refusal.saw}; needs {refusal.needs}")
        return
    assert serves is not None
    before = (
        "" if decided.champion is None else f"; until then readers see what {decided.champion.called} said"
    )
    say(f"{serves.called.capitalize()} serves from the next publication on (`lifecycle run`){before}.")
    if decided.champion is not None:
        again = " again" if decided.decided_by == "rollback" else ""
        say(f"Back{again} with `lifecycle promote {recipe} --rollback`.")


def _show_comparison(decided: Promotion, seen: Comparison) -> None:
    assert decided.champion is not None
    assert decided.challenger is not None
    for name, side in (("Champion", decided.champion), ("Challenger", decided.challenger)):
        say(f"{name}: {side.called}, trained on data through {side.data_through}.")
    say(f"Compared on {_rows(seen)}.")
    show_table(
        f"{decided.recipe}: same rows, {seen.horizon_days} days ahead, with 95% intervals by account",
        ["", "champion", "challenger", "difference"],
        [
            [
                label,
                _interval(seen.champion[name]),
                _interval(seen.challenger[name]),
                _interval(seen.difference[name], sign="+"),
            ]
            for name, label in FIGURES.items()
        ],
    )


def _rows(seen: Comparison) -> str:
    size = f"{seen.rows:,} rows of {seen.accounts:,} accounts, {seen.outcomes:,} of them with the outcome"
    when = f"{len(seen.dates)} dates from {seen.dates[0]} to {seen.dates[-1]}"
    if seen.kind == "procedures":
        return (
            f"{size}, at {when}: the champion's recipe was trained again at each of the challenger's "
            "cut-offs, so this compares the two ways of training, not the champion as it serves"
        )
    how = []
    if seen.scored:
        how.append(f"{seen.scored:,} scored by the champion, at dates after its training")
    if seen.recorded:
        how.append(f"{seen.recorded:,} predicted out of time in both trainings")
    return f"{size}, at {when}: {' and '.join(how)}"


def _interval(figure: Interval, sign: str = "") -> str:
    if math.isnan(figure.value):
        return f"unknown ({figure.reason})"
    return f"{figure.value:{sign}.3f} [{figure.low:{sign}.3f}, {figure.high:{sign}.3f}]"
