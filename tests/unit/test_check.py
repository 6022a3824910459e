"""`check` joins what is wrong with the data to what it costs."""

import json
from datetime import date

import pandas as pd
import pytest

from lifecycle_ml.check import check, price, recipes, required
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.reasons.taxonomy import load_taxonomy
from lifecycle_ml.settings import Settings
from lifecycle_ml.tables.findings import Costs
from lifecycle_ml.tables.rules import found
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, load_workspace, standard_root

AS_OF = date(2024, 6, 30)
ACCOUNTS = pd.DataFrame({"account_id": ["a"], "created_at": ["2024-01-01"]})
CONTRACTS = pd.DataFrame(
    {"contract_id": ["c"], "account_id": ["a"], "starts_on": ["2024-01-02"], "arr": [1200], "seats": [10]}
)
TICKETS = pd.DataFrame(
    {"ticket_id": ["t"], "account_id": ["a"], "opened_at": ["2024-03-01"], "severity": [1], "csat": [5]}
)


@pytest.fixture(scope="module")
def standard():
    """Return the standard workspace with its features."""
    return Workspace(standard_root(), standard_root())


def report(workspace, **frames):
    tables = tables_from_frames({"accounts": ACCOUNTS, "contracts": CONTRACTS} | frames)
    return check(workspace, Settings.read(workspace.root, {}), AS_OF, tables=tables)


def one(report, rule, table, column=None):
    (found,) = (f for f in report.findings if (f.rule, f.table, f.column) == (rule, table, column))
    return found


def test_an_absent_table_costs_its_features_and_categories(standard):
    """Without tickets nothing speaks for service failures; with them something does."""
    costs = one(report(standard), "table_absent", "tickets").costs
    assert "open_severe_tickets" in costs.features
    assert "service_support_failure" in costs.categories
    left = one(report(standard, tickets=TICKETS), "table_absent", "touchpoints").costs
    assert "service_support_failure" not in left.categories


def test_an_absent_column_costs_the_features_that_need_it(standard):
    """Tickets without a kind leave the severe ones countable, not the feature gaps."""
    costs = one(report(standard, tickets=TICKETS), "column_absent", "tickets", "kind").costs
    assert "feature_gap_tickets_168d" in costs.features
    assert "open_severe_tickets" not in costs.features


def test_columns_no_feature_needs_are_not_mentioned(standard):
    """Advice is about what would bring something."""
    columns = {f.column for f in report(standard, tickets=TICKETS).findings if f.rule == "column_absent"}
    assert "acquisition_cost" not in columns


def test_check_says_where_two_tables_disagree(standard):
    """Recorded as churned, with a contract in force: a warning with both, no error, and nothing it costs."""
    outcomes = pd.DataFrame({"account_id": ["a"], "happened_on": ["2024-03-01"], "outcome": ["churned"]})
    made = report(standard, outcomes=outcomes)
    finding = one(made, "outcome_contradicted", "outcomes", "outcome")
    assert finding.examples == ("a: recorded as churned on 2024-03-01; contract c in force 30 days later",)
    assert "ARR that hangs on it: 1,200." in finding.advice
    assert finding.costs == Costs()
    assert made.ok


def test_a_late_feed_costs_every_feature_that_leans_on_it(standard):
    """Their values are old, so scores are provisional."""
    days = pd.date_range("2024-01-02", "2024-05-31").strftime("%Y-%m-%dT12:00:00")
    events = pd.DataFrame({"account_id": "a", "happened_at": days, "user_id": "u"})
    made = report(standard, usage_events=events)
    late = one(made, "feed_late", "usage_events", "known_at")
    assert "active_users_28d" in late.costs.features
    assert late in made.provisional
    assert made.ok


def test_a_column_overwritten_in_place_costs_the_features_that_rest_on_it(standard):
    """Segment is as of today."""
    made = report(standard, accounts=ACCOUNTS.assign(segment="smb"))
    assert one(made, "as_of_today", "accounts", "segment").costs.features == ("segment",)


