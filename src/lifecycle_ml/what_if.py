"""What an account's score would be if some of its features were different, worked out when somebody asks.

The account is read from the source as it was for the publication readers see; the changed row goes the way
every row goes (`readings.judge_accounts`). Features that rest on the same fact do not follow the changed one:
who changes users changes users per seat too. Nothing is written.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from lifecycle_ml.errors import BundleError, LifecycleError, UserError, did_you_mean
from lifecycle_ml.store.reading import plain, scores_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from lifecycle_ml.matrix.feature import Feature, FeatureSet
    from lifecycle_ml.readings import Gathered
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.rows import Publication
    from lifecycle_ml.workspace import Workspace

REMEMBERED: Final = 256
"""Accounts kept at hand, each with its one row: the source is read once for each."""

Value = float | str | bool | None


class NoModelError(LifecycleError):
    """No model answers for churn, so that there is no score to change."""


class NotThereError(LifecycleError):
    """The source no longer holds the account as a customer of the published date."""


class ChangeError(UserError):
    """A change no account can have; `at` is its position, `key` what of it is wrong."""

    def __init__(self, at: int, key: str, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.key = key


@dataclass(frozen=True)
class FeatureChange:
    """One feature set to another value (None: not known). `unit` is what the value is counted in, if said."""

    feature: str
    value: Value
    unit: str | None = None


class WhatIfs:
    """Answers what-ifs about the accounts of a publication. One for all threads of a worker."""

    def __init__(self, workspace: Workspace, settings: Settings) -> None:
        self._workspace, self._settings = workspace, settings
        self._kept: OrderedDict[tuple[int, str], tuple[Gathered, dict[str, Any]]] = OrderedDict()
        self._reading, self._changing = Lock(), Lock()

    def answer(
        self, publication: Publication, account_id: str, changes: Sequence[FeatureChange]
    ) -> dict[str, Any]:
        """Return the account's score as it is (`before`) and as it would be (`after`).

        The document has `account_id`, `as_of`, `changes` (what each was and is now), `before` and `after`
        (churn, expansion, color, arr_at_risk, reasons, in_favour) and `model`.

        Raises: ChangeError for a change that cannot be; NoModelError where no model answers for churn;
        NotThereError where the source lost the account; UserError where source or workspace have a fault.
        """
        gathered, before = self._account(publication, account_id)
        row = changed_row(gathered.rules.features, gathered.matrix, changes, _levels(gathered))
        ranges = gathered.rules.churn.ranges
        return {
            "account_id": account_id,
            "as_of": publication.as_of.isoformat(),
            "changes": [_told(gathered, row, each, ranges.get(each.feature)) for each in changes],
            "before": before,
            "after": _answer(replace(gathered, matrix=row), publication),
            "model": gathered.rules.models,
        }

    def _account(self, publication: Publication, account_id: str) -> tuple[Gathered, dict[str, Any]]:
        key = (publication.publication_id, account_id)
        if (found := self._at_hand(key)) is not None:
            return found
        # one at a time: each reads the whole source; who asks about accounts at hand waits for none of them
        with self._reading:
            if (found := self._at_hand(key)) is not None:
                return found
            found = self._gather(publication, account_id)
            with self._changing:
                for other in [each for each in self._kept if each[0] != publication.publication_id]:
                    del self._kept[other]
                self._kept[key] = found
                if len(self._kept) > REMEMBERED:
                    self._kept.popitem(last=False)
            return found

    def _at_hand(self, key: tuple[int, str]) -> tuple[Gathered, dict[str, Any]] | None:
        with self._changing:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _gather(self, publication: Publication, account_id: str) -> tuple[Gathered, dict[str, Any]]:
        from lifecycle_ml.readings import gather

        try:
            gathered = gather(self._workspace, self._settings, [account_id], publication.as_of, publication)
        except BundleError as error:
            raise NoModelError(str(error)) from error
        if gathered.rules.churn.source != "model":
            raise NoModelError(
                "Rules serve churn: they give a band by simple facts, and there is no score to change. "
                "`lifecycle train churn` says what is missing for a model."
            )
        if gathered.matrix.empty:
            raise NotThereError(
                f"The source no longer has this account as a customer as of {publication.as_of}."
            )
        own = gathered.accounts[gathered.accounts["account_id"] == account_id].reset_index(drop=True)
        past = {account_id: gathered.past[account_id]} if account_id in gathered.past else {}
        gathered = replace(gathered, accounts=own, past=past)
        return gathered, _answer(gathered, publication)


def changed_row(
    features: FeatureSet,
    row: pd.DataFrame,
    changes: Sequence[FeatureChange],
    levels: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Return the one row of a matrix with some features changed; what is usual for the account stays.

    levels: by feature the words the model knows, for texts. Raises: ChangeError for the first change of an
    unknown feature, of one named twice, with a value of another type, an unknown word or another unit.
    """
    import pandas as pd

    values: dict[str, pd.Series] = {}
    for at, change in enumerate(changes):
        name = change.feature
        if name not in features.names:
            raise ChangeError(at, "feature", f"No feature {name[:80]!r}.{did_you_mean(name, features.names)}")
        if name in values:
            raise ChangeError(at, "feature", f"{name} is changed twice; once is enough.")
        feature = features[name]
        if change.unit is not None and change.unit != feature.unit:
            near = did_you_mean(change.unit, [feature.unit])
            raise ChangeError(at, "unit", f"{name} is not counted in {change.unit[:80]!r}.{near}")
        value = _valued(feature, change.value, at, (levels or {}).get(name))
        values[name] = pd.Series([value], index=row.index).astype(row[name].dtype)
    return row.assign(**values)


