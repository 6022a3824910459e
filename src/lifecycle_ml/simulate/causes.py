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
    Cause("bad_fit_customer_sold", 0.0, 0.08, 130, 40, 0.0210),
    Cause("failed_onboarding", 0.0, 0.20, 125, 26, 0.0150),
    Cause("low_adoption_after_onboarding", 0.165, 0.0, 125, 20, 0.0083),
    Cause("missing_product_capability", 0.150, 0.0, 125, 20, 0.0083),
    Cause("poor_stakeholder_ownership", 0.160, 0.0, 125, 20, 0.0083),
    Cause("champion_left", 0.160, 0.0, 105, 15, 0.0100),
    Cause("budget_eliminated", 0.160, 0.0, 105, 16, 0.0098),
    Cause("competitive_displacement", 0.125, 0.0, 105, 16, 0.0098),
    Cause("service_support_failure", 0.160, 0.0, 105, 16, 0.0098),
    Cause("value_not_demonstrated", 0.160, 0.0, 135, 22, 0.0081),
    Cause("company_closed_or_merged", 0.047, 0.0, 95, 13, 0.0230),
)

SUDDEN_LEAD = 3.0
"""Weeks of lead where an episode comes out of the blue."""

SUDDEN_LINGER = 6.0
SUDDEN_FORCE = 4.0
"""A sudden episode is soon over, but several times as strong while it lasts."""

NUMBER = {category: number for number, category in enumerate(CATEGORIES)}
"""Position of a category in every array over causes."""
