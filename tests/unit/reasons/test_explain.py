"""Reasons: additive sums, categories named only with share and evidence, and the same alone as in a batch."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.reasons.explain import explain
from lifecycle_ml.reasons.taxonomy import load_taxonomy
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = standard_root()
STANDARD = Workspace(ROOT, ROOT)
FEATURES = load_features(STANDARD)
TAXONOMY = load_taxonomy(STANDARD, FEATURES.names)


@dataclass(frozen=True)
class FixedContributions:
    columns: tuple[str, ...]
    values: np.ndarray
    base: float
    members: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        return self.values.sum(axis=1) + self.base


@dataclass(frozen=True)
class FixedBundle:
    """A bundle whose contributions are given: {account: {feature: contribution}}, and per member on top."""

    features: tuple[str, ...]
    by_account: dict[str, dict[str, float]] = field(default_factory=dict)
    by_member: tuple[dict[str, dict[str, float]], ...] = ()
    means: dict[str | None, dict[str, float]] = field(default_factory=dict)
    headline: int = 90
    source: str = "model"
    tier: str = "full"
    ranges: dict = field(default_factory=dict)
    facts: float = 4.0
    """The facts of a category weigh so many times the sum of its contributions."""

    @property
    def causes(self):
        return FixedCauses(self)

    def rows(self, matrix, given):
        return np.array(
            [[given.get(a, {}).get(f, 0.0) for f in self.features] for a in matrix["account_id"]], dtype=float
        ).reshape(len(matrix), len(self.features))

    def contributions(self, matrix, _horizon):
        members = self.by_member or (self.by_account,)
        return FixedContributions(
            columns=self.features,
            values=self.rows(matrix, self.by_account),
            base=-3.0,
            members=np.stack([self.rows(matrix, given) for given in members]),
        )

    def reference(self, _horizon, segment):
        given = self.means.get(segment, self.means.get(None, {}))
        return np.array([given.get(name, 0.0) for name in self.features])


@dataclass(frozen=True)
class FixedCauses:
    """Facts that say what the contributions say, louder."""

    bundle: FixedBundle
    places: ClassVar = {
        item.name: CATEGORIES.index(item.category) for item in FEATURES if item.category in CATEGORIES
    }

    def weigh(self, matrix):
        values = self.bundle.facts * self.bundle.rows(matrix, self.bundle.by_account)
        members = np.zeros((1, len(matrix), len(CATEGORIES)))
        for at, name in enumerate(self.bundle.features):
            if name in self.places:
                members[0, :, self.places[name]] += np.where(matrix[name].isna(), 0.0, values[:, at])
        return SimpleNamespace(features=self.bundle.features, values=values, members=members)


USED = (
    "active_users_28d",
    "active_users_change",
    "champions_left_180d",
    "champions_present",
    "open_severe_tickets",
    "severe_tickets_84d",
    "days_since_business_review",
    "handoff_gaps",
    "days_to_renewal",
)
WELL = {
    "active_users_28d": 31.0,
    "active_users_28d__usual": 30.0,
    "active_users_change": 1.03,
    "champions_left_180d": 0.0,
    "champions_present": 1.0,
    "open_severe_tickets": 0.0,
    "severe_tickets_84d": 0.0,
    "severe_tickets_84d__usual": 0.3,
    "days_since_business_review": 40.0,
    "handoff_gaps": 0.0,
    "days_to_renewal": 200.0,
    "tenure_days": 500.0,
}
FALLING = {"active_users_28d": 9.0, "active_users_28d__usual": 31.25, "active_users_change": 0.29}


def _matrix(accounts: dict[str, dict]) -> pd.DataFrame:
    rows = [{"account_id": name, **WELL, **changes} for name, changes in accounts.items()]
    frame = pd.DataFrame(rows)
    frame.insert(1, "as_of", pd.Timestamp("2026-06-30").as_unit("us"))
    return frame


def _explain(bundle, matrix, **more):
    return explain(bundle, matrix, FEATURES, TAXONOMY, **more)


def _random(rows=24, members=4, seed=7):
    rng = np.random.default_rng(seed)
    names = [f"A-{n:03d}" for n in range(rows)]
    matrix = _matrix({name: FALLING if n % 2 else {} for n, name in enumerate(names)})
    for name in USED:
        matrix.loc[rng.random(rows) < 0.15, name] = np.nan
    by_member = tuple(
        {name: dict(zip(USED, rng.normal(0, 0.5, len(USED)), strict=True)) for name in names}
        for _ in range(members)
    )
    mean = {name: {f: float(np.mean([m[name][f] for m in by_member])) for f in USED} for name in names}
    means = {s: dict(zip(USED, rng.normal(0, 0.2, len(USED)), strict=True)) for s in ("small", "large", None)}
    segments = pd.Series(np.where(np.arange(rows) % 3 == 0, "small", "large"), index=names)
    return FixedBundle(USED, mean, by_member, means), matrix, segments


def test_sums_add_up_to_the_margin_over_the_reference():
    """Category sums, context and data gap are the whole difference to retained accounts of the segment."""
    bundle, matrix, segments = _random()
    found = _explain(bundle, matrix, segments=segments, keep_relative=True)

    total = found.sums.sum(axis=1) + found.context + found.gap
    np.testing.assert_allclose(total, found.margin - found.reference_margin, atol=1e-9)
    np.testing.assert_allclose(found.relative.sum(axis=1), total, atol=1e-9)


def test_each_account_is_compared_with_its_own_segment():
    """The reference margin is that of the account's segment; an unknown segment gets the general one."""
    bundle, matrix, segments = _random()
    segments.iloc[4] = np.nan
    found = _explain(bundle, matrix, segments=segments)

    for at, segment in ((0, "small"), (1, "large"), (4, None)):
        expected = -3.0 + sum(bundle.means[segment].values())
        assert found.reference_margin[at] == pytest.approx(expected)


