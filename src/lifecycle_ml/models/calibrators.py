"""Calibrations that are reported and never served: they bend the margin, so contributions stop adding up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.isotonic import IsotonicRegression

from lifecycle_ml.models.encoding import Floats
from lifecycle_ml.models.logistic import fit_logistic, sigmoid

Apply = Callable[[Floats], Floats]

_EDGE = 1e-9


def fit_beta(p: Floats, y: Floats) -> Apply:
    """Fit beta calibration (Kull, Silva Filho and Flach 2017) to probabilities and outcomes 0/1.

    log-odds = a ln p - b ln(1 - p) + c with a, b >= 0, so that it never falls: a coefficient that would be
    negative is left out. The identity where only one outcome occurs.
    """
    if y.min(initial=1.0) == y.max(initial=0.0) or len(y) == 0:
        return lambda given: given
    ends, ones = _ends(p), np.ones(len(y))
    chosen = [0, 1]
    while True:
        *weights, shift = fit_logistic(np.column_stack([ends[:, chosen], ones]), y)
        if not weights or min(weights) >= 0:
            break
        del chosen[int(np.argmin(weights))]
    slopes = np.zeros(2)
    slopes[chosen] = weights
    return lambda given: sigmoid(_ends(given) @ slopes + shift)


def fit_isotonic(p: Floats, y: Floats) -> Apply:
    """Fit isotonic regression to probabilities and outcomes 0/1, kept half a row off 0 and 1.

    Without that its first step says "never", and a single outcome there costs an infinite log loss.
    """
    if len(y) == 0:
        return lambda given: given
    off = 0.5 / (len(y) + 1)
    fitted = IsotonicRegression(out_of_bounds="clip", y_min=off, y_max=1 - off).fit(p, y)
    return lambda given: np.asarray(fitted.predict(given), dtype=np.float64)


REPORTED: dict[str, Callable[[Floats, Floats], Apply]] = {"beta": fit_beta, "isotonic": fit_isotonic}
"""Calibrations shown beside the one that is served, by name."""


def _ends(p: Floats) -> Floats:
    held = np.clip(p, _EDGE, 1 - _EDGE)
    return np.column_stack([np.log(held), -np.log1p(-held)])
