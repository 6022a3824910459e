"""The eleven causes of churn: how often they begin, how long they brew, what they bring along."""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle_ml.tables.schema import CATEGORIES


@dataclass(frozen=True)
class Cause:
    """What is true of one cause in the average company.

    yearly    episodes per account and year; 0 for causes an account is born with
    at_start  chance that an account begins with it (apart from the bad channel and the activating segment)
    lead      days from the first trace to the full hazard (mean of the draw)
    linger    weeks it stays at full hazard on average, unless it ends with the account leaving
    hazard    weekly hazard at full height of an account that may leave at any time
    """

    category: str
    yearly: float
    at_start: float
    lead: float
    linger: float
    hazard: float


CAUSES = (
    Cause("bad_fit_customer_sold", 0.0, 0.08, 130, 50, 0.0082),
    Cause("failed_onboarding", 0.0, 0.20, 125, 26, 0.0120),
    Cause("low_adoption_after_onboarding", 0.160, 0.0, 125, 20, 0.0086),
    Cause("missing_product_capability", 0.145, 0.0, 125, 20, 0.0086),
    Cause("poor_stakeholder_ownership", 0.155, 0.0, 125, 20, 0.0086),
    Cause("champion_left", 0.155, 0.0, 105, 15, 0.0104),
    Cause("budget_eliminated", 0.155, 0.0, 105, 16, 0.0102),
    Cause("competitive_displacement", 0.120, 0.0, 105, 16, 0.0102),
    Cause("service_support_failure", 0.155, 0.0, 105, 16, 0.0102),
    Cause("value_not_demonstrated", 0.155, 0.0, 135, 22, 0.0084),
    Cause("company_closed_or_merged", 0.045, 0.0, 95, 13, 0.0240),
)

SUDDEN_LEAD = 3.0
"""Weeks of lead where an episode comes out of the blue."""

SUDDEN_LINGER = 6.0
SUDDEN_FORCE = 4.0
"""A sudden episode is soon over, but several times as strong while it lasts."""

NUMBER = {category: number for number, category in enumerate(CATEGORIES)}
"""Position of a category in every array over causes."""

if tuple(cause.category for cause in CAUSES) != CATEGORIES:  # pragma: no cover
    raise AssertionError("causes.CAUSES must follow the order of tables.schema.CATEGORIES")
