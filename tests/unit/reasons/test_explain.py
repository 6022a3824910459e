"""Reasons: categories named only with share and evidence, and the same alone as in a batch."""

import numpy as np
import pytest
from fixed_bundle import FALLING, TAXONOMY, USED, FixedBundle, explained, matrix_of, random_company

from lifecycle_ml.tables.schema import CATEGORIES


def test_an_unknown_value_is_a_data_gap_and_no_cause():
    """What a null that means "unknown" contributes never names a category."""
    matrix = matrix_of({"A": FALLING | {"active_users_28d": np.nan}})
    found = explained(FixedBundle(USED, {"A": {"active_users_28d": 1.2}}), matrix)

    assert found.gap[0] == pytest.approx(1.2)
    assert found.sums[0].sum() == pytest.approx(0.0)
    assert found.first[0] == "unknown"


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
    found = explained(FixedBundle(USED, given), matrix_of({"A": FALLING | {"open_severe_tickets": 2.0}}))

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
    found = explained(FixedBundle(USED, {"A": {"active_users_28d": 1.5}}), matrix_of({"A": {}}))

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
    found = explained(FixedBundle(USED, given), matrix_of({"A": FALLING}))

    assert found.first[0] == "unknown"


def test_a_fact_names_its_category_outright():
    """The champion's contact is closed and nobody follows: no share is needed; shares order."""
    given = {"A": {"active_users_28d": 0.9, "champions_left_180d": -0.1}}
    matrix = matrix_of({"A": FALLING | {"champions_left_180d": 1.0, "champions_present": 0.0}})
    found = explained(FixedBundle(USED, given), matrix)

    assert [item["category"] for item in found.reasons[0]] == [
        "low_adoption_after_onboarding",
        "champion_left",
    ]
    assert found.reasons[0][1]["share"] < TAXONOMY.named("champion_left").floor
    said = {piece["says"] for piece in found.reasons[0][1]["evidence"]}
    assert said == {"A champion left in the last 180 days", "No champions at the customer"}


def test_a_fact_that_names_outright_stands_where_nothing_is_clear():
    """Other facts may be as likely; this one is plain."""
    matrix = matrix_of({"A": {"champions_left_180d": 1.0, "champions_present": 0.0}})
    found = explained(FixedBundle(USED, {"A": {"champions_left_180d": 0.01}}), matrix)

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
    found = explained(FixedBundle(USED, given), matrix_of({"A": changes}))

    assert [item["category"] for item in found.reasons[0]] == [
        "champion_left",
        "service_support_failure",
        "low_adoption_after_onboarding",
    ]


def test_an_unstable_category_is_not_named():
    """Clear by the mean, first in two of five members only."""
    adoption, tickets = {"A": {"active_users_28d": 9.0}}, {"A": {"open_severe_tickets": 2.0}}
    mean = {"A": {"active_users_28d": 3.6, "open_severe_tickets": 1.2}}
    bundle = FixedBundle(USED, mean, (adoption, adoption, tickets, tickets, tickets), facts=0.0)
    found = explained(bundle, matrix_of({"A": FALLING | {"open_severe_tickets": 1.0}}))

    assert found.shares[0].max() > TAXONOMY.unknown.clear_from
    assert found.first[0] == "unknown"


def test_evidence_carries_value_usual_unit_and_sentence():
    """The sentence has number, period and the account's own past; strongest first."""
    given = {"A": {"active_users_28d": 0.83, "active_users_change": 0.3}}
    found = explained(FixedBundle(USED, given), matrix_of({"A": FALLING}))
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
    matrix = matrix_of({"A": FALLING | {"active_users_28d": 40.0}})
    found = explained(FixedBundle(USED, given), matrix)

    assert [piece["feature"] for piece in found.reasons[0][0]["evidence"]] == ["active_users_change"]


def test_a_value_close_to_the_usual_is_no_evidence():
    """Eleven users where twelve are usual is a day of rain."""
    given = {"A": {"active_users_28d": 0.9, "active_users_change": 0.2}}
    near = {"active_users_28d": 11.0, "active_users_28d__usual": 12.0, "active_users_change": 0.5}
    found = explained(FixedBundle(USED, given), matrix_of({"A": near}))

    assert [piece["feature"] for piece in found.reasons[0][0]["evidence"]] == ["active_users_change"]