def test_a_category_sums_the_contributions_of_its_features():
    """Two features of one category add up, also where they disagree."""
    given = {"A": {"active_users_28d": 0.9, "active_users_change": -0.2, "days_to_renewal": 0.5}}
    found = _explain(FixedBundle(USED, given), _matrix({"A": FALLING}))

    assert found.sums[0, CATEGORIES.index("low_adoption_after_onboarding")] == pytest.approx(0.7)
    assert found.context[0] == pytest.approx(0.5)
    assert found.gap[0] == 0.0


def test_an_unknown_value_is_a_data_gap_and_no_cause():
    """What a null that means "unknown" contributes never names a category."""
    matrix = _matrix({"A": FALLING | {"active_users_28d": np.nan}})
    found = _explain(FixedBundle(USED, {"A": {"active_users_28d": 1.2}}), matrix)

    assert found.gap[0] == pytest.approx(1.2)
    assert found.sums[0].sum() == pytest.approx(0.0)
    assert found.first[0] == "unknown"


def test_what_the_horizon_contributes_is_context():
    """It is an input of the model and no feature."""
    bundle = FixedBundle((*USED, "horizon_days"), {"A": {"horizon_days": 0.4}})
    found = _explain(bundle, _matrix({"A": {}}))

    assert found.context[0] == pytest.approx(0.4)


def test_shares_say_how_likely_each_category_is():
    """Softmax of contributions and facts over the eleven; context and data gap are no causes."""
    given = {
        "A": {
            "active_users_28d": 0.6,
            "open_severe_tickets": 0.2,
            "days_to_renewal": 0.2,
            "champions_present": -0.9,
        }
    }
    found = _explain(FixedBundle(USED, given), _matrix({"A": FALLING | {"open_severe_tickets": 2.0}}))

    assert [item["category"] for item in found.reasons[0]] == [
        "low_adoption_after_onboarding",
        "service_support_failure",
    ]
    odds = np.exp(5 * np.array([0.6, 0.2, -0.9] + [0.0] * 8))
    expected = odds / odds.sum()
    assert [item["share"] for item in found.reasons[0]] == pytest.approx(expected[:2], abs=1e-4)
    assert found.shares[0, CATEGORIES.index("champion_left")] == pytest.approx(expected[2])
    assert found.shares.sum() == pytest.approx(1.0)


