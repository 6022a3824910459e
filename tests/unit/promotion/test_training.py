"""Training end to end on a small simulated company: record, registry, export, and what serves."""

import json
from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from lifecycle_ml.errors import BundleError, ConfigError
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import snapshots
from lifecycle_ml.promotion.training import champion, export, inputs_of, train
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import Workspace, standard_root


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace of its own: the standard features, and a recipe with a small bag."""
    root = tmp_path_factory.mktemp("company")
    (root / "training").mkdir()
    text = (standard_root() / "training" / "churn.toml").read_text(encoding="utf-8")
    text = text.replace("members = 10 ", "members = 4 ").replace('capacity = "auto"', small_trees(40))
    text = text.replace("learning_rate = 0.03", "learning_rate = 0.1")
    (root / "training" / "churn.toml").write_text(text, encoding="utf-8")
    return Workspace(root=root, standard=standard_root())


@pytest.fixture(scope="module")
def company():
    """Tables of 250 accounts over two years."""
    made = simulate_company(11, 250, days=730)
    return tables_from_frames(made.tables), made.first + timedelta(days=730)


@pytest.fixture(scope="module")
def trained(workspace, company):
    """The first training of that company."""
    tables, as_of = company
    settings = Settings.read(workspace.root, environ={"LIFECYCLE_THREADS": "1"})
    steps = []
    predictions = workspace.root / "out" / "predictions.parquet"
    result = train(
        workspace,
        settings,
        "churn",
        tables,
        as_of,
        predictions=predictions,
        progress=lambda step, done, total: steps.append((step, done, total)),
    )
    return settings, result, steps, predictions


pytestmark = pytest.mark.slow


def small_trees(trees):
    """A capacity of one's own, so that a training takes seconds."""
    return (
        f"capacity = {{ trees = {trees}, learning_rate = 0.03, leaves = 6, min_child = 60, l2 = 10.0, "
        "feature_fraction = 0.4 }"
    )


def test_answers_with_the_agreed_document(trained):
    """Exactly the keys of `train --json`, and plain JSON."""
    _, result, _, _ = trained
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(document) == ["recipe", "version", "promoted", "refusals", "metrics", "baselines"]
    assert set(document["baselines"]) >= {"base_rate", "renewal_calendar", "usage_drop", "recency_frequency"}
    for figures in (document["metrics"], *document["baselines"].values()):
        for figure in figures.values():
            assert set(figure) >= {"value", "low", "high"}
    for refusal in document["refusals"]:
        assert set(refusal) == {"rule", "saw", "needs"}


def test_what_may_serve_is_exported_and_loads(trained):
    """The pointer names the digest of what the gate lets serve, and the folder proves it."""
    settings, result, _, _ = trained
    serving = champion(settings, "churn")
    assert serving.digest == result.challenger.serves.digest
    assert result.promoted == (serving.source == "model")
    pointer = json.loads((settings.bundles / "churn.json").read_text())
    assert pointer["digest"] == serving.digest
    assert serving.version == (result.version if result.promoted else "rules")


def test_predictions_are_written_as_agreed(trained):
    """Account, date, horizon, probability, outcome and fold of every out-of-time row."""
    _, result, _, path = trained
    frame = pd.read_parquet(path)
    assert list(frame.columns) == ["account_id", "as_of", "horizon_days", "probability", "outcome", "fold"]
    assert len(frame) == len(result.challenger.predictions)


def test_progress_reaches_its_end(trained):
    """Every step that began is told done."""
    _, _, steps, _ = trained
    assert {step for step, done, total in steps if done == total} == {step for step, _, _ in steps}


def test_the_run_is_recorded_with_card_and_version(trained):
    """Parameters, figures, feature list, fingerprint, card and the registered version."""
    settings, result, _, _ = trained
    from lifecycle_ml.promotion.registry import Registry

    client = Registry.open(settings.mlflow_tracking_uri).client
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["label.headline_days"] == "90"
    assert run.data.tags["data"].startswith("sha256:")
    names = {item.path for item in client.list_artifacts(result.run_id)}
    assert {"model_card.md", "features.json", "figures.json", "rules"} <= names
    if result.version is not None:
        assert "model" in names
        version = client.get_model_version("churn", result.version)
        assert version.tags["digest"] == result.challenger.bundle.digest
        assert version.run_id == result.run_id


