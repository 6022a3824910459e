"""The effects of playbooks and triggers: draws the store kept, joined with what became of the accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

import pandas as pd

from lifecycle_ml.actions.effects import Case, Effect, Outcome, measure_effect
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.outcomes.labels import label_column
from lifecycle_ml.outcomes.recipe import Recipe
from lifecycle_ml.outcomes.snapshots import label
from lifecycle_ml.store.assigned import Assigned
from lifecycle_ml.tables.source import Tables

OUTCOME_OF: Final[Mapping[str, Outcome]] = {"playbook": "churn", "trigger": "expansion"}
"""What work of each kind is for, and the recipe that says whether it came about."""


def measure_effects(
    assigned: Sequence[Assigned],
    tables: Tables,
    recipes: Mapping[str, Recipe],
    rules: ActionRules,
    data_through: date,
    stated: float | None = None,
) -> list[Effect]:
    """Estimate the effect of every playbook and trigger that somebody was, or could have been, held out of.

    `recipes` by outcome: churn, and expansion where its tables are there. `data_through` is how far the
    outcomes are known. `stated` is the effect to look for, in shares; default what each playbook claims to
    keep. Grain: one per playbook or trigger, by name. Those never drawn for have no effect to tell and are
    left out.
    """
    drawn = [each for each in assigned if each.assignment.share > 0]
    effects = []
    for kind, outcome in OUTCOME_OF.items():
        recipe = recipes.get(outcome)
        mine = [each for each in drawn if each.assignment.kind == kind]
        if recipe is None or not mine:
            continue
        happened = _happened(mine, tables, recipe, data_through)
        cases = [_case(each, known) for each, known in zip(mine, happened, strict=True)]
        for name in sorted({case.playbook for case in cases}):
            plan = rules.playbooks.by_id.get(name)
            effects.append(
                measure_effect(
                    name,
                    (case for case in cases if case.playbook == name),
                    outcome,
                    recipe.label.headline_days,
                    claims=plan.playbook.keeps if plan else None,
                    stated=stated,
                )
            )
    return effects


def worked_on(assigned: Iterable[Assigned], recipe: Recipe) -> pd.DataFrame:
    """Return the interventions for what a recipe predicts: playbooks against churn, triggers for expansion.

    Grain and columns as `interventions`.
    """
    outcome = "churn" if recipe.label.outcome == "churned" else "expansion"
    return interventions(one for one in assigned if OUTCOME_OF.get(one.assignment.kind) == outcome)


def interventions(assigned: Iterable[Assigned]) -> pd.DataFrame:
    """Return who was worked on and who was left alone, as `outcomes.treatment.mark_treated` reads it.

    Grain: one row per account, playbook and episode: account_id, playbook, arm (offered, held_out), at (when
    it was decided), done_at (when the first step was completed, NaT: none was).
    """
    rows = [
        (
            one.assignment.account_id,
            one.assignment.playbook,
            one.assignment.arm,
            one.assignment.at,
            one.done_at,
        )
        for one in assigned
    ]
    frame = pd.DataFrame(rows, columns=["account_id", "playbook", "arm", "at", "done_at"])
    return frame.astype({"at": "datetime64[us]", "done_at": "datetime64[us]"})


def _happened(
    drawn: Sequence[Assigned], tables: Tables, recipe: Recipe, data_through: date
) -> list[bool | None]:
    """Return whether the outcome came about within the headline horizon; None: not known yet."""
    days = [pd.Timestamp(each.assignment.at.date()).as_unit("us") for each in drawn]
    spine = pd.DataFrame({"account_id": [each.assignment.account_id for each in drawn], "as_of": days})
    spine = spine.assign(known_at=spine["as_of"]).drop_duplicates().reset_index(drop=True)
    labels = label(tables, spine, recipe, data_through)
    column = label_column(recipe.label.headline_days)
    known = labels.set_index(["account_id", "as_of"])[column].to_dict()
    found = [known.get((each.assignment.account_id, day)) for each, day in zip(drawn, days, strict=True)]
    return [None if value is None or pd.isna(value) else bool(value) for value in found]


def _case(each: Assigned, happened: bool | None) -> Case:
    one = each.assignment
    return Case(
        account_id=one.account_id,
        playbook=one.playbook,
        day=one.at.toordinal(),
        arm=one.arm,
        share=one.share,
        done=each.became == "done",
        expected=one.expected,
        happened=happened,
    )