def test_a_kind_that_never_occurs_is_said_with_the_features_that_count_it(standard):
    """No admin event in all of the data is more likely not recorded than not done."""
    events = pd.DataFrame(
        {"account_id": "a", "happened_at": ["2024-06-28", "2024-06-29"], "kind": ["use", "key"], "users": 3}
    )
    absent = one(report(standard, usage_events=events), "value_absent", "usage_events", "kind")
    assert "admin_events_28d" in absent.costs.features
    assert "key_events_28d" not in absent.costs.features
    assert "active_users_28d" not in absent.costs.features


def test_json_has_the_keys_machines_read(standard):
    """The shape is a contract; it survives a round trip."""
    made = report(standard, contracts=pd.concat([CONTRACTS, CONTRACTS.assign(contract_id="d", arr=-1)]))
    read = json.loads(json.dumps(made.to_json()))
    assert read["ok"] is True
    keys = {"severity", "rule", "table", "column", "rows", "examples", "advice", "costs"}
    assert all(set(finding) == keys for finding in read["findings"])
    assert all(set(finding["costs"]) == {"features", "categories"} for finding in read["findings"])
    assert read["findings"][0]["rule"] == "negative_arr"
    assert read["findings"][0]["examples"] == ["d"]


def test_an_error_makes_the_report_not_ok_and_costs_the_table(tmp_path):
    """`run` must not go on; what rests on the broken table is lost meanwhile."""
    (tmp_path / "training").mkdir()
    (tmp_path / "data").mkdir()
    ACCOUNTS.to_csv(tmp_path / "data" / "accounts.csv", index=False)
    CONTRACTS.to_csv(tmp_path / "data" / "contracts.csv", index=False)
    TICKETS.drop(columns="opened_at").to_csv(tmp_path / "data" / "tickets.csv", index=False)
    made = check(load_workspace(tmp_path), Settings.read(tmp_path, {}), AS_OF)
    assert not made.ok
    broken = one(made, "column_missing", "tickets", "opened_at")
    assert made.of("error") == (broken,)
    assert "open_severe_tickets" in broken.costs.features


def test_lines_count_and_say_what_is_lost(standard):
    """For people: one line per finding, the sum at the end."""
    lines = report(standard).lines()
    assert lines[-1].startswith("0 errors, 0 warnings, ")
    assert any("champion_left" in line and "champions_left_180d" in line for line in lines)


def test_pricing_is_free_where_nothing_is_lost(standard):
    """With every column filled, only kinds that one row cannot all show cost a feature."""
    frames = {name: filled(schema) for name, schema in SCHEMAS.items()}
    features = load_features(standard)
    tables = tables_from_frames(frames)
    assert {feature.name for feature in features if feature.lacks(tables)} == set()
    taxonomy = load_taxonomy(standard, features.names)
    priced = price(tables.findings, tables, features, taxonomy)
    assert {finding.rule for finding in priced if finding.costs != Costs()} == {"value_absent"}


def filled(schema):
    """Make one row of a table with a value in every column."""
    by_type = {
        "VARCHAR": "a",
        "VARCHAR[]": ["x"],
        "BIGINT": 1,
        "DECIMAL(18, 4)": 1.0,
        "BOOLEAN": True,
        "DATE": "2024-02-01",
        "TIMESTAMP": "2024-02-01",
    }
    return pd.DataFrame([{c.name: c.values[0] if c.values else by_type[c.type] for c in schema.columns}])


def test_what_the_churn_recipe_needs_is_required(standard):
    """Without contracts the standard recipe cannot label anybody: an error that names the recipe."""
    made = check(
        standard, Settings.read(standard.root, {}), AS_OF, tables=tables_from_frames({"accounts": ACCOUNTS})
    )
    missing = one(made, "table_missing", "contracts")
    assert not made.ok
    assert "training/churn.toml" in missing.advice
    assert one(made, "recipe_skipped", "contracts").severity == "advice"


