"""Why an account's risk moved since an earlier reading, as sentences and as a table that adds up."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.store.between import REMEMBERED, NoSuchReadingError, choose_pair
from lifecycle_ml.store.store import Store

if TYPE_CHECKING:
    from datetime import date

    from lifecycle_ml.settings import Settings
    from lifecycle_ml.workspace import Workspace

LISTED = 8
"""Features with a line of their own; the others are one line together."""
STEPS = {
    "late_data": "Data that arrived late",
    "model": "A new model",
    "calibration": "A new calibration",
    "rewritten": "Rewritten since, cannot be traced",
}


def explain_move(
    workspace: Workspace, settings: Settings, account: str, since: date, until: date | None, *, as_json: bool
) -> None:
    """Say why the risk moved since a day. Raises: ConfigError where there are no two readings."""
    from lifecycle_ml.movement import explain_move as explained

    with closing(Store.open(settings.store_url)) as store:
        past = store.history(account, REMEMBERED)
    if not past:
        raise ConfigError(f"account {account!r} has no reading; `lifecycle run` publishes readings.")
    try:
        pair = choose_pair(account, past, since, until, nearest=True)
    except NoSuchReadingError as error:
        dates = ", ".join(str(day) for day in error.dates) or "none"
        option = {"from": "--since", "to": "--as-of"}[error.parameter]
        raise ConfigError(f"{option}: {error} Readings nearby: {dates}.") from error
    if pair is None:
        raise ConfigError(f"account {account!r} has one reading only, as of {past[0].publication.as_of}.")
    document = explained(workspace, settings, pair)
    if as_json:
        say_json(document)
    else:
        _tell(document)


def _tell(document: dict[str, Any]) -> None:
    for sentence in document["says"]:
        say(sentence)
    parts = document["parts"]
    if parts is None:
        say(document["why_no_parts"])
        return
    features = parts["features"]["contributions"]
    rows = [[each["says"] or each["feature"].replace("_", " "), _signed(each["margin"])] for each in features]
    if rest := features[LISTED:]:
        others = _signed(sum(each["margin"] for each in rest))
        rows = [*rows[:LISTED], [f"{len(rest)} other facts", others]]
    rows += [
        [words, _signed(parts[name]["margin"])]
        for name, words in STEPS.items()
        if abs(parts[name]["margin"]) >= 0.0005
    ]
    rows.append(["Together", _signed(document["margin_change"])])
    days = f"{document['from']['as_of']} to {document['to']['as_of']}"
    show_table(f"What moved the risk, {days}", ["what", "log-odds"], rows, right=["log-odds"])
    for reading in (document["from"], document["to"]):
        if not reading["reproduced"]:
            say(f"The score as of {reading['as_of']} does not come out again from today's source.")


def _signed(margin: float) -> str:
    return f"{margin:+.3f}"
