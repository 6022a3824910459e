"""How often, how lately and for how much a customer buys: a till knows nothing else."""

from lifecycle_ml import Feature, days_since, distinct, mean, total

buying_days = distinct("invoices", "issued_on")
days_since_last = days_since("invoices")
tenure = days_since("accounts")
# From the first to the last day with a purchase, divided by the pauses between; null for a single day.
pause = (tenure - days_since_last) / (buying_days - 1)

FEATURES = (
    Feature(
        name="order_days_ever",
        value=buying_days,
        unit="days",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="Ordered on {value} days so far",
        says_one="Ordered on one day only",
    ),
    Feature(
        name="order_days_84d",
        value=distinct("invoices", "issued_on", days=84),
        unit="days",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Ordered on {value} of the last 84 days",
        says_one="Ordered on 1 of the last 84 days",
    ),
    Feature(
        name="order_days_182d",
        value=distinct("invoices", "issued_on", days=182),
        unit="days",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="Ordered on {value} of the last 182 days",
        says_one="Ordered on 1 of the last 182 days",
    ),
    Feature(
        name="orders_per_year",
        value=buying_days / (tenure + 1) * 365,
        unit="orders a year",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        says="Orders at a rate of {value} a year since the first one",
    ),
    Feature(
        name="order_pause_days",
        value=pause,
        unit="days",
        null_means="not_applicable",
        direction="raises",
        category="low_adoption_after_onboarding",
        says="Orders every {value} days on average",
        says_one="Orders every day on average",
    ),
    Feature(
        name="silence_against_rhythm",
        value=days_since_last / pause,
        unit="ratio",
        null_means="not_applicable",
        direction="raises",
        category="low_adoption_after_onboarding",
        movable=True,
        says="The pause since the last order is {value} of the usual pause between two orders",
    ),
    Feature(
        name="active_share_of_tenure",
        # How far into the time since the first order the last one lies: 0 for a single order.
        value=(tenure - days_since_last) / (tenure + 1),
        unit="share",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        says="The last order came after {value} of the time since the first",
    ),
    Feature(
        name="spend_182d",
        value=total("invoices", "amount", days=182),
        unit="currency",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} spent in the last 182 days",
        says_no="Nothing spent in the last 182 days",
    ),
    Feature(
        name="spend_ever",
        value=total("invoices", "amount"),
        unit="currency",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        says="{value} spent so far",
    ),
    Feature(
        name="order_value",
        value=mean("invoices", "amount"),
        unit="currency",
        null_means="none",
        direction="none",
        category="context",
        says="Orders are worth {value} on average",
    ),
    Feature(
        name="discs_182d",
        value=total("usage_events", "quantity", days=182),
        unit="CDs",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} CDs bought in the last 182 days",
        says_one="1 CD bought in the last 182 days",
    ),
)
