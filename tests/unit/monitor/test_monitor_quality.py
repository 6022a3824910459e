"""Faults of the data: found, weighed by what the model leans on, and told with where to look."""

import numpy as np
import pandas as pd
from monitor_world import CONFIG, WORKSPACE

from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.monitor.drift import Snapshots
from lifecycle_ml.monitor.quality import customers_fault, feed_faults, value_faults
from lifecycle_ml.tables.rules import found

FEATURES = load_features(WORKSPACE)
LEANS = {"active_users_28d": 0.3, "seats": 0.2, "nps_latest": 0.01}


def snapshots(dates, accounts=400, seed=0):
    """Accounts with plausible values."""
    rng = np.random.default_rng(seed)
    parts = [
        pd.DataFrame(
            {
                "account_id": [f"A{number}" for number in range(accounts)],
                "as_of": pd.Timestamp(day),
                "active_users_28d": rng.poisson(20, accounts).astype(float),
                "seats": rng.integers(5, 100, accounts).astype(float),
                "nps_latest": np.where(rng.random(accounts) < 0.7, np.nan, 8.0),
            }
        )
        for day in dates
    ]
    matrix = pd.concat(parts, ignore_index=True)
    return Snapshots(matrix, np.full(len(matrix), 400.0))


REFERENCE = snapshots(["2026-01-05", "2026-02-02", "2026-03-02"])


def current(**columns):
    """Today's snapshots with some columns changed by a function."""
    every = snapshots(["2026-06-01"], seed=1)
    changed = {name: change(every.matrix[name]) for name, change in columns.items()}
    return Snapshots(every.matrix.assign(**changed), every.age_days)


def test_values_as_ever_are_no_fault():
    """Neither unknown nor outside."""
    assert value_faults(REFERENCE, current(), FEATURES, LEANS, CONFIG) == []


def test_a_value_that_became_unknown_is_named_with_its_source_and_accounts():
    """A fifth of the accounts lost their number of seats."""
    seen = current(seats=lambda column: column.where(np.arange(len(column)) % 5 > 0))
    (fault,) = value_faults(REFERENCE, seen, FEATURES, LEANS, CONFIG)
    assert (fault.rule, fault.where, fault.weighs) == ("unknown_values", "seats", True)
    assert len(fault.accounts) == 80
    assert "features/sources/contracts.sql" in fault.says


def test_a_null_that_means_there_is_none_is_no_fault():
    """No survey on record is a fact about the account."""
    seen = current(nps_latest=lambda column: column * np.nan)
    assert value_faults(REFERENCE, seen, FEATURES, LEANS, CONFIG) == []


def test_values_never_seen_before_are_a_unit_that_changed():
    """Seats in thousandths."""
    (fault,) = value_faults(REFERENCE, current(seats=lambda column: column * 1000), FEATURES, LEANS, CONFIG)
    assert (fault.rule, fault.where) == ("never_seen_values", "seats")
    assert "outside 5 to 99" in fault.says


def test_values_never_seen_are_written_in_the_unit_of_their_feature():
    """A share of 0.6666667 is 67%, and nobody reads six decimals."""
    name = "active_users_per_seat"
    then = REFERENCE.matrix.assign(**{name: np.linspace(1 / 3, 2 / 3, len(REFERENCE.matrix))})
    now = current().matrix.assign(**{name: 1234.56789})

    (fault,) = value_faults(
        Snapshots(then, REFERENCE.age_days),
        Snapshots(now, current().age_days),
        FEATURES,
        {name: 1.0},
        CONFIG,
    )

    assert "outside 33% to 67%" in fault.says
    assert "above 123,457%." in fault.says


def test_where_rules_serve_features_are_counted_and_no_model_is_spoken_of():
    """Rules lean on nothing, so every feature weighs the same."""
    finding = found("feed_late", "usage_events", "known_at", advice="`usage_events` is late.")
    even = dict.fromkeys(LEANS, 1 / len(LEANS))

    (fault,) = feed_faults([finding], FEATURES, even, CONFIG)

    assert fault.says == "`usage_events` is late. 1 of 3 features rests on it (active_users_28d)."


def test_growth_within_what_was_seen_is_no_fault():
    """Everyone uses more; nobody more than anybody ever did."""
    seen = current(seats=lambda column: (column * 1.3).clip(upper=99))
    assert value_faults(REFERENCE, seen, FEATURES, LEANS, CONFIG) == []


def test_a_late_feed_weighs_what_the_model_leans_on_it():
    """Usage carries a third of the lean, surveys nearly nothing."""
    findings = [
        found("feed_late", table, "known_at", advice=f"`{table}` is late.")
        for table in ("usage_events", "touchpoints")
    ]
    usage, touch = feed_faults(findings, FEATURES, LEANS, CONFIG)
    assert usage.weighs
    assert "active_users_28d" in usage.features
    assert not touch.weighs
    assert "nps_latest" in touch.features


def test_a_column_that_empties_concerns_the_features_that_read_it():
    """Not those that read other columns of the table."""
    finding = found("column_empties", "contracts", "seats", advice="`contracts.seats` is empty.")
    (fault,) = feed_faults([finding], FEATURES, LEANS, CONFIG)
    assert fault.features == ("seats",)
    assert fault.where == "contracts.seats"


def test_findings_about_rows_are_no_feed():
    """`check` says them; the monitor does not repeat them."""
    findings = [found("negative_arr", "contracts", "arr", rows=3, advice="three rows")]
    assert feed_faults(findings, FEATURES, LEANS, CONFIG) == []


def test_a_third_of_the_customers_do_not_leave_within_four_weeks():
    """Named, counted, and told where to look; ordinary churn is no fault."""
    before = REFERENCE.at(pd.Timestamp("2026-03-02")).matrix
    fault = customers_fault(before.head(250), before, 28, CONFIG)
    assert len(fault.accounts) == 150
    assert "400 accounts were customers 28 days ago, 250 are now (38% fewer)" in fault.says
    assert customers_fault(before.head(380), before, 28, CONFIG) is None