def test_without_true_evidence_the_reason_is_unknown():
    """A share of everything names nothing as long as no fact a person would accept is there."""
    found = _explain(FixedBundle(USED, {"A": {"active_users_28d": 1.5}}), _matrix({"A": {}}))

    assert found.reasons[0] == [
        {
            "category": "unknown",
            "label": TAXONOMY.unknown.label,
            "share": None,
            "stability": None,
            "owner_role": "csm",
            "evidence": [],
        }
    ]


def test_where_no_category_is_clear_the_reason_is_unknown():
    """A true comparison alone is not enough where a model weighs."""
    given = {"A": {"active_users_28d": 0.05, "days_to_renewal": 0.95}}
    found = _explain(FixedBundle(USED, given), _matrix({"A": FALLING}))

    assert found.first[0] == "unknown"


def test_a_fact_names_its_category_outright():
    """The champion's contact is closed and nobody follows: no share is needed; shares order."""
    given = {"A": {"active_users_28d": 0.9, "champions_left_180d": -0.1}}
    matrix = _matrix({"A": FALLING | {"champions_left_180d": 1.0, "champions_present": 0.0}})
    found = _explain(FixedBundle(USED, given), matrix)

    assert [item["category"] for item in found.reasons[0]] == [
        "low_adoption_after_onboarding",
        "champion_left",
    ]
    assert found.reasons[0][1]["share"] < TAXONOMY.named("champion_left").floor
    said = {piece["says"] for piece in found.reasons[0][1]["evidence"]}
    assert said == {"A champion left in the last 180 days", "No champions at the customer"}


def test_a_fact_that_names_outright_stands_where_nothing_is_clear():
    """Other facts may be as likely; this one is plain."""
    matrix = _matrix({"A": {"champions_left_180d": 1.0, "champions_present": 0.0}})
    found = _explain(FixedBundle(USED, {"A": {"champions_left_180d": 0.01}}), matrix)

    assert found.first[0] == "champion_left"
    assert found.reasons[0][0]["share"] < TAXONOMY.unknown.clear_from


def test_at_most_three_reasons_by_share():
    """The fourth cause is left out, and order follows shares."""
    given = {
        "A": {
            "active_users_28d": 0.62,
            "champions_left_180d": 0.75,
            "open_severe_tickets": 0.7,
            "days_since_business_review": 0.6,
        }
    }
    changes = FALLING | {
        "champions_left_180d": 1.0,
        "open_severe_tickets": 1.0,
        "days_since_business_review": 300.0,
    }
    found = _explain(FixedBundle(USED, given), _matrix({"A": changes}))

    assert [item["category"] for item in found.reasons[0]] == [
        "champion_left",
        "service_support_failure",
        "low_adoption_after_onboarding",
    ]


def test_stability_counts_the_members_that_rank_a_category_first():
    """Three of four members put adoption first, one the tickets."""
    adoption, tickets = {"A": {"active_users_28d": 4.0}}, {"A": {"open_severe_tickets": 4.0}}
    mean = {"A": {"active_users_28d": 3.0, "open_severe_tickets": 1.0}}
    bundle = FixedBundle(USED, mean, (adoption, adoption, tickets, adoption), facts=0.0)
    found = _explain(bundle, _matrix({"A": FALLING | {"open_severe_tickets": 1.0}}))

    assert [(item["category"], item["stability"]) for item in found.reasons[0]] == [
        ("low_adoption_after_onboarding", 0.75),
        ("service_support_failure", 0.25),
    ]


