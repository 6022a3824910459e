"""The eleven causes of churn: how often they begin, how long they brew, what they bring along."""

from __future__ import annotations

from dataclasses import dataclass

from lifecycle_ml.tables.schema import CATEGORIES


@dataclass(frozen=True)
class Cause:
    """What is true of one cause in the average company.

    yearly    episodes per account and year; 0 for causes an account is born with
    at_start  chance that an account begins with it
    lead      days from the first trace to the full hazard (mean of the draw)
    linger    weeks it stays at full hazard on average, unless it ends with the account leaving
    hazard    weekly hazard at full height of an account that may leave at any time
    brings    another cause that begins with it, and how often
    """

    category: str
    yearly: float
    at_start: float
    lead: float
    linger: float
    hazard: float
    brings: tuple[str, float] = ("", 0.0)


CAUSES = (
    Cause("bad_fit_customer_sold", 0.0, 0.07, 130, 45, 0.022),
    Cause("failed_onboarding", 0.0, 0.10, 110, 20, 0.036, ("low_adoption_after_onboarding", 0.12)),
    Cause("low_adoption_after_onboarding", 0.080, 0.0, 100, 14, 0.036),
    Cause("missing_product_capability", 0.060, 0.0, 100, 14, 0.036, ("competitive_displacement", 0.12)),
    Cause("poor_stakeholder_ownership", 0.060, 0.0, 100, 14, 0.036),
    Cause("champion_left", 0.070, 0.0, 90, 14, 0.036, ("poor_stakeholder_ownership", 0.12)),
    Cause("budget_eliminated", 0.065, 0.0, 75, 12, 0.040),
    Cause("competitive_displacement", 0.060, 0.0, 70, 12, 0.040),
    Cause("service_support_failure", 0.065, 0.0, 70, 12, 0.040, ("competitive_displacement", 0.12)),
    Cause("value_not_demonstrated", 0.060, 0.0, 130, 16, 0.034, ("low_adoption_after_onboarding", 0.12)),
    Cause("company_closed_or_merged", 0.022, 0.0, 60, 10, 0.070),
)

NUMBER = {category: number for number, category in enumerate(CATEGORIES)}
"""Position of a category in every array over causes."""

if tuple(cause.category for cause in CAUSES) != CATEGORIES:  # pragma: no cover
    raise AssertionError("causes.CAUSES must follow the order of tables.schema.CATEGORIES")
