"""Whether a challenger takes over from the champion, and what would lift a refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist
from typing import Literal

import pandas as pd

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.outcomes.recipe import Gate
from lifecycle_ml.promotion.backtest import Progress
from lifecycle_ml.promotion.comparison import (
    DECIDES,
    Comparison,
    Recorded,
    accounts_with_outcome,
    compare,
    repeated_rows,
    same_rows,
    unrepeatable,
)
from lifecycle_ml.promotion.gate import Refusal
from lifecycle_ml.tables.source import Tables

_INTERVAL_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Verdict:
    """Whether a challenger is promoted: where nothing is refused. `says` is the reason in a sentence.

    decided_by: `gate` where there was nothing to compare with or the gate refuses, `comparison`, or `refresh`
    (the champion's own procedure on newer data).
    """

    decided_by: Literal["gate", "comparison", "refresh"]
    says: str
    refusals: tuple[Refusal, ...] = ()
    comparison: Comparison | None = None
    notes: tuple[str, ...] = ()


def of_the_gate(challenger: Bundle) -> Verdict | None:
    """Repeat what the gate refused when the challenger was trained; None where it refused nothing."""
    if not challenger.refusals:
        return None
    refusals = tuple(Refusal(item["rule"], item["saw"], item["needs"]) for item in challenger.refusals)
    return Verdict("gate", "The gate refused the challenger when it was trained.", refusals)


def of_what_there_is(challenger: Bundle, features: FeatureSet, serving: Bundle | None) -> Verdict | None:
    """Decide where there is nothing to compare: the challenger cannot score here, or no model does.

    None where both could serve.
    """
    if missing := [name for name in challenger.features if name not in features]:
        refusal = Refusal(
            "missing_features",
            f"{len(missing)} of the challenger's {len(challenger.features)} features have no definition or "
            f"no table here: {_listed(missing)}",
            "those definitions and tables in this workspace, or a challenger trained without them",
        )
        return Verdict("gate", "The challenger could not score here.", (refusal,))
    if serving is None:
        return Verdict("gate", "No model serves, so the gate alone decides, and it refuses nothing.")
    if serving.source == "rules":
        return Verdict("gate", "A rule serves, so the gate alone decides, and it refuses nothing.")
    if missing := [name for name in serving.features if name not in features]:
        return Verdict(
            "gate",
            f"Version {serving.version} cannot score any more: {_listed(missing)} have no definition or no "
            "table here. So the gate alone decides, and it refuses nothing.",
        )
    return None


@dataclass(frozen=True)
class Duel:
    """Two models that could both serve, and what is needed to compare them."""

    tables: Tables
    features: FeatureSet
    gate: Gate
    champion: Bundle
    challenger: Bundle
    draws: int
    threads: int
    progress: Progress

    def judge(self, champion: Recorded | None, challenger: Recorded | None, number: str) -> Verdict:
        """Compare on the best rows there are and decide."""
        if challenger is None:
            raise ConfigError(
                f"recipe {self.challenger.name!r}: version {number} kept no predictions to compare (it was "
                f"registered by an earlier version of this software). Train again: "
                f"`lifecycle train {self.challenger.name}`."
            )
        refresh = champion is not None and champion.procedure == challenger.procedure
        if refresh and not self._newer:
            refusal = Refusal(
                "older_data",
                f"the champion's own recipe and features on data through {self._through(self.challenger)}, "
                f"the champion's reach to {self._through(self.champion)}",
                "newer data or a changed recipe; `--rollback` goes back to what served before",
            )
            return Verdict("refresh", "The challenger is the champion's own procedure, no newer.", (refusal,))
        horizon = self.challenger.headline
        self.progress("comparing on the same rows", 0, 1)
        rows = same_rows(self.tables, self.features, self.champion, champion, challenger, horizon)
        self.progress("comparing on the same rows", 1, 1)
        enough = accounts_with_outcome(rows) >= self.gate.min_events
        if enough:
            seen = compare(rows, horizon, "same_rows", draws=self.draws)
            return self._refreshed(seen) if refresh else self._compared(seen)
        few = (
            f"{accounts_with_outcome(rows)} {challenger.recipe.label.outcome} accounts on rows new to both "
            f"(min_events = {self.gate.min_events})"
        )
        if refresh:
            says = (
                f"The champion's own recipe and features on newer data, through "
                f"{self._through(self.challenger)}; too few outcomes to show it worse: {few}."
            )
            return Verdict("refresh", says)
        return self._repeated(champion, challenger, few)

    def _repeated(self, champion: Recorded | None, challenger: Recorded, few: str) -> Verdict:
        """Compare the procedures: the champion's recipe, trained again on the challenger's dates."""
        lacking = None if champion is None else unrepeatable(self.features, champion)
        if champion is None or lacking:
            why = (
                "the champion's run is not in this registry, or kept no recipe"
                if lacking is None
                else f"the champion's features are gone or defined otherwise now ({_listed(lacking)})"
            )
            refusal = Refusal(
                "no_common_rows",
                f"{few}, and the champion's recipe cannot be trained again: {why}",
                "more outcomes known after the champion's training, or the registry and definitions it came "
                "from",
            )
            return Verdict("comparison", "There is too little to compare on.", (refusal,))
        through = date.fromisoformat(self._through(self.challenger))
        rows = repeated_rows(
            self.tables,
            self.features,
            champion,
            challenger,
            through,
            num_threads=self.threads,
            progress=self.progress,
        )
        note = f"Too few outcomes to compare the models themselves: {few}."
        if accounts_with_outcome(rows) < self.gate.min_events:
            refusal = Refusal(
                "no_common_rows",
                f"{few}; with the champion's recipe trained again {accounts_with_outcome(rows)}",
                "more outcomes known after the champion's training",
            )
            return Verdict("comparison", "There is too little to compare on.", (refusal,), notes=(note,))
        seen = compare(rows, self.challenger.headline, "procedures", draws=self.draws)
        return self._compared(seen, (note,))

    def _compared(self, seen: Comparison, notes: tuple[str, ...] = ()) -> Verdict:
        chance, needed = seen.chance_better, self.gate.promote_from
        words = f"The probability that it ranks better is {_percent(chance)}, needed {_percent(needed)}."
        if chance >= needed:
            return Verdict("comparison", words, (), seen, notes)
        refusal = Refusal("not_shown_better", _saw(seen), would_lift(seen, needed))
        return Verdict("comparison", words, (refusal,), seen, notes)

    def _refreshed(self, seen: Comparison) -> Verdict:
        chance, worst = seen.chance_better, 1 - self.gate.promote_from
        words = (
            "The champion's own recipe and features on newer data: promoted unless shown worse. The "
            f"probability that it ranks better is {_percent(chance)}, needed {_percent(worst)}."
        )
        if not chance < worst:
            return Verdict("refresh", words, (), seen)
        refusal = Refusal(
            "shown_worse",
            _saw(seen),
            f"a probability of at least {_percent(worst)} (1 - promote_from): see what changed in the data "
            "with `lifecycle monitor`, then train again",
        )
        return Verdict("refresh", words, (refusal,), seen)

    @property
    def _newer(self) -> bool:
        """Whether the challenger learned from other data than the champion, and from no older ones."""
        through = [self._through(bundle) for bundle in (self.challenger, self.champion)]
        other = self.challenger.data.get("fingerprint") != self.champion.data.get("fingerprint")
        return through[0] > through[1] or (through[0] == through[1] and other)

    @staticmethod
    def _through(bundle: Bundle) -> str:
        return str(pd.Timestamp(bundle.data["data_through"]).date())


def _saw(seen: Comparison) -> str:
    gap = seen.difference[DECIDES]
    return (
        f"average precision {seen.challenger[DECIDES].value:.3f} against {seen.champion[DECIDES].value:.3f}, "
        f"difference {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] on {seen.outcomes} accounts with the "
        f"outcome; probability of being better {_percent(seen.chance_better)}"
    )


def would_lift(seen: Comparison, needed: float) -> str:
    """Say how many accounts with the outcome would show the gap that was seen, if it is one at all."""
    gap = seen.difference[DECIDES]
    bar = f"{_percent(needed)} (promote_from)"
    if not gap.value > 0 or math.isnan(gap.low):
        return f"{bar}: a challenger that ranks better; nothing here says that this one does"
    spread = (gap.high - gap.low) / (2 * _INTERVAL_Z)
    times = (NormalDist().inv_cdf(needed) * spread / gap.value) ** 2
    wanted = max(math.ceil(seen.outcomes * times), seen.outcomes + 1)
    return f"{bar}: if the gap stays, about {wanted:,} accounts with the outcome instead of {seen.outcomes:,}"


def _percent(share: float) -> str:
    return "unknown" if math.isnan(share) else f"{100 * share:.3g}%"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
