"""All feedback loops of a company as known on one date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from lifecycle_ml.revenue.books import read_books
from lifecycle_ml.revenue.loops.at_risk import customers_at_risk
from lifecycle_ml.revenue.loops.lost_to_product import addressable, gaps
from lifecycle_ml.revenue.loops.marketing import lifetime_value
from lifecycle_ml.revenue.loops.product import activation, before_expansion, features
from lifecycle_ml.revenue.loops.sales import bad_fit, hand_offs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from lifecycle_ml.revenue.loops.loop import Loop
    from lifecycle_ml.tables.source import Tables


def feedback_loops(
    tables: Tables,
    known_on: date,
    grace_days: int,
    arrival_lag_days: int = 0,
    gross_margin: float = 1.0,
    decides: Mapping[str, str] | None = None,
) -> list[Loop]:
    """Return the loops of sales, marketing and product, in this order.

    `decides` names the role that owns the answer to each recorded reason. Where books are kept per currency
    each has a loop of lifetime values.
    Raises: TableError as `customers_at_risk` and `read_books`.
    """
    # regressions on some thousand cells of time: a second thread would only be waited for
    with threadpool_limits(1, user_api="blas"):
        return _loops(tables, known_on, grace_days, arrival_lag_days, gross_margin, decides)


def _loops(
    tables: Tables,
    known_on: date,
    grace_days: int,
    arrival_lag_days: int,
    gross_margin: float,
    decides: Mapping[str, str] | None,
) -> list[Loop]:
    about = customers_at_risk(tables, known_on, grace_days, arrival_lag_days)
    try:
        first = [bad_fit(about), hand_offs(about)]
        worth = [
            lifetime_value(tables, books, gross_margin)
            for books in read_books(tables, known_on, grace_days, arrival_lag_days)
        ]
        rest = [
            activation(about),
            features(about),
            gaps(about),
            before_expansion(about),
            addressable(about, decides),
        ]
    finally:
        about.con.close()
    return [*first, *worth, *rest]