def test_a_table_that_could_not_be_read_is_not_said_to_be_missing(standard):
    """It has an error of its own, which is the one to mend."""
    tables = tables_from_frames({"accounts": ACCOUNTS})
    unread = found("wrong_type", "contracts", "arr", rows=1, advice="1 value cannot be read.")
    assert required([unread], tables, recipes(standard)) == [unread]


def test_churn_by_inactivity_needs_use_and_no_contracts(tmp_path):
    """A workspace whose churn recipe looks at use does without contracts; the inherited expansion cannot."""
    own = (standard_root() / "training" / "churn.toml").read_text(encoding="utf-8")
    label = own[own.index("[label]") : own.index("[snapshots]")]
    inactive = (
        '[label]\nmode = "inactivity"\nhorizon_days = 90\nactive_within_days = 90\narrival_lag_days = 0\n\n'
    )
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "churn.toml").write_text(own.replace(label, inactive), encoding="utf-8")
    events = pd.DataFrame({"account_id": ["a"], "happened_at": ["2024-06-01"], "user_id": ["u"]})
    workspace = load_workspace(tmp_path)
    made = check(
        workspace,
        Settings.read(tmp_path, {}),
        AS_OF,
        tables=tables_from_frames({"accounts": ACCOUNTS, "usage_events": events}),
    )
    assert made.ok
    assert "training/expansion.toml" in one(made, "recipe_skipped", "contracts").advice


def test_rules_that_wait_for_a_table_are_named(standard):
    """Without tickets the trigger on premium questions and the fact on severe tickets can never fire."""
    waiting = one(report(standard), "rule_idle", "tickets")
    assert waiting.severity == "advice"
    assert "never fires" in waiting.advice
    assert any("severe_ticket" in rule for rule in waiting.examples)


def handing_over(standard, *fields):
    """Return findings about hand-off fields, where two accounts lack these and a third lacks none."""
    accounts = pd.DataFrame(
        {
            "account_id": ["a", "b", "c"],
            "created_at": ["2024-01-01"] * 3,
            "handoff_missing": [list(fields), list(fields[:1]), []],
        }
    )
    return [f for f in report(standard, accounts=accounts).findings if f.rule == "hand_off_field_unknown"]


def test_hand_off_fields_that_nobody_requires_are_named_with_the_nearest_required_one(standard):
    """A source that spells a field its own way would hide what sales left empty."""
    (finding,) = handing_over(standard, "goal", "known_risks", "phone")

    assert (finding.severity, finding.table, finding.column) == ("warning", "accounts", "handoff_missing")
    assert (finding.rows, finding.examples) == (2, ("goal", "phone"))
    assert finding.advice == (
        "2 rows of `accounts` name hand-off fields that serving/motion.toml does not require: 'goal' (2), "
        "'phone' (1). Did you mean 'goals'? Map them in features/sources/accounts.sql, or list them under "
        "[hand_off]."
    )


def test_required_hand_off_fields_are_no_finding(standard):
    """Nor is a source that does not say what is missing."""
    assert handing_over(standard, "goals", "known_risks") == []
    assert not [f for f in report(standard).findings if f.rule == "hand_off_field_unknown"]


def test_topics_that_never_occur_are_named_with_the_evidence_they_would_show(standard):
    """One of an evidence's topics is enough; without any topic nothing is said, for nobody records them."""

    def unseen(*topics):
        touchpoints = pd.DataFrame(
            {"account_id": "a", "happened_at": "2024-05-01", "kind": "meeting", "topic": list(topics)}
        )
        made = report(standard, touchpoints=touchpoints)
        return [finding for finding in made.findings if finding.rule == "evidence_unseen"]

    (finding,) = unseen("pricing", "stakeholder_map", "value_review", "small talk")
    assert (finding.severity, finding.table, finding.column) == ("advice", "touchpoints", "topic")
    assert "only finished steps show: Mitigation or expansion plan; Paperwork with their" in finding.advice
    assert (
        "`touchpoints.topic` is never mitigation_plan, expansion_plan, success_plan, paperwork"
        in finding.advice
    )
    assert unseen("pricing", "stakeholder_map", "value_review", "success_plan", "order_form") == []
    assert unseen(None, None) == []
