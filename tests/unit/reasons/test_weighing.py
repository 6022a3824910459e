"""Contributions and facts summed to categories, compared with retained accounts of the segment."""

import numpy as np
import pytest
from fixed_bundle import FALLING, USED, FixedBundle, explained, matrix_of, random_company

from lifecycle_ml.tables.schema import CATEGORIES


def test_sums_add_up_to_the_margin_over_the_reference():
    """Category sums, context and data gap are the whole difference to retained accounts of the segment."""
    bundle, matrix, segments = random_company()
    found = explained(bundle, matrix, segments=segments, keep_relative=True)

    total = found.sums.sum(axis=1) + found.context + found.gap
    np.testing.assert_allclose(total, found.margin - found.reference_margin, atol=1e-9)
    np.testing.assert_allclose(found.relative.sum(axis=1), total, atol=1e-9)


def test_each_account_is_compared_with_its_own_segment():
    """The reference margin is that of the account's segment; an unknown segment gets the general one."""
    bundle, matrix, segments = random_company()
    segments.iloc[4] = np.nan
    found = explained(bundle, matrix, segments=segments)

    for at, segment in ((0, "small"), (1, "large"), (4, None)):
        expected = -3.0 + sum(bundle.means[segment].values())
        assert found.reference_margin[at] == pytest.approx(expected)


def test_a_category_sums_the_contributions_of_its_features():
    """Two features of one category add up, also where they disagree."""
    given = {"A": {"active_users_28d": 0.9, "active_users_change": -0.2, "days_to_renewal": 0.5}}
    found = explained(FixedBundle(USED, given), matrix_of({"A": FALLING}))

    assert found.sums[0, CATEGORIES.index("low_adoption_after_onboarding")] == pytest.approx(0.7)
    assert found.context[0] == pytest.approx(0.5)
    assert found.gap[0] == 0.0


def test_what_the_horizon_contributes_is_context():
    """It is an input of the model and no feature."""
    bundle = FixedBundle((*USED, "horizon_days"), {"A": {"horizon_days": 0.4}})
    found = explained(bundle, matrix_of({"A": {}}))

    assert found.context[0] == pytest.approx(0.4)


def test_stability_counts_the_members_that_rank_a_category_first():
    """Three of four members put adoption first, one the tickets."""
    adoption, tickets = {"A": {"active_users_28d": 4.0}}, {"A": {"open_severe_tickets": 4.0}}
    mean = {"A": {"active_users_28d": 3.0, "open_severe_tickets": 1.0}}
    bundle = FixedBundle(USED, mean, (adoption, adoption, tickets, adoption), facts=0.0)
    found = explained(bundle, matrix_of({"A": FALLING | {"open_severe_tickets": 1.0}}))

    assert [(item["category"], item["stability"]) for item in found.reasons[0]] == [
        ("low_adoption_after_onboarding", 0.75),
        ("service_support_failure", 0.25),
    ]
