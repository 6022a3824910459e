"""Commands that look without changing anything: check, doctor."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING

from lifecycle_ml.cli.screen import say, say_json
from lifecycle_ml.errors import ConfigError, LifecycleError, UserError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle_ml.settings import Settings
    from lifecycle_ml.tables.findings import Finding
    from lifecycle_ml.workspace import Workspace

PARTS = ("all", "features", "serving", "motion")
"""Parts of `check`; the last one is shown by `cli/loops.py`."""


def check(workspace: Workspace, settings: Settings, part: str, as_of: date, *, as_json: bool) -> None:
    """Say what is wrong. `features` and `serving` check definitions and rules without reading any data.

    Raises: UserError after the findings are shown, where one is an error: exit status 2.
    """
    if part not in PARTS:
        raise ConfigError(f"check {part!r}: there is no such part.{did_you_mean(part, PARTS)}")
    names, unsound = _check_rules(workspace)
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
        rows = f" ({finding.rows:,} rows)" if finding.rows else ""
        say(f"{finding.severity.upper():8}{finding.rule}{rows}")
        say(f"        {finding.advice}")
        if finding.examples:
            say(f"        for example {', '.join(map(str, finding.examples))}")
        if finding.costs.features:
            lost = ", ".join(finding.costs.features)
            say(f"        costs {len(finding.costs.features)} features: {lost}")
        if finding.costs.categories:
            say(f"        cannot be evidenced: {', '.join(finding.costs.categories)}")
    counts = [sum(item.severity == level for item in findings) for level in ("error", "warning", "advice")]
    say("{} errors, {} warnings, {} pieces of advice.".format(*counts))


def _check_rules(workspace: Workspace) -> tuple[int, list[Finding]]:
    from lifecycle_ml.check import check_rules
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.monitor.config import load_monitoring

    features = load_features(workspace)
    load_monitoring(workspace)
    return len(features.names), check_rules(workspace, features)


def doctor(workspace: Workspace, settings: Settings) -> None:
    """Check each thing a run or the service needs. Raises: UserError where one is not in order."""
    from lifecycle_ml.cli.keys import count_keys
    from lifecycle_ml.promotion.training import champion
    from lifecycle_ml.store.store import Store
    from lifecycle_ml.tables.source import survey_tables

    def source() -> str:
        return f"{len(survey_tables(workspace, settings).names)} canonical tables"

    def rules() -> str:
        return f"{_check_rules(workspace)[0]} features, all rules parse"

    def model() -> str:
        serving = champion(settings, "churn")
        if serving is None:
            raise ConfigError("nothing serves yet; run `lifecycle run`.")
        return f"{serving.source}, tier {serving.tier}, {serving.digest[:19]}"

    def store() -> str:
        with closing(Store.open(settings.store_url)) as opened:
            current = opened.current()
        if current is None:
            raise ConfigError("nothing is published yet; run `lifecycle run`.")
        return f"published as of {current.as_of}"

    def keys() -> str:
        if not (count := count_keys(settings)):
            raise ConfigError("no key works; make one with `lifecycle keys create`.")
        return f"{count} keys"

    wrong = 0
    for name, look in (
        ("source", source),
        ("rules", rules),
        ("model", model),
        ("store", store),
        ("keys", keys),
    ):
        try:
            say(f"ok     {name:7} {look()}")
        except LifecycleError as error:
            wrong += 1
            say(f"wrong  {name:7} {error}")
    if wrong:
        raise UserError(f"{wrong} of 5 things are not in order.")