def test_training_again_registers_the_same_bundle_once(trained, workspace, company):
    """Same data, same bundle: its run and version are found again, and what serves is not touched."""
    settings, first, _, _ = trained
    tables, as_of = company
    if not first.promoted:
        export(settings, "churn", first.challenger.bundle, "1")
    before = (settings.bundles / "churn.json").read_text()
    second = train(workspace, settings, "churn", tables, as_of)
    assert second.challenger.bundle.digest == first.challenger.bundle.digest
    assert (second.version, second.run_id) == (first.version, first.run_id)
    assert second.promoted == first.promoted
    assert (settings.bundles / "churn.json").read_text() == before


def test_a_training_killed_while_it_was_recorded_is_recorded_once(trained, tmp_path, monkeypatch):
    """Killed between its run and its version, or after it: one run, one version."""
    from lifecycle_ml.promotion.registry import Record, Registry

    _, result, _, _ = trained
    challenger = result.challenger
    record = Record(
        "churn", {"seed": 0}, {"auroc": 0.7}, {}, {"card.md": "x"}, challenger.bundle, challenger.rules
    )
    registry = Registry.open(f"sqlite:///{tmp_path}/mlruns/mlflow.db")

    def killed(*_args, **_kwargs):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(type(registry.client), "create_model_version", killed)
        patch.setattr(type(registry.client), "set_terminated", lambda *_, **__: None)
        with pytest.raises(SystemExit):
            registry.log(record)
    run, version = registry.log(record)
    assert registry.log(record) == (run, version)
    experiment = registry.client.get_experiment_by_name("churn").experiment_id
    (only,) = registry.client.search_runs([experiment])
    assert (only.info.run_id, only.info.status) == (run, "FINISHED")
    versions = registry.client.search_model_versions("name = 'churn'")
    assert [str(found.version) for found in versions] == [version]


def test_expansion_trains_beside_churn(workspace, company, tmp_path):
    """Its own rules, no direction claimed, no reasons to compare, its own words and pointer."""
    tables, as_of = company
    (tmp_path / "training").mkdir()
    text = (standard_root() / "training" / "expansion.toml").read_text(encoding="utf-8")
    text = text.replace("members = 10 ", "members = 3 ").replace('capacity = "auto"', small_trees(30))
    text = text.replace("advisory_from_accounts = 30", "advisory_from_accounts = 5")
    text = text.replace("full_from_accounts = 100", "full_from_accounts = 10")
    (tmp_path / "training" / "expansion.toml").write_text(text, encoding="utf-8")
    small = Workspace(root=tmp_path, standard=standard_root())
    settings = replace(Settings.read(tmp_path, environ={}), threads=1)
    result = train(small, settings, "expansion", tables, as_of)
    document = result.to_json()
    assert {"utilisation", "usage_growth"} <= set(document["baselines"])
    assert "renewal_calendar" not in document["baselines"]
    assert "churn" not in json.dumps(document["refusals"])
    assert "expanded accounts" in result.challenger.tier.says
    assert result.challenger.evaluation.unseen == {}  # three members leave no one out for everybody
    bundle = result.challenger.bundle
    assert (bundle.name, bundle.horizons, bundle.references) == ("expansion", (180,), None)
    features = load_features(small).available(tables)
    assert set(inputs_of(features, load_recipe(small, "expansion")).values()) == {0}
    serving = champion(settings, "expansion")
    assert serving.digest == result.challenger.serves.digest
    assert champion(settings, "churn") is None
    labels = snapshots(tables, load_recipe(small, "expansion"), as_of)
    scored = serving.score(
        build_matrix(tables, features, labels.tail(40)[["account_id", "as_of", "known_at"]])
    )
    assert {"probability_180d", "risk", "band", "lift", "source", "tier"} <= set(scored.columns)
    assert scored["risk"].between(0, 1).all()


