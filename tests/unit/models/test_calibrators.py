"""Calibrations that are only reported: against what they promise of any probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle_ml.models.calibrators import REPORTED, fit_beta, fit_isotonic


def overconfident(n=4000, seed=0):
    """Probabilities whose log-odds are twice too far out, and outcomes."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 1, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    return 1 / (1 + np.exp(-2 * margin)), y


@pytest.mark.parametrize("name", REPORTED)
def test_lessens_log_loss_where_probabilities_are_too_extreme(name):
    """On other rows of the same kind, too: what was learned is no accident."""
    (p, y), (fresh, truth) = overconfident(), overconfident(seed=1)
    bent = REPORTED[name](p, y)(fresh)

    def log_loss(q):
        return -(truth * np.log(q) + (1 - truth) * np.log1p(-q)).mean()

    assert log_loss(bent) < log_loss(fresh) - 0.01


def test_beta_finds_the_map_it_is_made_of():
    """Outcomes drawn with log-odds 0.5 ln p - 1.5 ln(1 - p) + 0.3 give these back."""
    rng = np.random.default_rng(2)
    p = rng.uniform(0.02, 0.98, 60_000)
    true = 1 / (1 + np.exp(-(0.5 * np.log(p) - 1.5 * np.log1p(-p) + 0.3)))
    learned = fit_beta(p, (rng.random(len(p)) < true).astype(float))
    assert learned(p) == pytest.approx(true, abs=0.015)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=40),
    name=st.sampled_from(sorted(REPORTED)),
)
def test_never_turns_the_order_round_and_stays_a_probability(rows, name):
    """Whatever it learned from: one outcome only, all probabilities equal, 0 and 1 among them."""
    twentieths, y = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    bent = REPORTED[name](twentieths / 20, y)(np.linspace(0, 1, 21))
    assert (np.diff(bent) >= -1e-12).all()
    assert ((bent >= 0) & (bent <= 1)).all()


def test_isotonic_never_says_never():
    """One outcome where none was seen before must not cost an infinite log loss."""
    bent = fit_isotonic(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]))
    assert bent(np.array([0.0, 1.0])) == pytest.approx([0.1, 0.9])


def test_beta_without_both_outcomes_changes_nothing():
    """Nothing can be learned of one outcome."""
    given_ = np.array([0.2, 0.4])
    assert (fit_beta(given_, np.zeros(2))(given_) == given_).all()
