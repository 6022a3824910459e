"""Each of the five verdicts, from a situation made to call for it and for no other."""

import json

import pytest
from monitor_world import AS_OF, CONFIG, FEATURES, MATURE, book, look, outcomes, trained

from lifecycle_ml.monitor.drift import Snapshots
from lifecycle_ml.monitor.quality import Fault, absent_fault
from lifecycle_ml.monitor.verdict import decide


def today(**moved):
    """Today's accounts, with features moved by so much."""
    current = book([AS_OF], seed=5)
    return Snapshots(
        current.matrix.assign(**{name: current.matrix[name] + by for name, by in moved.items()}),
        current.age_days,
    )


def earlier(**moved):
    """Accounts on dates whose outcomes are known by now."""
    known = book(MATURE, seed=6)
    return Snapshots(
        known.matrix.assign(**{name: known.matrix[name] + by for name, by in moved.items()}), known.age_days
    )


def test_nothing_moved_and_outcomes_agree_is_nothing_to_do():
    """No owner, no date, no accounts: and when the truth is known."""
    known = earlier()
    verdict = decide(look(today(), known=known, labels=outcomes(known)), CONFIG)
    assert (verdict.word, verdict.owner_role, verdict.due_on, verdict.accounts) == (
        "do nothing",
        None,
        None,
        0,
    )
    assert str(verdict.truth_known_through) == "2026-08-07"
    assert "2026-08-07" in verdict.do


def test_a_broken_feed_comes_before_everything_it_makes_look_wrong():
    """Drift and lost ranking behind a broken feed are not the model's fault."""
    fault = Fault("feed_late", "usage_events", ("use",), 0.5, weighs=True, says="`usage_events` is late.")
    known = earlier()
    seen = look(today(use=-2.0), known=known, labels=outcomes(known, ranked=False), faults=[fault])
    verdict = decide(seen, CONFIG)
    assert (verdict.word, verdict.owner_role) == ("fix feed", "operations")
    assert verdict.accounts == 900
    assert verdict.arr == 900_000
    assert "usage_events" in verdict.says
    assert (verdict.due_on - AS_OF).days == CONFIG.verdicts.fix_feed.due_days


def test_a_fault_nobody_leans_on_is_told_and_weighs_nothing():
    """It is evidence, not an errand."""
    fault = Fault("feed_late", "invoices", (), 0.0, weighs=False, says="`invoices` is late.")
    verdict = decide(look(today(), faults=[fault]), CONFIG)
    assert verdict.word == "do nothing"
    assert [item.says for item in verdict.evidence if item.kind == "feed_late"] == ["`invoices` is late."]


def test_features_that_cannot_be_built_are_a_feed_to_fix():
    """The fault names them and says what to do."""
    fault = absent_fault(["use", "tickets"])
    verdict = decide(look(today(), faults=[fault]), CONFIG)
    assert verdict.word == "fix feed"
    assert "use, tickets" in verdict.evidence[0].says


def test_drift_of_a_feature_the_model_leans_on_is_a_case_for_retraining():
    """Named with its lean, from how many to how many, and the accounts it concerns."""
    verdict = decide(look(today(use=-1.0)), CONFIG)
    assert verdict.word == "retrain"
    assert [item.kind for item in verdict.evidence if item.weighs] == ["drift"]
    assert "`use`" in verdict.evidence[0].says
    assert 300 < verdict.accounts < 900
    assert verdict.arr == 1000.0 * verdict.accounts
    assert len(verdict.account_ids) == 10


def test_drift_of_a_feature_the_model_ignores_is_not():
    """However far it moved."""
    verdict = decide(look(today(noise=3.0)), CONFIG)
    assert verdict.word == "do nothing"
    assert all(item.kind != "drift" for item in verdict.evidence)


def test_drift_that_known_outcomes_show_the_model_copes_with_is_not():
    """The accounts whose outcomes are known had moved already, and the scores were right about them."""
    known = earlier(use=-1.0)
    verdict = decide(look(today(use=-1.0), known=known, labels=outcomes(known)), CONFIG)
    assert verdict.word != "retrain"
    assert any(item.kind == "drift" and not item.weighs for item in verdict.evidence)


def test_several_drifted_features_of_one_table_point_to_it():
    """Half a feed lost looks like drift."""
    verdict = decide(look(today(use=-1.0, tickets=3.0)), CONFIG)
    assert verdict.word == "retrain"
    (says,) = (item.says for item in verdict.evidence if item.kind == "one_source")
    assert says.startswith("All 2 read `usage_events`")


def test_a_lost_ranking_is_a_case_for_retraining():
    """Outcomes that have nothing to do with the scores."""
    known = earlier()
    verdict = decide(look(today(), known=known, labels=outcomes(known, ranked=False)), CONFIG)
    assert verdict.word == "retrain"
    assert verdict.evidence[0].kind == "auroc"
    assert verdict.accounts == 900


@pytest.mark.parametrize(("shift", "way"), [(0.9, "too low"), (-1.2, "too high")])
def test_a_ranking_that_holds_at_the_wrong_level_is_to_be_recalibrated(shift, way):
    """Accounts concerned are those whose band would be another."""
    known = earlier()
    verdict = decide(look(today(), known=known, labels=outcomes(known, shift)), CONFIG)
    assert (verdict.word, verdict.evidence[0].kind) == ("recalibrate", "calibration")
    assert way in verdict.says
    assert 0 < verdict.accounts < 900


def test_a_base_rate_that_moved_under_right_probabilities_moves_the_threshold():
    """Use fell everywhere long ago, the scores knew, and twice as many accounts count as high."""
    known = earlier(use=-1.0)
    verdict = decide(look(today(use=-1.0), known=known, labels=outcomes(known)), CONFIG)
    assert (verdict.word, verdict.owner_role) == ("move threshold", "cs_lead")
    assert "times as frequent" in verdict.says
    assert 0 < verdict.accounts < 900


def test_too_few_accounts_are_not_judged():
    """Thirty accounts, moved far: said, and no verdict made of it."""
    current = today(use=-2.0)
    few = Snapshots(current.matrix.head(30), current.age_days[:30])
    verdict = decide(look(few), CONFIG)
    assert verdict.word == "do nothing"
    assert "too few" in verdict.says


def test_the_document_is_plain_json_with_the_agreed_keys():
    """What `monitor --json` prints."""
    known = earlier()
    verdict = decide(look(today(use=-1.0), known=known, labels=outcomes(known)), CONFIG)
    document = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert {"verdict", "evidence", "truth_known_through", "accounts", "arr", "owner_role", "due_on"} <= set(
        document
    )
    assert document["features"][0]["feature"] in FEATURES
    assert document["model"]["digest"] == trained()[0].digest
    assert document["performance"]["realised"][0]["horizon_days"] == 90
    assert document["performance"]["estimated"]["known_on"] > document["as_of"]