def _valued(feature: Feature, value: Value, at: int, words: Sequence[str] | None) -> float | str | None:
    if value is None:
        return None
    if feature.is_text:
        if not isinstance(value, str):
            raise ChangeError(at, "value", f"{feature.name} is a text; write a word in quotes, or null.")
        if words is not None and value not in words:
            raise ChangeError(
                at, "value", f"The model does not know {value[:80]!r}.{did_you_mean(value, words)}"
            )
        return value
    if feature.is_yes_no:
        if not isinstance(value, (bool, int, float)) or value not in (0, 1):
            raise ChangeError(at, "value", f"{feature.name} is yes or no; write true, false or null.")
        return float(value)
    if isinstance(value, (bool, str)) or not math.isfinite(value):
        raise ChangeError(
            at, "value", f"{feature.name} is a number counted in {feature.unit!r}; write a number, or null."
        )
    if value < 0 and feature.is_count:
        raise ChangeError(at, "value", f"{feature.name} counts {feature.unit}; write 0 or more, or null.")
    return float(value)


def _levels(gathered: Gathered) -> dict[str, Sequence[str]]:
    """Return the words the model knows of each text it reads."""
    encoding = getattr(gathered.rules.churn.model, "encoding", None)
    columns = () if encoding is None else encoding.columns
    return {column.name: column.levels for column in columns if column.levels is not None}


def _told(
    gathered: Gathered, row: pd.DataFrame, change: FeatureChange, common: tuple[float, float, float] | None
) -> dict[str, Any]:
    name = change.feature
    return {
        "feature": name,
        "unit": gathered.rules.features[name].unit,
        "before": plain(gathered.matrix[name].iloc[0]),
        "after": plain(row[name].iloc[0]),
        "common_from": common and common[0],
        "common_to": common and common[2],
    }


def _answer(gathered: Gathered, publication: Publication) -> dict[str, Any]:
    """Return what is said of the one account gathered: scores, colour and reasons."""
    from lifecycle_ml.health.document import health_document
    from lifecycle_ml.readings import midnight, records, served_at

    judged = gathered.judge()
    (row,), (state,) = records(judged.scored), judged.states.values()
    served = served_at(gathered.rules, gathered.as_of, midnight(gathered.as_of), publication.now)
    health = health_document(state, row, (), gathered.rules.health, gathered.as_of)
    return {
        **scores_of(served, row),
        "color": state.color,
        "arr_at_risk": health["arr_at_risk"],
        "reasons": judged.explanations.reasons[0],
        "in_favour": judged.explanations.in_favour[0],
    }
