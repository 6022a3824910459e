"""What is compared between engines, and how exactly."""

from __future__ import annotations

import pandas as pd
from test_engines_agree import SERIES
from test_no_look_ahead import PROBES, features_of

from lifecycle_ml.matrix.feature import USUAL
from lifecycle_ml.matrix.measures import calendar, days_since_first, deviation, latest, total
from lifecycle_ml.matrix.nodes import Arithmetic, Peers, Root
from lifecycle_ml.matrix.series import Series

MORE = {
    "month": calendar("month"),
    "quarter": calendar("quarter"),
    "weekday": calendar("weekday"),
    "day_of_year": calendar("day_of_year"),
    "first_used": days_since_first("usage_events", days=150),
    "divided": total("usage_events", "quantity / users", days=84),
    "rounded": total("invoices", "round(amount, 1) * 1.5 + abs(amount - 20)"),
    "recent_quantity": latest("usage_events", "quantity", days=84),
    "renews": latest("contracts", "auto_renew", on="starts_on"),
    "unsteady": deviation("usage_events", "quantity", days=56),
    "named": total("accounts", "length(name)"),
}
"""What no probe asks for: the calendar, arithmetic on columns, yes/no and numbers of the latest row."""

KINDS = features_of(PROBES | SERIES | MORE)
SOME_KINDS = features_of(PROBES)


def is_fraction(measure):
    """Whether a measure is calculated, and so may differ in the last of its digits."""
    return isinstance(measure, Arithmetic | Series | Root | Peers) or any(map(is_fraction, measure.children))


def assert_same(there, here, features):
    """Compare two matrices: counts, dates and texts exactly, fractions to 1e-9."""
    assert list(there.columns) == list(here.columns)
    for feature in features:
        measures = {feature.name: feature.value, f"{feature.name}{USUAL}": feature.usual}
        for name, measure in measures.items():
            if measure is None:
                continue
            exact = {} if is_fraction(measure) else {"check_exact": True}
            pd.testing.assert_series_equal(there[name], here[name], rtol=1e-9, atol=1e-12, **exact)