def test_an_unstable_category_is_not_named():
    """Clear by the mean, first in two of five members only."""
    adoption, tickets = {"A": {"active_users_28d": 9.0}}, {"A": {"open_severe_tickets": 2.0}}
    mean = {"A": {"active_users_28d": 3.6, "open_severe_tickets": 1.2}}
    bundle = FixedBundle(USED, mean, (adoption, adoption, tickets, tickets, tickets), facts=0.0)
    found = _explain(bundle, _matrix({"A": FALLING | {"open_severe_tickets": 1.0}}))

    assert found.shares[0].max() > TAXONOMY.unknown.clear_from
    assert found.first[0] == "unknown"


def test_evidence_carries_value_usual_unit_and_sentence():
    """The sentence has number, period and the account's own past; strongest first."""
    given = {"A": {"active_users_28d": 0.83, "active_users_change": 0.3}}
    found = _explain(FixedBundle(USED, given), _matrix({"A": FALLING}))
    evidence = found.reasons[0][0]["evidence"]

    assert evidence[0] == {
        "feature": "active_users_28d",
        "value": 9,
        "usual": 31.25,
        "unit": "users",
        "contribution": 0.83,
        "says": "9 active users in the last 28 days; usually 31",
    }
    assert evidence[1]["says"] == "Active users are at 29% of what is usual for this account"
    assert evidence[1]["usual"] is None


def test_a_value_that_stands_well_is_no_evidence():
    """More users than usual do not speak for low adoption, whatever the model adds for them."""
    given = {"A": {"active_users_28d": 0.9, "active_users_change": 0.2}}
    matrix = _matrix({"A": FALLING | {"active_users_28d": 40.0}})
    found = _explain(FixedBundle(USED, given), matrix)

    assert [piece["feature"] for piece in found.reasons[0][0]["evidence"]] == ["active_users_change"]


def test_a_value_close_to_the_usual_is_no_evidence():
    """Eleven users where twelve are usual is a day of rain."""
    given = {"A": {"active_users_28d": 0.9, "active_users_change": 0.2}}
    near = {"active_users_28d": 11.0, "active_users_28d__usual": 12.0, "active_users_change": 0.5}
    found = _explain(FixedBundle(USED, given), _matrix({"A": near}))

    assert [piece["feature"] for piece in found.reasons[0][0]["evidence"]] == ["active_users_change"]


def test_facts_the_model_does_not_use_can_be_evidence():
    """A true comparison over a feature left out of the model is quoted without a contribution."""
    given = {"A": {"handoff_gaps": 0.6}}
    matrix = _matrix({"A": {"handoff_gaps": 3.0, "icp_fit": 0.2}})
    found = _explain(FixedBundle(USED, given), matrix)

    assert [(p["feature"], p["contribution"]) for p in found.reasons[0][0]["evidence"]] == [
        ("handoff_gaps", 0.6),
        ("icp_fit", None),
    ]


def test_what_speaks_for_the_account_is_said_once_a_category():
    """The strongest lowering features, never from a category that is named as a reason."""
    given = {
        "A": {
            "champions_left_180d": 0.8,
            "champions_present": -0.4,
            "active_users_28d": -0.5,
            "active_users_change": -0.3,
            "open_severe_tickets": -0.2,
            "days_to_renewal": -0.9,
        }
    }
    found = _explain(FixedBundle(USED, given), _matrix({"A": {"champions_left_180d": 1.0}}))

    assert found.in_favour[0] == [
        {"says": "31 active users in the last 28 days; usually 30"},
        {"says": "No severe tickets are open"},
    ]


def test_without_a_past_a_value_is_held_against_the_median():
    """Few executives met is evidence at or under the median of accounts, and speaks for it above."""
    given = {"A": {"meetings_84d": 0.2, "contacts_present": 0.5}, "B": {"contacts_present": -0.5}}
    bundle = FixedBundle(
        ("meetings_84d", "contacts_present"), given, ranges={"contacts_present": (1.0, 3.0, 9.0)}
    )
    quiet = {"meetings_84d": 0.0, "meetings_84d__usual": 3.0}
    matrix = _matrix({"A": quiet | {"contacts_present": 1.0}, "B": {"contacts_present": 4.0}})
    found = _explain(bundle, matrix)

    assert [piece["says"] for piece in found.reasons[0][0]["evidence"]] == [
        "1 known contact at the customer",
        "No meetings in the last 84 days; usually 3",
    ]
    assert found.in_favour[1] == [{"says": "4 known contacts at the customer"}]


