"""Intervals against published values and survival worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lifecycle_ml.revenue.intervals import garwood, kaplan_meier, wilson


def test_exact_intervals_of_counts_are_the_published_ones():
    """Garwood 1936: nothing seen leaves up to 3.69, five seen leave 1.62 to 11.67."""
    low, high = garwood([0, 5])

    assert low == pytest.approx([0, 1.623], abs=1e-3)
    assert high == pytest.approx([3.689, 11.668], abs=1e-3)


def test_shares_at_the_ends_have_an_interval():
    low, high = wilson([0.0, 1.0, 0.5], [10, 10, 10])

    assert low == pytest.approx([0, 0.7225, 0.2366], abs=1e-4)
    assert high == pytest.approx([0.2775, 1, 0.7634], abs=1e-4)


def test_survival_by_hand_with_one_that_is_watched_later():
    """Days 2 and 5 end two of five; the one watched from day 3 on counts on day 5, not on day 2.

    Day 2: 1 of 4. Day 5: 1 of 4 (one was last seen on day 4). 3/4 x 3/4 = 9/16.
    """
    entry, leave = [0, 0, 0, 0, 3, 3], [2, 5, 4, 9, 9, 9]
    curve = kaplan_meier(entry, leave, [True, True, False, False, False, False])

    assert list(curve.day) == [2, 5]
    assert curve.share == pytest.approx([3 / 4, 9 / 16])
    assert curve.at(1) == (1, 1, 1)
    share, low, high = curve.at(7)
    spread = np.sqrt(1 / 12 + 1 / 12) / abs(np.log(9 / 16)) * 1.959964
    assert (share, low, high) == pytest.approx(
        (9 / 16, (9 / 16) ** np.exp(spread), (9 / 16) ** np.exp(-spread))
    )
    assert np.isnan(curve.median())


def test_the_median_is_the_first_day_on_which_half_is_gone():
    assert kaplan_meier([0] * 4, [10, 20, 30, 40], [True] * 4).median() == 20