def test_a_recipe_whose_tables_are_absent_says_which(workspace, tmp_path):
    """Without contracts the standard recipes cannot be trained, and the message names the table."""
    accounts = pd.DataFrame({"account_id": ["A"], "created_at": [pd.Timestamp("2024-01-01")]})
    settings = Settings.read(tmp_path, environ={})
    with pytest.raises(ConfigError, match=r"training/expansion\.toml: .* needs the table contracts"):
        train(workspace, settings, "expansion", tables_from_frames({"accounts": accounts}), date(2025, 1, 1))


def test_nothing_serves_before_the_first_training(tmp_path):
    """No pointer, no champion."""
    assert champion(Settings.read(tmp_path, environ={}), "churn") is None


def test_a_damaged_champion_gives_way_to_the_one_before(trained, tmp_path):
    """Tampered with, it is not served; without another it is an error."""
    _, result, _, _ = trained
    settings = Settings.read(tmp_path, environ={})
    export(settings, "churn", result.challenger.rules, "rules")
    export(settings, "churn", result.challenger.bundle, "7")
    assert champion(settings, "churn").version == "7"
    folder = settings.bundles / result.challenger.bundle.digest.removeprefix("sha256:")
    (folder / "manifest.json").write_text("{}")
    assert champion(settings, "churn").digest == result.challenger.rules.digest
    rules = settings.bundles / result.challenger.rules.digest.removeprefix("sha256:")
    (rules / "digest").unlink()
    with pytest.raises(BundleError, match=r"manifest\.json was changed"):
        champion(settings, "churn")


def test_as_of_today_and_left_out_features_are_no_inputs(workspace, company):
    """What is overwritten in place, not for models, or left out by the recipe is not learned from."""
    tables, _ = company
    features = load_features(workspace).available(tables)
    recipe = load_recipe(workspace, "churn")
    inputs = inputs_of(features, recipe)
    assert {"icp_fit", "segment", "notice_given"}.isdisjoint(inputs)
    assert inputs["active_users_28d"] == -1
    assert inputs["open_severe_tickets"] == 1
    allowed = inputs_of(features, recipe.model_copy(update={"allow_as_of_today": True}))
    assert "icp_fit" in allowed
    fewer = inputs_of(features, recipe.model_copy(update={"leave_out": ("arr",)}))
    assert set(inputs) - set(fewer) == {"arr"}
    with pytest.raises(ConfigError, match=r"leave_out names 'ar'.*Did you mean 'arr'"):
        inputs_of(features, recipe.model_copy(update={"leave_out": ("ar",)}))


def test_too_short_a_history_is_refused_and_rules_serve(workspace, company, tmp_path):
    """Trained half a year after the first contract, the answer is a number of accounts, not an error."""
    tables, _ = company
    settings = replace(Settings.read(tmp_path, environ={}), threads=1)
    result = train(workspace, settings, "churn", tables, date(2023, 11, 1))
    assert result.promoted is False
    assert result.version is None
    assert result.to_json()["refusals"][0]["rule"] == "too_few_events"
    assert champion(settings, "churn").source == "rules"


def test_mlflow_loads_a_registered_version_without_pickle(trained):
    """`models:/churn/1` scores a matrix as the bundle does."""
    import warnings

    settings, result, _, _ = trained
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        mlflow.set_tracking_uri(settings.mlflow_tracking_uri)
        mlflow.set_registry_uri(settings.mlflow_tracking_uri)
        loaded = mlflow.pyfunc.load_model("models:/churn/1")
    bundle = result.challenger.bundle
    matrix = pd.DataFrame({name: [None] for name in bundle.features}).astype(
        dict.fromkeys(bundle.ranges, "float64")
    )
    matrix = matrix.copy()
    matrix.insert(0, "account_id", "A")
    matrix.insert(1, "as_of", pd.Timestamp("2025-01-01"))
    pd.testing.assert_frame_equal(loaded.predict(matrix), bundle.score(matrix))
