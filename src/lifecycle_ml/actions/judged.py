"""Every rule over the scored table in one query, and Python only for the accounts a rule is true for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import judge
from lifecycle_ml.actions.triggers import Seen, see

Truth = bool | None


@dataclass(frozen=True)
class Judged:
    """What the rules say of the rows of the scored table, by their place in it.

    `wrong` are rows with a problem of renewal data; `asked` holds for each stage task the rows in its stage
    and whether its condition holds there (None: cannot be told); `seen` the triggers.
    """

    says: Sequence[str]
    problems: npt.NDArray[np.bool_]
    wrong: Sequence[int]
    asked: Mapping[str, tuple[Sequence[int], Sequence[Truth]]]
    seen: Seen

    @property
    def called(self) -> set[int]:
        """The rows that a rule of renewal data, a stage task or a trigger's task calls work for."""
        tasks = (
            at
            for places, holds in self.asked.values()
            for at, true in zip(places, holds, strict=True)
            if true
        )
        return {*self.wrong, *tasks, *(at for at, _ in self.seen.tasks)}

    def problems_of(self, at: int) -> list[str]:
        """Return what is wrong with the renewal data of one row, in words."""
        return [said for said, holds in zip(self.says, self.problems[at], strict=True) if holds]


def judge_all(scored: pd.DataFrame, rules: ActionRules) -> Judged:
    """Judge the scored table (colour and stage included) by every rule that calls for work.

    Columns it lacks count as empty, but for triggers: a sign whose features are lacking is left out.
    """
    triggers, tasks, problems = rules.triggers, rules.stages.tasks, rules.renewals.conditions
    answers = judge(
        scored,
        {
            **{f"problem {name}": condition for name, condition in problems.items()},
            **{f"task {name}": rules.stages.condition_of(name) for name in tasks},
            **{f"sign {key}": condition for key, condition in triggers.seeable(scored.columns).items()},
        },
    )

    def true(key: str) -> npt.NDArray[np.bool_]:
        return answers[key].to_numpy(dtype=bool, na_value=False)

    named = [true(f"problem {name}") for name in problems]
    wrong = np.column_stack(named) if named else np.zeros((len(scored), 0), dtype=bool)
    return Judged(
        says=[problem.says for problem in rules.renewals.file.data.problems.values()],
        problems=wrong,
        wrong=np.flatnonzero(wrong.any(axis=1)).tolist(),
        asked={
            name: _in_stage(scored["stage"] == stage, answers[f"task {name}"])
            for name, (stage, _) in tasks.items()
        },
        seen=see(scored, triggers, {key: true(f"sign {key}") for key in triggers.seeable(scored.columns)}),
    )


def _in_stage(here: pd.Series, holds: pd.Series) -> tuple[list[int], list[Truth]]:
    places = np.flatnonzero(here.to_numpy(dtype=bool, na_value=False))
    if not len(places):
        return [], []
    told = holds.iloc[places]
    known: list[Truth] = told.astype(object).where(told.notna(), None).tolist()
    return places.tolist(), known
