"""The monitor on a simulated company, from tables to the page: quiet until a feed breaks."""

import json
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from monitor_world import CONFIG, RECIPE, WORKSPACE

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.baselines import PointTable
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.models.rules import RuleModel
from lifecycle_ml.monitor.config import Reference
from lifecycle_ml.monitor.observe import observe, reference_dates
from lifecycle_ml.monitor.report import render
from lifecycle_ml.monitor.verdict import decide, watch
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.promotion.training import describe, inputs_of
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames

DAYS = 800
BRIEF = CONFIG.model_copy(update={"reference": Reference(dates=2)})
"""Fewer reference dates, where the test is about something else."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def company():
    """Tables, the bundle trained five months before their end, and the last as_of."""
    made = simulate_company(5, 400, days=DAYS)
    end = made.first + timedelta(days=DAYS)
    trained = end - timedelta(days=150)
    tables = tables_from_frames(made.tables)
    features = load_features(WORKSPACE).available(tables)
    labels = snapshots(tables, RECIPE, trained)
    names = list(inputs_of(features, RECIPE))
    matrix = build_matrix(tables, features.select(names), labels[["account_id", "as_of", "known_at"]])
    classifier = RiskClassifier(Capacity(n_trees=60, learning_rate=0.1), n_members=2, num_threads=1)
    model = HorizonModel.fit(matrix, labels, features=names, horizons=(30, 90, 180), classifier=classifier)
    bundle = Bundle(
        name="churn",
        tier="full",
        horizons=(30, 90, 180),
        headline=90,
        model=model,
        base_rates={h: float(labels[f"outcome_{h}d"].mean()) for h in (30, 90, 180)},
        band_rates={"low": 0.02, "medium": 0.06, "high": 0.2},
        data=describe(labels, tables.fingerprint, trained),
    )
    return made.tables, tables, bundle, end


@pytest.fixture(scope="module")
def seen(company):
    """What is to be seen at the end of the data."""
    _, tables, bundle, end = company
    return observe(tables, load_features(WORKSPACE), bundle, RECIPE, CONFIG, end)


def test_a_company_in_which_nothing_happened_has_nothing_to_do(seen):
    """Ageing accounts, seasons, weekdays and a changing book are no drift."""
    verdict = decide(seen, CONFIG)
    assert verdict.word == "do nothing", verdict.says
    assert [item.feature for item in seen.drifts if item.drifted] == []


def test_the_reference_lies_on_the_dates_of_training_moved_to_the_weekday(company, seen):
    """As many as configured, none later than the newest snapshot of the training."""
    _, _, bundle, end = company
    dates = reference_dates(bundle, RECIPE, CONFIG, end)
    assert seen.reference_dates == dates
    assert len(dates) == CONFIG.reference.dates
    assert {day.weekday() for day in dates} == {end.weekday()}
    assert str(dates[-1]) <= bundle.data["last"]


def test_outcomes_are_read_only_of_snapshots_after_the_training(company, seen):
    """The headline's newest cohort is final; the month's comes on later dates."""
    _, _, bundle, end = company
    trained = end - timedelta(days=150)
    for realised in seen.realised.values():
        assert realised.cohorts[0] >= trained
        assert realised.known_through <= end - timedelta(days=realised.horizon_days + 32)
    assert seen.realised[30].cohorts[-1] > seen.realised[90].cohorts[-1]
    assert bundle.data["data_through"] == str(trained)


def test_published_scores_take_the_place_of_scores_given_again(company):
    """What the store holds is judged as it was published."""
    _, tables, bundle, end = company
    day = end - timedelta(days=122)
    accounts = tables["accounts"].account_id.execute().astype(str)
    published = pd.DataFrame({"account_id": accounts, "as_of": pd.Timestamp(day), "probability": 0.5})
    found = observe(tables, load_features(WORKSPACE), bundle, RECIPE, BRIEF, end, published)
    assert found.realised[90].expected == 0.5
    assert found.realised[90].cohorts == (day,)


def test_a_usage_feed_that_stopped_is_a_feed_to_fix(company):
    """Named, with the part of the lean that rests on it, before the drift it makes."""
    frames, _, bundle, end = company
    events = frames["usage_events"]
    stopped = pd.to_datetime(events["happened_at"]) < pd.Timestamp(end) - pd.Timedelta(days=20)
    tables = tables_from_frames({**frames, "usage_events": events[stopped.to_numpy()]})
    verdict = watch(tables, load_features(WORKSPACE), bundle, RECIPE, BRIEF, end)
    assert verdict.word == "fix feed"
    assert "usage_events" in verdict.says
    assert "brought nothing in the" in verdict.evidence[0].says
    assert verdict.accounts == verdict.details["scored"]
    assert verdict.arr > 0


def test_a_table_that_is_gone_is_a_feed_to_fix_and_no_crash(company):
    """The features that cannot be built are counted and named."""
    frames, _, bundle, end = company
    tables = tables_from_frames({name: frame for name, frame in frames.items() if name != "tickets"})
    verdict = watch(tables, load_features(WORKSPACE), bundle, RECIPE, CONFIG, end)
    assert verdict.word == "fix feed"
    assert "cannot be built any more" in verdict.evidence[0].says
    assert verdict.accounts > 0


def test_where_rules_serve_feeds_are_watched_and_nothing_is_retrained(company):
    """No lean, no drift verdict; it says that rules serve."""
    _, tables, bundle, end = company
    model = RuleModel("points", PointTable.of(RECIPE), 0.06, 0.2)
    rules = replace(bundle, model=model, tier="insufficient")
    verdict = watch(tables, load_features(WORKSPACE), rules, RECIPE, BRIEF, end)
    assert verdict.word == "do nothing"
    assert any(item.kind == "rules" for item in verdict.evidence)


def test_the_report_is_a_page_and_a_document(seen, tmp_path):
    """The page opens with our verdict, needs no network, and its pictures carry our word about drift."""
    verdict = decide(seen, CONFIG)
    page, document = render(verdict, seen, tmp_path / "report")
    html = page.read_text(encoding="utf-8")
    assert "<h1>Verdict: do nothing</h1>" in html
    assert html.index("<main class='verdict'>") < html.index('<div id="root_')
    assert "Drift in column 'risk'" in html
    assert "DATA DISTRIBUTION" in html
    assert "DATA DRIFT" not in html
    assert 'src="http' not in html
    assert "Data drift detected" not in html
    assert page.stat().st_size < 8_000_000
    told = json.loads(document.read_text(encoding="utf-8"))
    assert told["verdict"] == "do nothing"
    assert len(told["evidently"]["metrics"]) == 31
    assert sorted(path.name for path in page.parent.iterdir()) == ["drift.html", "drift.json"]
