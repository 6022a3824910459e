"""Feedback loops against numbers worked out by hand, and rates against textbook ratios."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.errors import TableError
from lifecycle_ml.revenue.loops.at_risk import customers_at_risk
from lifecycle_ml.revenue.loops.loop import benjamini_hochberg, in_a_hundred, judged, times
from lifecycle_ml.revenue.loops.lost_to_product import addressable, gaps
from lifecycle_ml.revenue.loops.product import activation, before_expansion, features
from lifecycle_ml.revenue.loops.rates import ADJUSTED_FOR, _Alike
from lifecycle_ml.revenue.loops.report import feedback_loops
from lifecycle_ml.revenue.loops.sales import bad_fit, hand_offs
from lifecycle_ml.tables.source import tables_from_frames

KNOWN_ON = date(2025, 1, 1)
START = pd.Timestamp("2024-01-01")
MANY = 40


def company(**tables):
    """Forty customers since 2024 began, of 1,200 each: twenty from the web, twenty partners.

    Ten partners leave, one every twenty days from 1 June on. Partners 0 to 9 fit badly.
    """
    at = np.arange(MANY)
    partner, leaves = at >= MANY // 2, at >= MANY - 10
    accounts = pd.DataFrame(
        {
            "account_id": [f"A{number:02d}" for number in at],
            "created_at": START,
            "segment": np.where(at % 2 == 0, "even", "odd"),
            "industry": np.where(partner, "health", "retail"),
            "acquisition_channel": np.where(partner, "partner", "web"),
            "sales_owner": "ae-1",
            "icp_fit": np.where(partner & ~leaves, 0.2, 0.8),
            "handoff_missing": [["goals"] if one else [] for one in partner],
        }
    )
    ends = pd.Series(pd.NaT, index=at, dtype="datetime64[us]")
    ends[leaves] = pd.Timestamp("2024-06-01") + pd.to_timedelta(20 * np.arange(10), unit="D")
    contracts = pd.DataFrame(
        {
            "contract_id": [f"C{number:02d}" for number in at],
            "account_id": accounts["account_id"],
            "starts_on": START,
            "cancelled_on": ends,
            "arr": 1200.0,
            "discount": 0.0,
        }
    )
    return tables_from_frames({"accounts": accounts, "contracts": contracts, **tables})


@pytest.fixture
def at_risk():
    """Return customers at risk of a company with more tables; closed after the test."""
    opened = []

    def build(**tables):
        opened.append(customers_at_risk(company(**tables), KNOWN_ON, 30, 2))
        return opened[-1]

    yield build
    for one in opened:
        one.con.close()


def row(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_adjusted_p_by_hand():
    """Four p of a family, and one that is none: 0.01 x 4/1, 0.02 x 4/2 and 0.03 x 4/3 are all 0.04."""
    adjusted = benjamini_hochberg(np.array([0.03, np.nan, 0.01, 0.5, 0.02]))

    assert adjusted == pytest.approx([0.04, np.nan, 0.04, 0.5, 0.04], nan_ok=True)


def test_what_stands_out_comes_first_and_what_is_not_compared_never_does():
    table = judged(pd.DataFrame({"name": ["a", "b", "c"], "p": [0.5, 0.001, np.nan]}), ["name"])

    assert list(table["name"]) == ["b", "a", "c"]
    assert list(table["stands_out"]) == [True, False, False]


def test_numbers_are_written_as_people_say_them():
    assert in_a_hundred(0.27) == "27 of 100"
    assert in_a_hundred(0.004) == "0.4 of 100"
    assert in_a_hundred(0) == "0 of 100"
    assert times(2.31) == "2.3 times as often"
    assert times(0.67) == "0.67 times as often"


def cells(days, events, **levels):
    return pd.DataFrame({"days": days, "events": events}).assign(
        **{name: levels.get(name, 0) for name in ADJUSTED_FOR}
    )


def test_a_rate_ratio_by_hand():
    """Ten events in half of the time, twenty in the other half."""
    found = _Alike(cells([1000.0], [30])).compare(np.array([500.0]), np.array([10.0]), "less")

    assert found["expected"] == pytest.approx(15)
    assert found["ratio"] == pytest.approx(0.5, rel=1e-4)
    half = 1.959964 * np.sqrt(1 / 10 + 1 / 20)
    assert found["ratio_low"] == pytest.approx(0.5 * np.exp(-half), rel=1e-3)
    assert found["ratio_high"] == pytest.approx(0.5 * np.exp(half), rel=1e-3)
    assert found["p"] == pytest.approx(0.0339, abs=1e-4)  # (10 - 15) / sqrt(30 / 4) = -1.826


def test_customers_alike_are_compared():
    """In each segment the rate is the same with and without; crudely, exposed time looks thrice."""
    table = cells([1000.0, 1000.0], [10, 90], wide_segment=["calm", "rough"])
    found = _Alike(table).compare(np.array([200.0, 800.0]), np.array([2.0, 72.0]), "more")

    crude = (74 / 1000) / (26 / 1000)
    assert crude == pytest.approx(2.846, abs=1e-3)
    assert found["ratio"] == pytest.approx(1, abs=1e-6)
    assert found["p"] == pytest.approx(0.5, abs=1e-6)


def test_too_little_is_not_compared():
    found = _Alike(cells([1000.0], [30])).compare(np.array([100.0]), np.array([0.0]), "less")

    assert found["expected"] == pytest.approx(3)
    assert np.isnan([found["p"], found["ratio"]]).all()


def test_bad_fit_by_hand(at_risk):
    """Ten of the twenty partners fit badly, nobody from the web; the one seller has nobody beside."""
    table = bad_fit(at_risk()).rows
    partner = row(table, group="partner")

    assert (partner["accounts"], partner["bad_fit"]) == (20, 10)
    assert (partner["share"], partner["share_elsewhere"]) == (0.5, 0)
    # all ten of the bad among twenty of forty: C(20, 10) / C(40, 10)
    assert partner["p"] == pytest.approx(184_756 / 847_660_528)
    assert partner["says"] == (
        "acquisition channel partner: 50 of 100 customers do not fit, elsewhere 0 of 100."
    )
    assert "ae-1" not in set(table["group"])


def test_recorded_reasons_count_as_bad_fit(at_risk):
    outcomes = pd.DataFrame(
        {
            "account_id": ["A30"],
            "happened_on": [pd.Timestamp("2024-06-01")],
            "outcome": ["churned"],
            "reason": ["bad_fit_customer_sold"],
        }
    )
    table = bad_fit(at_risk(outcomes=outcomes)).rows

    assert row(table, group="partner")["bad_fit"] == 11


def test_hand_offs_by_hand(at_risk):
    """All ten that left were handed over without goals: they are lost, and none of the others."""
    loop = hand_offs(at_risk())
    goals = row(loop.rows, missing="goals")

    assert (goals["accounts"], goals["events"]) == (20, 10)
    assert row(loop.rows, missing="nothing")["events"] == 0
    assert loop.findings[0].startswith("Handed over without")


def test_activation_by_hand(at_risk):
    """Of even accounts all reach it on day 31, of odd ones half; who left without it stays counted."""
    milestones = pd.DataFrame(
        {
            "account_id": [f"A{number:02d}" for number in range(MANY)],
            "milestone": "first_value",
            "due_on": START + pd.Timedelta(days=40),
            "completed_on": [
                START + pd.Timedelta(days=31) if number % 2 == 0 or number % 4 == 1 else pd.NaT
                for number in range(MANY)
            ],
            "is_activation": True,
        }
    )
    loop = activation(at_risk(milestones=milestones))
    even, odd = row(loop.rows, segment="even"), row(loop.rows, segment="odd")

    assert even["day"] == 60
    assert (even["share"], odd["share"]) == (1, 0.5)
    assert (even["median_days"], even["faster"], odd["faster"]) == (31, True, False)
    assert loop.findings == [
        "even: 100 of 100 are activated by day 60, elsewhere 50 of 100.",
        "odd: 50 of 100 are activated by day 60, elsewhere 100 of 100.",
    ]


def test_features_are_associated_with_who_stays(at_risk):
    """Those that use reports stay; everybody uses search, which is therefore not compared."""
    users = [("search", number, 0) for number in range(MANY)]
    users += [("reports" if number < MANY // 2 else "search", number, 5) for number in range(MANY)]
    usage = pd.DataFrame(users, columns=["feature", "number", "day"])
    usage["account_id"] = [f"A{number:02d}" for number in usage["number"]]
    usage["happened_at"] = START + pd.to_timedelta(usage["day"], unit="D") + pd.Timedelta(hours=9)
    usage["event_id"] = [f"E{number}" for number in range(len(usage))]
    loop = features(at_risk(usage_events=usage.drop(columns=["number", "day"])))
    reports, search = row(loop.rows, feature="reports"), row(loop.rows, feature="search")

    assert (reports["accounts"], reports["share"], reports["events"]) == (20, 0.5, 0)
    assert reports["expected"] > 1
    assert search["share"] == 1
    assert np.isnan(search["p"])


def test_gaps_by_hand(at_risk):
    """Eight of the ten that left asked for exports thirty days before, and one that stayed did lately."""
    asked = [(number, 1) for number in range(32, 40)]
    meetings = pd.DataFrame(
        {
            "account_id": [f"A{number}" for number, _ in asked] + ["A05"],
            "happened_at": [
                pd.Timestamp("2024-05-02 10:00") + pd.Timedelta(days=20 * (number - 30))
                for number, _ in asked
            ]
            + [pd.Timestamp("2024-12-01 10:00")],
            "kind": "meeting",
            "topic": "gap:bulk_export",
        }
    )
    loop = gaps(at_risk(touchpoints=meetings))
    health = row(loop.rows, gap="bulk export", industry="health")

    assert (health["accounts"], health["lost"], health["arr_lost"]) == (8, 8, 9600)
    assert row(loop.rows, industry="retail")["arr_open"] == 1200
    years = health["lost"] / health["rate"] * 100
    # retail: twenty customers from the day before the first loss to the last day
    retail = 20 * (KNOWN_ON - date(2024, 5, 31)).days / 365.25
    assert health["p"] == pytest.approx((years / (years + retail)) ** 8)
    assert row(loop.rows, industry="all industries")["lost"] == 8


def test_growth_after_a_signal(at_risk):
    """Twelve of the twelve customers with a sign grow within a month; of the others nobody does."""
    tables = company()
    contracts = tables["contracts"].to_pandas()[
        ["contract_id", "account_id", "starts_on", "cancelled_on", "arr"]
    ]
    more = contracts.head(12).assign(
        contract_id=[f"M{number}" for number in range(12)],
        starts_on=[pd.Timestamp("2024-07-01") + pd.Timedelta(days=5 * number) for number in range(12)],
        arr=300.0,
    )
    signals = pd.DataFrame(
        {
            "account_id": more["account_id"],
            "happened_at": pd.to_datetime(more["starts_on"]) - pd.Timedelta(days=20),
            "kind": "new_department",
        }
    )
    loop = before_expansion(at_risk(contracts=pd.concat([contracts, more]), signals=signals))
    sign = row(loop.rows, before="sign: new department")

    assert (sign["accounts"], sign["events"]) == (12, 12)
    assert sign["p"] < 1e-6
    assert len(loop.findings) == 1


def test_reasons_with_product_trouble_before(at_risk):
    """Of ten lost for a missing capability all had asked for it; the five unknown had not."""
    outcomes = pd.DataFrame(
        {
            "account_id": [f"A{number}" for number in range(30, 40)],
            "happened_on": pd.Timestamp("2024-06-01") + pd.to_timedelta(20 * np.arange(10), unit="D"),
            "outcome": "churned",
            "reason": ["missing_product_capability"] * 7 + ["unknown"] * 3,
        }
    )
    tickets = pd.DataFrame(
        {
            "ticket_id": [f"T{number}" for number in range(7)],
            "account_id": [f"A{number}" for number in range(30, 37)],
            "opened_at": pd.Timestamp("2024-05-20 09:00") + pd.to_timedelta(20 * np.arange(7), unit="D"),
            "kind": "feature_gap",
        }
    )
    loop = addressable(at_risk(outcomes=outcomes, tickets=tickets), {"missing_product_capability": "product"})
    missing = row(loop.rows, reason="missing product capability")

    assert (missing["lost"], missing["arr_lost"], missing["decides"], missing["events"]) == (
        7,
        8400,
        "product",
        7,
    )
    assert missing["share"] == pytest.approx(0.7)
    assert row(loop.rows, reason="unknown")["decides"] is None


def test_a_late_renewal_is_no_loss(at_risk):
    """Of nine contracts ended by 1 December, that of 8 November may yet renew until 10 December."""
    lives = at_risk().frame("SELECT * FROM lives ORDER BY account_id")

    assert lives["ended"].sum() == 10
    assert set(lives.loc[lives["ended"], "arr"]) == {1200}
    ended = customers_at_risk(company(), date(2024, 12, 1), 30, 2)
    assert ended.frame("SELECT count(*) AS n FROM lives WHERE ended")["n"].iloc[0] == 8
    ended.con.close()


def test_every_loop_answers_or_says_what_it_lacks():
    loops = feedback_loops(company(), KNOWN_ON, 30, 2)

    assert [loop.receiver for loop in loops] == ["sales"] * 2 + ["marketing"] + ["product"] * 5
    lacking = {loop.name: loop.lacks for loop in loops if loop.lacks}
    assert set(lacking) == {"activation", "features", "gaps", "before_expansion", "addressable"}
    assert lacking["features"] == "Needs `usage_events`: add features/sources/usage_events.sql."
    for loop in loops:
        told = loop.to_json()
        assert told["question"].endswith("?")
        assert all("p_adjusted" in one and "stands_out" in one for one in told["rows"])


def test_without_contracts_nobody_knows_who_stayed():
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [START]})

    with pytest.raises(TableError, match="who stayed and who left"):
        feedback_loops(tables_from_frames({"accounts": accounts}), KNOWN_ON, 30)
