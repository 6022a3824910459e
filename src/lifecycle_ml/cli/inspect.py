"""Commands that look without changing anything: check, doctor."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from lifecycle_ml.cli.screen import say, say_json
from lifecycle_ml.errors import ConfigError, UserError, counted, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle_ml.settings import Settings
    from lifecycle_ml.tables.findings import Finding
    from lifecycle_ml.workspace import Workspace

PARTS = ("all", "features", "serving", "motion")
"""Parts of `check`; the last one is shown by `cli/loops.py`."""
NAMED = 8
"""Features a finding names before it counts the rest."""


def check(workspace: Workspace, settings: Settings, part: str, as_of: date, *, as_json: bool) -> None:
    """Say what is wrong. `features` and `serving` check definitions and rules without reading any data.

    Raises: UserError after the findings are shown, where one is an error: exit status 2.
    """
    if part not in PARTS:
        raise ConfigError(f"check {part!r}: there is no such part.{did_you_mean(part, PARTS)}")
    names, unsound = check_rules_of(workspace)
    if part != "all":
        found = unsound if part == "serving" else []
        if as_json:
            say_json({"ok": True, "findings": [finding.to_json() for finding in found]})
        elif found:
            _show(found)
        else:
            say(f"{part}: {names} features and all rules of serving/ are in order.")
        return
    from lifecycle_ml.check import check as check_workspace

    report = check_workspace(workspace, settings, as_of)
    if as_json:
        say_json(report.to_json())
    elif not report.findings:
        say(f"The tables as of {as_of} keep the data contract.")
    else:
        _show(report.findings)
    if not report.ok:
        raise UserError("the tables break the data contract; nothing can be run on them.")


def _show(findings: Sequence[Finding]) -> None:
    for finding in findings:
        rows = f" ({counted(finding.rows, 'row')})" if finding.rows else ""
        say(f"{finding.severity.upper():8}{finding.rule}{rows}")
        say(f"        {finding.advice}")
        if finding.examples:
            say(f"        for example {', '.join(map(str, finding.examples))}")
        if finding.costs.features:
            lost = finding.costs.features
            more = f" and {len(lost) - NAMED} more; --json names all" if len(lost) > NAMED else ""
            say(f"        costs {counted(len(lost), 'feature')}: {', '.join(lost[:NAMED])}{more}")
        if finding.costs.categories:
            say(f"        cannot be evidenced: {', '.join(finding.costs.categories)}")
    counts = [sum(item.severity == level for item in findings) for level in ("error", "warning", "advice")]
    errors, warnings, advice = counts
    pieces = f"{counted(advice, 'piece')} of advice"
    say(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}, {pieces}.")


def check_rules_of(workspace: Workspace) -> tuple[int, list[Finding]]:
    """Return how many features there are and what is unsound in the rules. Raises: UserError."""
    from lifecycle_ml.check import check_rules
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.monitor.config import load_monitoring

    features = load_features(workspace)
    load_monitoring(workspace)
    return len(features.names), check_rules(workspace, features)