def test_one_account_reads_the_same_alone_as_in_a_batch():
    """Chunks of one give exactly what one chunk gives, to the last bit."""
    bundle, matrix, segments = _random()
    whole = _explain(bundle, matrix, segments=segments, keep_relative=True)
    single = _explain(bundle, matrix, segments=segments, keep_relative=True, chunk=1)

    assert single.reasons == whole.reasons
    assert single.in_favour == whole.in_favour
    for name in ("sums", "context", "gap", "shares", "stability", "relative", "reference_margin"):
        np.testing.assert_array_equal(getattr(single, name), getattr(whole, name))


def test_sentences_are_written_only_for_the_accounts_asked():
    """The others keep category, share and stability."""
    bundle, matrix, segments = _random()
    whole = _explain(bundle, matrix, segments=segments)
    few = _explain(bundle, matrix, segments=segments, sentences_for=["A-001"])

    assert few.reasons[1] == whole.reasons[1]
    assert all(not reason["evidence"] for at, row in enumerate(few.reasons) if at != 1 for reason in row)
    assert list(few.first) == list(whole.first)
    assert any(reason["evidence"] for row in whole.reasons[2:] for reason in row)


@pytest.mark.parametrize("changes", [{"source": "rules"}, {"tier": "advisory"}])
def test_where_rules_serve_reasons_come_from_facts_without_numbers(changes):
    """More facts first; share, stability and contribution are null."""
    bundle = FixedBundle(USED, **changes)
    facts = {"open_severe_tickets": 2.0, "champions_left_180d": 1.0, "severe_tickets_84d": 3.0}
    found = _explain(bundle, _matrix({"A": facts, "B": {}}))

    assert [item["category"] for item in found.reasons[0]] == ["service_support_failure", "champion_left"]
    assert {item["share"] for item in found.reasons[0]} == {None}
    assert {item["stability"] for item in found.reasons[0]} == {None}
    assert found.reasons[0][0]["evidence"][0]["contribution"] is None
    assert found.reasons[0][0]["evidence"][0]["says"] == "2 severe tickets are open"
    assert found.first[1] == "unknown"
    assert np.isnan(found.sums).all()


def test_rules_say_what_is_clearly_better_than_usual():
    """Without a model the account's own past speaks for it."""
    matrix = _matrix({"A": {"active_users_28d": 45.0}})
    found = _explain(FixedBundle(USED, source="rules"), matrix)

    assert {"says": "45 active users in the last 28 days; usually 30"} in found.in_favour[0]


def test_a_matrix_without_most_features_is_explained_all_the_same():
    """Features of absent tables cannot be told; nothing fails."""
    matrix = _matrix({"A": FALLING})[["account_id", "as_of", "tenure_days", "active_users_change"]]
    bundle = FixedBundle(("active_users_change",), {"A": {"active_users_change": 0.5}})
    found = _explain(bundle, matrix)

    assert found.first[0] == "low_adoption_after_onboarding"


def test_an_empty_matrix_gives_an_empty_explanation():
    """Nobody to explain is no error."""
    found = _explain(FixedBundle(USED), _matrix({"A": {}}).iloc[:0])

    assert len(found) == 0
    assert found.reasons == []


def test_rows_are_found_by_account_and_returned_as_a_frame():
    """The latest as_of of an account, and one line a row with its sums."""
    bundle, matrix, segments = _random(rows=3)
    found = _explain(bundle, matrix, segments=segments)

    assert found.position("A-002") == 2
    with pytest.raises(KeyError, match="nobody"):
        found.position("nobody")
    frame = found.frame()
    assert list(frame.columns) == ["account_id", "as_of", "reason", *CATEGORIES, "context", "data_gap"]
