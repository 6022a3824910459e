"""How often, how much and how regularly a customer buys: the standard features do not know money."""

from lifecycle_ml import Feature, change, count, days_since, distinct, mean, own_past, total

ORDER = "amount > 0"
spend = total("invoices", "amount", days=84)
orders = count("invoices", where=ORDER, days=84)
buying_days = distinct("invoices", "issued_on", where=ORDER)
days_since_last = days_since("invoices", where=ORDER)
# From the first to the last day with an order, divided by the pauses between; null for a single day.
pause = (days_since("accounts") - days_since_last) / (buying_days - 1)

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
        name="orders_84d",
        value=orders,
        usual=own_past(orders),
        unit="orders",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} orders in the last 84 days; usually {usual}",
        says_one="1 order in the last 84 days; usually {usual}",
    ),
    Feature(
        name="orders_364d",
        value=count("invoices", where=ORDER, days=364),
        unit="orders",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} orders in the last 364 days",
        says_one="1 order in the last 364 days",
    ),
    Feature(
        name="spend_84d",
        value=spend,
        usual=own_past(spend),
        unit="currency",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="{value} spent in the last 84 days, returns taken off; usually {usual}",
        says_no="Nothing spent in the last 84 days; usually {usual}",
    ),
    Feature(
        name="spend_change_84d",
        value=change(spend),
        unit="ratio",
        null_means="unknown",
        direction="lowers",
        category="low_adoption_after_onboarding",
        movable=True,
        says="Spend of the last 84 days is at {value} of what is usual for this customer",
    ),
    Feature(
        name="spend_364d",
        value=total("invoices", "amount", days=364),
        unit="currency",
        null_means="unknown",
        direction="lowers",
        category="value_not_demonstrated",
        movable=True,
        says="{value} spent in the last 364 days, returns taken off",
        says_no="Nothing spent in the last 364 days",
    ),
    Feature(
        name="order_value_364d",
        value=mean("invoices", "amount", where=ORDER, days=364),
        unit="currency",
        null_means="none",
        direction="none",
        category="context",
        says="Orders of the last 364 days are worth {value} on average",
    ),
    Feature(
        name="returns_364d",
        value=count("invoices", where="amount < 0", days=364),
        unit="returns",
        null_means="unknown",
        direction="none",
        category="context",
        says="{value} returns in the last 364 days",
        says_one="1 return in the last 364 days",
    ),
)
