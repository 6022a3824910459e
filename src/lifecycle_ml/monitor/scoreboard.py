"""What followed when a trigger fired: its tasks, and growth, ARR and leaving beside comparable accounts.

Triggers are held against the past as it was known then, so the scoreboard reaches back before the product was
first run. What followed is no effect: accounts that show a sign differ from those that do not. An effect
takes a hold-out (`lifecycle actions --effects`); a trigger after which accounts grow no more often than
others of their kind brings nobody anything, whatever it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from lifecycle_ml.actions.triggers import PREFIX, Trigger, Triggers, see
from lifecycle_ml.conditions.evaluate import evaluate
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.spine import customers
from lifecycle_ml.monitor.compared import Compared, compare
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.outcomes.snapshots import history_start, label
from lifecycle_ml.store.assigned import Assigned
from lifecycle_ml.tables.clock import cut
from lifecycle_ml.tables.source import Tables

STEP: Final = timedelta(days=28)
DATES: Final = 26
"""The triggers are held against this many dates at most, a step apart: two years."""
SIZES: Final = 3
"""Bands of ARR, of equal numbers of snapshots, within which accounts are comparable."""
ENOUGH: Final = 30
"""Accounts with a settled outcome from which anything is said."""
WORTH_SAYING: Final = 0.02
"""Where fewer accounts than this share more grew, with 95% confidence, nobody profits from a trigger."""

Verdict = Literal["growth_follows", "nobody_profits", "cannot_be_told", "not_enough_history"]
Colors = Mapping[date, Mapping[str, str]]
"""The colours of accounts by the as_of of publications."""


@dataclass(frozen=True)
class Tasks:
    """What became of the times a trigger fired while the product ran.

    seen: times a publication stood beside it; red and yellow: no task, for the account's colour; no_room: a
    task was called for and none was opened, for want of hours or budget. opened, held_out and worked count
    tasks: opened for somebody, left alone on purpose, and done.
    """

    seen: int
    red: int
    yellow: int
    no_room: int
    opened: int
    held_out: int
    worked: int


@dataclass(frozen=True)
class Score:
    """One trigger. `fired` counts firings a cool-down apart, None where its signs cannot be told.

    grew, arr and left compare what followed within the horizon: shares that grew, the relative change of ARR
    (a leaver's is -1), and shares that left.
    """

    trigger: str
    label: str
    horizon_days: int
    fired: int | None
    tasks: Tasks
    grew: Compared | None
    arr: Compared | None
    left: Compared | None
    verdict: Verdict
    says: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `actions --scoreboard --json`."""
        return asdict(self)


def check_dates(tables: Tables, as_of: date, warmup_days: int) -> list[date]:
    """Return the dates triggers are held against, oldest first; the last is `as_of`."""
    begins = history_start(tables)
    if begins is None:
        return [as_of]
    oldest = begins + timedelta(days=warmup_days)
    days = [as_of - STEP * back for back in range(DATES)]
    return [day for day in reversed(days) if day >= oldest or day == as_of]


def score_triggers(
    tables: Tables,
    features: FeatureSet,
    triggers: Triggers,
    recipe: Recipe,
    segments: Mapping[str, str],
    assigned: Iterable[Assigned],
    colors: Colors,
    as_of: date,
) -> list[Score]:
    """Score every trigger by what was known at `as_of`; grain: one per trigger, in the order of the file.

    `recipe` is that of expansion; `segments` each account's segment as of today; `colors` those of the
    publications beside the dates looked at.
    """
    spine = customers(tables, check_dates(tables, as_of, recipe.snapshots.warmup_days))
    columns = {column for condition in triggers.conditions.values() for column in condition.columns}
    known = features.available(tables)
    matrix = build_matrix(tables, known.select([name for name in known.names if name in columns]), spine)
    # Each past date sees the versions of its own time; what came of it is told by those of today.
    told = label(cut(tables, as_of), spine, recipe, as_of)
    happened = matrix[["account_id", "as_of"]].merge(told, on=["account_id", "as_of"], how="left")
    firings = find_firings(matrix, triggers)
    mine = [each for each in assigned if each.assignment.at.date() < as_of]
    return [
        _score(
            name,
            trigger,
            firings.get(name),
            happened,
            recipe,
            segments,
            mine,
            colors,
            triggers.cool_down,
            as_of,
        )
        for name, trigger in triggers.by_id.items()
    ]


def find_firings(matrix: pd.DataFrame, triggers: Triggers) -> dict[str, pd.DataFrame]:
    """Return by trigger, for every row of `matrix`, whether it `fired` and whether it is `quiet` there.

    A firing counts where none did within the cool-down before it; quiet is a row that shows no sign and lies
    in no cool-down. Triggers whose signs the matrix cannot feed are left out.
    """
    seeable = triggers.seeable(matrix.columns)
    table = matrix.assign(health="green")
    answers = evaluate(seeable, table)
    true = {str(key): answers[key].to_numpy(dtype=bool, na_value=False) for key in answers}
    seen = see(table, triggers, true)
    days = (matrix["as_of"] - pd.Timestamp(0)).dt.days.to_numpy()
    accounts = matrix["account_id"].tolist()
    order = np.lexsort((days, np.asarray(accounts, dtype=object).astype(str))).tolist()
    found = {}
    for name, first in seen.first.items():
        if not any(key.rpartition(".")[0] == name for key in seeable):
            continue
        shows = first >= 0
        fired, quiet = np.zeros(len(matrix), dtype=bool), np.zeros(len(matrix), dtype=bool)
        last: dict[str, int] = {}
        for at in order:
            account = accounts[at]
            cooling = account in last and days[at] < last[account] + triggers.cool_down.days
            fired[at] = shows[at] and not cooling
            quiet[at] = not shows[at] and not cooling
            if fired[at]:
                last[account] = int(days[at])
        found[name] = pd.DataFrame({"fired": fired, "quiet": quiet})
    return found


def _score(
    name: str,
    trigger: Trigger,
    firings: pd.DataFrame | None,
    happened: pd.DataFrame,
    recipe: Recipe,
    segments: Mapping[str, str],
    assigned: Sequence[Assigned],
    colors: Colors,
    cool_down: timedelta,
    as_of: date,
) -> Score:
    horizon = recipe.label.headline_days
    own = [each for each in assigned if each.assignment.playbook == f"{PREFIX}{name}"]
    if firings is None:
        tasks = tasks_of(trigger, [], own, colors, cool_down, as_of)
        says = "Its signs cannot be told from the tables there are."
        return Score(name, trigger.label, horizon, None, tasks, None, None, None, "not_enough_history", says)
    fired = happened[firings["fired"].to_numpy()]
    times = [
        (str(account), day.date()) for account, day in zip(fired["account_id"], fired["as_of"], strict=True)
    ]
    rows = happened.assign(fired=firings["fired"].to_numpy())[firings.any(axis=1).to_numpy()]
    strata = pd.DataFrame(
        {
            "as_of": rows["as_of"],
            "segment": rows["account_id"].map(segments).fillna(""),
            "size": pd.qcut(rows["arr"].rank(method="first"), SIZES, labels=False)
            if len(rows) >= SIZES
            else 0,
        }
    )
    grown = rows[label_column(horizon)]
    left = (rows["outcome"] == "churned").astype("float64").where(grown.notna())
    change = (rows["arr_after"] / rows["arr"].where(rows["arr"] > 0) - 1).where(grown.notna())
    grew, arr, gone = (
        compare(outcome, rows["fired"], strata, rows["account_id"]) for outcome in (grown, change, left)
    )
    verdict = _verdict(grew)
    return Score(
        trigger=name,
        label=trigger.label,
        horizon_days=horizon,
        fired=len(times),
        tasks=tasks_of(trigger, times, own, colors, cool_down, as_of),
        grew=grew,
        arr=arr,
        left=gone,
        verdict=verdict,
        says=_says(verdict, grew, horizon),
    )


def tasks_of(
    trigger: Trigger,
    times: Sequence[tuple[str, date]],
    own: Sequence[Assigned],
    colors: Colors,
    cool_down: timedelta,
    as_of: date,
) -> Tasks:
    """Return what became of the times a trigger fired, given its own assignments.

    A firing is answered by a task opened less than a cool-down before it or a step after it.
    """
    given: dict[str, list[date]] = {}
    for each in own:
        given.setdefault(each.assignment.account_id, []).append(each.assignment.at.date())
    published = sorted(colors)
    counts = {"red": 0, "yellow": 0, "green": 0}
    no_room = 0
    for account, day in times:
        beside = [each for each in published if day - STEP < each <= day]
        color = colors[beside[-1]].get(account) if beside else None
        if color is None:
            continue
        counts[color] += 1
        answered = any(day - cool_down < at < day + STEP for at in given.get(account, ()))
        # What was called for in the last weeks may still be opened.
        settled = day + STEP <= as_of
        no_room += color == "green" and trigger.path == "task" and settled and not answered
    return Tasks(
        seen=sum(counts.values()),
        red=counts["red"],
        yellow=counts["yellow"],
        no_room=no_room,
        opened=sum(each.assignment.arm == "offered" for each in own),
        held_out=sum(each.assignment.arm == "held_out" for each in own),
        worked=sum(each.done_at is not None and each.done_at.date() < as_of for each in own),
    )


def _verdict(grew: Compared | None) -> Verdict:
    if grew is None or grew.accounts < ENOUGH:
        return "not_enough_history"
    if grew.difference.low > 0:
        return "growth_follows"
    return "nobody_profits" if grew.difference.high < WORTH_SAYING else "cannot_be_told"


def _says(verdict: Verdict, grew: Compared | None, horizon: int) -> str:
    if verdict == "not_enough_history" or grew is None:
        had = 0 if grew is None else grew.accounts
        return f"Not enough history: what followed is settled for {had} accounts, and it takes {ENOUGH}."
    told = grew.difference
    followed = (
        f"{_hundred(grew.mean)} of 100 accounts grew within {horizon} days after it fired, and "
        f"{_hundred(grew.other_mean)} of 100 comparable ones ({_more(told.value)}; 95% interval "
        f"{_more(told.low)} to {_more(told.high)})."
    )
    begins = {
        "growth_follows": "Growth follows",
        "nobody_profits": "Nobody profits from it",
        "cannot_be_told": "Cannot be told from chance yet",
    }
    return f"{begins[verdict]}: {followed}"


def _hundred(share: float) -> str:
    return f"{100 * share:.1f}"


def _more(share: float) -> str:
    return f"{abs(100 * share):.1f} {'more' if share >= 0 else 'fewer'}"
