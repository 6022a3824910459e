"""The reference pages of triggers, checkpoints and stages, written from the standard workspace.

`python -m lifecycle_ml.actions.reference NAME > docs/reference/NAME.md`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from lifecycle_ml.actions.checkpoints import CHECKPOINTS, Checkpoint
from lifecycle_ml.actions.rulebook import ActionRules
from lifecycle_ml.actions.stages import STAGES, STARTING
from lifecycle_ml.errors import ConfigError, did_you_mean

_WRITTEN = """This page is written from that file
(`python -m lifecycle_ml.actions.reference {page} > docs/reference/{page}.md`).
How it becomes work: [from needs to work](../explanation/actions.md)."""

_TRIGGERS = """# Triggers

Signs that an account could grow, as defined in `serving/triggers.toml`. {written}

*Path* says what a trigger does while the account is green: `task` opens the work shown, `score_only` is
shown beside the expansion score and opens none. A yellow account shows its triggers and opens no task; a red
one has none. A trigger opens no second task within {cool_down} days, and nobody is given more than {budget}
such tasks in any seven days.

Whether accounts that showed a sign grew more often than comparable ones, and which triggers nobody profits
from, says `lifecycle actions --scoreboard`: [does a trigger bring
anything?](../explanation/actions.md#does-a-trigger-bring-anything)"""

_CHECKPOINTS = """# Checkpoints

The way to a renewal, as defined in `serving/renewals.toml`. {written}

The {first}-day checkpoint counts from the renewal date, or lies 30 days before the {second}-day one where
that is earlier. From {second} on they count from the last day on which notice can be given, where there is
one. A term shorter than twice the days has no such checkpoint; evergreen contracts have none.

- Who prepares a renewal: {owners}; where the contract names a renewal owner, that person.
- Larger contracts: {wider}, where the term is at least twice as long.

*Evidence* is what has to be true by then; any one of the things listed shows it. Topics and milestones count
from the day named on, in this term only; a step counts when it is done in this term. Where no table holds
topics (or milestones) nobody can tell, and it is not called missing."""

_DATA = """Whatever of this is true becomes one action (*{title}*, `{role}`) that names it all."""

_STAGES = """# Stages

Where an account stands in its life with us, as defined in `serving/stages.toml`. {written}

An account stays in its stage until the exit is true. Then, and when it is first seen, it takes the first
stage of this page whose entry is true; `adoption` takes everybody else."""

_START = """What must be true before onboarding starts. It is asked in the stages {stages}; what is
not true, and what nobody can tell, stands on the account. No stage rests on it: an onboarding that began
without is seen."""


def describe_triggers(rules: ActionRules) -> str:
    """Return docs/reference/triggers.md: every trigger with condition, role, path, sentence and task."""
    parts = [
        _TRIGGERS.format(
            written=_WRITTEN.format(page="triggers"),
            cool_down=rules.triggers.file.cool_down_days,
            budget=rules.team.budgets.expansion_tasks_a_week,
        )
    ]
    for name, trigger in rules.triggers.by_id.items():
        lines = [f"## {name}", f"{trigger.label}. Owner: `{trigger.owner_role}`. Path: `{trigger.path}`."]
        lines.append(
            _table(
                ("Fires when", "Says"),
                ((f"`{_plain(sign.when)}`", _plain(sign.says)) for sign in trigger.signs),
            )
        )
        if trigger.steps:
            lines.append(f"{trigger.why} Expected to add {trigger.adds:.0%} of the account's ARR.")
            lines.append(
                _table(
                    ("Task", "Owner", "Due after", "Hours"),
                    (
                        (step.title, f"`{step.owner_role}`", f"{step.sla_days} days", f"{step.hours:g}")
                        for step in trigger.steps
                    ),
                )
            )
        parts += lines
    return "\n\n".join(parts) + "\n"


def describe_checkpoints(rules: ActionRules) -> str:
    """Return docs/reference/checkpoints.md: the five checkpoints, who owns them, and what data must say."""
    file = rules.renewals.file
    owners = ", ".join(f"`{level.role}` from {level.arr_from:,.0f} ARR" for level in file.owners)
    wider = ", ".join(
        f"{level.times:g} times as early from {level.arr_from:,.0f} ARR" for level in file.wider
    )
    parts = [
        _CHECKPOINTS.format(
            written=_WRITTEN.format(page="checkpoints"),
            first=CHECKPOINTS[0],
            second=CHECKPOINTS[1],
            owners=owners,
            wider=wider or "no earlier",
        )
    ]
    for days in CHECKPOINTS:
        checkpoint = file.checkpoints[str(days)]
        parts += [
            f"## {days} days",
            f"{checkpoint.title}.",
            _table(
                ("Step", "Owner", "Due after", "Hours", "Told after another"),
                (
                    (
                        step.title,
                        f"`{step.owner_role}`" if step.owner_role else "who prepares the renewal",
                        f"{step.sla_days} days",
                        f"{step.hours:g}",
                        f"{step.escalates_after_days} days",
                    )
                    for step in checkpoint.steps
                ),
            ),
        ]
        if checkpoint.evidence:
            parts.append(_evidence_table(checkpoint))
    parts += [
        "## Renewal data",
        _DATA.format(title=file.data.step.title, role=file.data.step.owner_role),
        _table(
            ("Problem", "When", "Says"),
            (
                (f"`{name}`", f"`{_plain(problem.when)}`", problem.says)
                for name, problem in file.data.problems.items()
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _evidence_table(checkpoint: Checkpoint) -> str:
    titles = {step.id: step.title for step in checkpoint.steps}
    return _table(
        ("Evidence", "Is there when", "Counted from"),
        (
            (
                f"{evidence.label} (`{evidence.id}`)",
                "; or ".join(
                    [
                        *(f"a touchpoint has the topic `{topic}`" for topic in evidence.topics),
                        *(f"the milestone `{milestone}` was reached" for milestone in evidence.milestones),
                        *([f"the step was done: {titles[evidence.step]}"] if evidence.step else []),
                    ]
                ),
                f"{evidence.within_days} days before the checkpoint",
            )
            for evidence in checkpoint.evidence
        ),
    )


def describe_stages(rules: ActionRules) -> str:
    """Return docs/reference/stages.md: every stage with entry, exit and tasks."""
    parts = [_STAGES.format(written=_WRITTEN.format(page="stages"))]
    for name in STAGES:
        stage = rules.stages.file.stages[name]
        parts += [
            f"## {name}",
            f"{stage.label}.",
            f"- enters: `{_plain(stage.enters)}`\n- leaves: `{_plain(stage.exits)}`",
        ]
        if stage.tasks:
            parts.append(
                _table(
                    ("Task", "When", "Step", "Owner", "Due after"),
                    (
                        (
                            f"`{task}`",
                            f"`{_plain(entry.when)}`",
                            step.title,
                            f"`{step.owner_role}`",
                            f"{step.sla_days} days",
                        )
                        for task, entry in stage.tasks.items()
                        for step in entry.steps
                    ),
                )
            )
    parts += [
        "## Onboarding start",
        _START.format(stages=" and ".join(f"`{name}`" for name in STARTING)),
        _table(
            ("Criterion", "Is met when", "Says where it is not"),
            (
                (f"{criterion.label} (`{name}`)", f"`{_plain(criterion.when)}`", criterion.lacks)
                for name, criterion in rules.stages.file.onboarding_start.items()
            ),
        ),
    ]
    return "\n\n".join(parts) + "\n"


PAGES: Final[dict[str, Callable[[ActionRules], str]]] = {
    "triggers": describe_triggers,
    "checkpoints": describe_checkpoints,
    "stages": describe_stages,
}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    import sys

    from lifecycle_ml.actions.rulebook import load_action_rules
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.workspace import load_workspace

    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PAGES:
        raise ConfigError(f"no page {name!r}.{did_you_mean(name, PAGES)}")
    workspace = load_workspace()
    sys.stdout.write(PAGES[name](load_action_rules(workspace, load_features(workspace).names)))