def test_facts_the_model_does_not_use_can_be_evidence():
    """A true comparison over a feature left out of the model is quoted without a contribution."""
    given = {"A": {"handoff_gaps": 0.6}}
    matrix = matrix_of({"A": {"handoff_gaps": 3.0, "icp_fit": 0.2}})
    found = explained(FixedBundle(USED, given), matrix)

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
    found = explained(FixedBundle(USED, given), matrix_of({"A": {"champions_left_180d": 1.0}}))

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
    matrix = matrix_of({"A": quiet | {"contacts_present": 1.0}, "B": {"contacts_present": 4.0}})
    found = explained(bundle, matrix)

    assert [piece["says"] for piece in found.reasons[0][0]["evidence"]] == [
        "1 known contact at the customer",
        "No meetings in the last 84 days; usually 3",
    ]
    assert found.in_favour[1] == [{"says": "4 known contacts at the customer"}]


def test_one_account_reads_the_same_alone_as_in_a_batch():
    """Chunks of one give exactly what one chunk gives, to the last bit."""
    bundle, matrix, segments = random_company()
    whole = explained(bundle, matrix, segments=segments, keep_relative=True)
    single = explained(bundle, matrix, segments=segments, keep_relative=True, chunk=1)

    assert single.reasons == whole.reasons
    assert single.in_favour == whole.in_favour
    for name in ("sums", "context", "gap", "shares", "stability", "relative", "reference_margin"):
        np.testing.assert_array_equal(getattr(single, name), getattr(whole, name))


def test_sentences_are_written_only_for_the_accounts_asked():
    """The others keep category, share and stability."""
    bundle, matrix, segments = random_company()
    whole = explained(bundle, matrix, segments=segments)
    few = explained(bundle, matrix, segments=segments, sentences_for=["A-001"])

    assert few.reasons[1] == whole.reasons[1]
    assert all(not reason["evidence"] for at, row in enumerate(few.reasons) if at != 1 for reason in row)
    assert list(few.first) == list(whole.first)
    assert any(reason["evidence"] for row in whole.reasons[2:] for reason in row)


@pytest.mark.parametrize("changes", [{"source": "rules"}, {"tier": "advisory"}])
def test_where_rules_serve_reasons_come_from_facts_without_numbers(changes):
    """More facts first; share, stability and contribution are null."""
    bundle = FixedBundle(USED, **changes)
    facts = {"open_severe_tickets": 2.0, "champions_left_180d": 1.0, "severe_tickets_84d": 3.0}
    found = explained(bundle, matrix_of({"A": facts, "B": {}}))

    assert [item["category"] for item in found.reasons[0]] == ["service_support_failure", "champion_left"]
    assert {item["share"] for item in found.reasons[0]} == {None}
    assert {item["stability"] for item in found.reasons[0]} == {None}
    assert found.reasons[0][0]["evidence"][0]["contribution"] is None
    assert found.reasons[0][0]["evidence"][0]["says"] == "2 severe tickets are open"
    assert found.first[1] == "unknown"
    assert np.isnan(found.sums).all()


def test_rules_say_what_is_clearly_better_than_usual():
    """Without a model the account's own past speaks for it."""
    matrix = matrix_of({"A": {"active_users_28d": 45.0}})
    found = explained(FixedBundle(USED, source="rules"), matrix)

    assert {"says": "45 active users in the last 28 days; usually 30"} in found.in_favour[0]


def test_a_matrix_without_most_features_is_explained_all_the_same():
    """Features of absent tables cannot be told; nothing fails."""
    matrix = matrix_of({"A": FALLING})[["account_id", "as_of", "tenure_days", "active_users_change"]]
    bundle = FixedBundle(("active_users_change",), {"A": {"active_users_change": 0.5}})
    found = explained(bundle, matrix)

    assert found.first[0] == "low_adoption_after_onboarding"


def test_an_empty_matrix_gives_an_empty_explanation():
    """Nobody to explain is no error."""
    found = explained(FixedBundle(USED), matrix_of({"A": {}}).iloc[:0])

    assert len(found) == 0
    assert found.reasons == []


def test_rows_are_found_by_account_and_returned_as_a_frame():
    """The latest as_of of an account, and one line a row with its sums."""
    bundle, matrix, segments = random_company(rows=3)
    found = explained(bundle, matrix, segments=segments)

    assert found.position("A-002") == 2
    with pytest.raises(KeyError, match="nobody"):
        found.position("nobody")
    frame = found.frame()
    assert list(frame.columns) == ["account_id", "as_of", "reason", *CATEGORIES, "context", "data_gap"]
