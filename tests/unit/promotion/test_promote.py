"""Champion against challenger: on which rows, by which rule, and what serves when anything goes wrong."""

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from promotion_world import HORIZONS, LAG, World, simulate

from lifecycle_ml.errors import BundleError, ConfigError, LifecycleError
from lifecycle_ml.outcomes.recipe import recorded_recipe
from lifecycle_ml.promotion import comparison, decision
from lifecycle_ml.promotion import promote as promotion
from lifecycle_ml.promotion.challenger import build_challenger
from lifecycle_ml.promotion.comparison import chance_better, compare
from lifecycle_ml.promotion.promote import promote, rollback
from lifecycle_ml.promotion.registry import CHALLENGER, CHAMPION, Record, Registry
from lifecycle_ml.promotion.training import (
    INPUTS,
    PREDICTIONS,
    RECIPE,
    champion,
    export,
    folder_of,
    name_champion,
    pointer_of,
)
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root


class Definitions:
    """Stands for the workspace's feature definitions: their names are all a promotion asks for."""

    def __init__(self, names):
        self.names = tuple(names)

    def __contains__(self, name):
        return name in self.names

    def available(self, _tables):
        return self

    def select(self, names):
        return Definitions(names)


def kept_inputs(inputs, features=None):
    return {name: {"direction": sign, "definition": f"definition of {name}"} for name, sign in inputs.items()}


def known_at(world, through):
    """The world as it was known on an earlier day."""
    stand = pd.Timestamp(through)
    kept = (world.matrix["as_of"] + pd.Timedelta(days=30 + LAG) <= stand).to_numpy()
    labels = world.labels[kept].reset_index(drop=True)
    for horizon in HORIZONS:
        known = labels["as_of"] + pd.Timedelta(days=horizon + LAG) <= stand
        labels[f"outcome_{horizon}d"] = labels[f"outcome_{horizon}d"].where(known)
    return World(world.matrix[kept].reset_index(drop=True), labels, world.inputs, through)


class Trained:
    """A bundle with what its run keeps."""

    def __init__(self, world, recipe, inputs=None, *, data="all"):
        inputs = inputs or world.inputs
        made = build_challenger(
            world.matrix,
            world.labels,
            inputs,
            recipe,
            world.data_through,
            num_threads=1,
            draws=20,
            data={"fingerprint": f"sha256:{data}", "data_through": world.data_through.isoformat()},
        )
        assert made.bundle is not None
        # what the gate says is set by each test: this is about what comes after it
        self.bundle = replace(made.bundle, refusals=())
        self.rules, self.predictions = made.rules, made.predictions
        self.recipe, self.inputs = recipe, inputs

    def record(self, **changes):
        said = {"bundle": self.bundle, "predictions": self.predictions} | changes
        return Record(
            recipe="churn",
            params={"seed": 0},
            metrics={},
            tags={},
            texts={
                RECIPE: json.dumps(self.recipe.model_dump(mode="json")),
                INPUTS: json.dumps(kept_inputs(self.inputs)),
            },
            bundle=said["bundle"],
            rules=self.rules,
            files={PREDICTIONS: said["predictions"].to_parquet(index=False)},
        )


@pytest.fixture(scope="module")
def world():
    """A company whose causes can be learned."""
    return simulate(accounts=700)


@pytest.fixture(scope="module")
def whole(world, recipe):
    """Trained on everything."""
    return Trained(world, recipe)


@pytest.fixture(scope="module")
def earlier(world, recipe):
    """The same recipe, trained three quarters of a year before the end."""
    return Trained(known_at(world, world.data_through - timedelta(days=252)), recipe, data="earlier")


@pytest.fixture(scope="module")
def blind(world, recipe):
    """On the same data as `whole`, without the two features that tell most."""
    few = {name: sign for name, sign in world.inputs.items() if name not in ("tickets", "active_users_28d")}
    return Trained(world, recipe, few)


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory):
    """MLflow's tables, made once: it takes seconds."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    Registry.open(f"sqlite:///{path}")
    return path


class House:
    """A workspace with a registry and a bundles folder of its own."""

    def __init__(self, root, recipe):
        self.root, self.recipe = root, recipe
        self.workspace = Workspace(root=root, standard=standard_root())
        self.settings = replace(Settings.read(root, environ={}), threads=1)
        self.registry = Registry.open(self.settings.mlflow_tracking_uri)

    def register(self, trained, **changes):
        version = self.registry.log(trained.record(**changes))[1]
        assert version is not None
        return version

    def crown(self, trained):
        version = self.register(trained)
        export(self.settings, "churn", trained.bundle, version)
        name_champion(self.registry, self.settings, "churn")
        return version

    def promote(self, **how):
        return promote(self.workspace, self.settings, "churn", object, **{"draws": 300, **how})

    def rollback(self):
        return rollback(self.workspace, self.settings, "churn")

    def aliases(self):
        found = self.registry.client.get_registered_model("churn").aliases
        return {name: str(number) for name, number in found.items()}


@pytest.fixture
def house(tmp_path, empty_registry, world, recipe, monkeypatch):
    """A house in which tables and matrices are those of the small world."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_registry, tmp_path / "mlruns" / "mlflow.db")

    def matrix_of(_tables, features, spine):
        wanted = ["account_id", "as_of", *features.names]
        return spine[["account_id", "as_of"]].merge(world.matrix[wanted], on=["account_id", "as_of"])

    def labels_of(_tables, _recipe, through):
        return known_at(world, through).labels.assign(known_at=lambda rows: rows["as_of"])

    monkeypatch.setattr(comparison, "build_matrix", matrix_of)
    monkeypatch.setattr(comparison, "snapshots", labels_of)
    monkeypatch.setattr(comparison, "recorded_inputs", kept_inputs)
    monkeypatch.setattr(promotion, "load_features", lambda _workspace: Definitions(world.inputs))
    made = House(tmp_path, recipe)
    monkeypatch.setattr(promotion, "load_recipe", lambda _workspace, _name: made.recipe)
    return made


def test_the_champions_own_procedure_on_newer_data_is_a_refresh(house, earlier, whole):
    """Dates after the champion's training are scored by the champion itself; not shown worse, so promoted."""
    house.crown(earlier)
    house.register(whole)
    decided = house.promote()
    assert decided.promoted
    assert decided.decided_by == "refresh"
    seen = decided.comparison
    assert seen.kind == "same_rows"
    later = [day for day in seen.dates if day >= date.fromisoformat(earlier.bundle.data["data_through"])]
    assert len(later) == 3
    assert seen.scored > 300
    # both step by 28 days and stand 252 apart, so earlier dates were predicted in both trainings
    assert seen.recorded == seen.rows - seen.scored > 300
    assert seen.chance_better >= 0.1
    assert champion(house.settings, "churn").digest == whole.bundle.digest
    assert champion(house.settings, "churn").version == "2"
    assert house.aliases() == {"champion": "2"}


def test_the_champion_is_scored_on_what_it_says_not_on_what_its_run_said(house, earlier, whole):
    """The probabilities on later dates are the bundle's, on the matrix of those dates."""
    recorded = comparison.Recorded(whole.predictions, whole.recipe, kept_inputs(whole.inputs), 0)
    rows = comparison.same_rows(None, Definitions(whole.inputs), earlier.bundle, None, recorded, 90)
    matrix = comparison.build_matrix(None, Definitions(whole.inputs), rows)
    expected = earlier.bundle.probabilities(matrix)[:, earlier.bundle.horizons.index(90)]
    np.testing.assert_allclose(rows["champion"], expected)
    assert set(rows["part"]) == {"scored"}


def test_rows_on_which_the_challenger_was_tried_with_less_do_not_count(whole, earlier, house):
    """A cut-off before the champion's data had less to learn from: its later dates prove nothing."""
    recorded = comparison.Recorded(whole.predictions, whole.recipe, kept_inputs(whole.inputs), 0)
    headline = whole.predictions.query("horizon_days == 90")
    starts = sorted(headline.groupby("fold")["as_of"].min())
    late = replace(
        earlier.bundle,
        data=dict(earlier.bundle.data) | {"data_through": str((starts[-1] + pd.Timedelta(days=1)).date())},
    )
    assert (headline["as_of"] > starts[-1]).any()
    assert comparison.same_rows(None, Definitions(whole.inputs), late, None, recorded, 90).empty
    on_time = replace(late, data=dict(late.data) | {"data_through": str(starts[-1].date())})
    rows = comparison.same_rows(None, Definitions(whole.inputs), on_time, None, recorded, 90)
    assert len(rows) == (headline["as_of"] >= starts[-1]).sum()


def test_a_refresh_that_is_shown_worse_is_refused(house, earlier, whole):
    """The same procedure, but what it said of those dates was upside down."""
    house.crown(earlier)
    wrong = whole.predictions.assign(probability=1 - whole.predictions["probability"])
    house.register(whole, predictions=wrong)
    decided = house.promote()
    assert not decided.promoted
    assert [refusal.rule for refusal in decided.refusals] == ["shown_worse"]
    assert decided.comparison.chance_better < 0.1
    assert champion(house.settings, "churn").digest == earlier.bundle.digest


def test_a_changed_recipe_on_the_same_data_is_compared_on_what_both_predicted(house, blind, whole):
    """Rows of both trainings; the challenger sees what the champion does not, and that shows."""
    house.crown(blind)
    house.register(whole)
    decided = house.promote()
    seen = decided.comparison
    assert seen.recorded == seen.rows == (whole.predictions["horizon_days"] == 90).sum()
    assert seen.difference["average_precision"].value > 0
    assert seen.chance_better >= 0.9
    assert (decided.promoted, decided.decided_by) == (True, "comparison")


def test_a_challenger_not_shown_better_is_refused_with_what_would_lift_it(house, blind, whole):
    """It sees less, so it cannot be shown better; what serves and the alias stay."""
    house.crown(whole)
    house.register(blind)
    decided = house.promote()
    assert not decided.promoted
    (refusal,) = decided.refusals
    assert refusal.rule == "not_shown_better"
    assert "average precision 0." in refusal.saw
    assert refusal.needs.startswith("90% (promote_from)")
    assert decided.serves == decided.champion
    assert champion(house.settings, "churn").digest == whole.bundle.digest
    assert house.aliases()["champion"] == "1"
    version = house.registry.client.get_model_version("churn", "2")
    assert version.tags["promotion"].startswith("refused: ")
    document = json.loads(json.dumps(decided.to_json(), allow_nan=False))
    assert document["promoted"] is False
    assert document["comparison"]["kind"] == "same_rows"


def test_an_unsure_gain_names_the_outcomes_that_would_show_it():
    """Half the outcomes needed is a quarter of a gap's square: the number follows the interval."""
    interval = comparison.Interval
    seen = compare(
        pd.DataFrame(
            {
                "account_id": [f"A{number}" for number in range(40)],
                "as_of": pd.Timestamp("2024-01-01"),
                "champion": np.linspace(0.1, 0.4, 40),
                "challenger": np.linspace(0.1, 0.4, 40),
                "outcome": np.tile([0.0, 0.0, 0.0, 1.0], 10),
                "part": "scored",
            }
        ),
        90,
        "same_rows",
        draws=50,
    )
    assert seen.chance_better == 0.5
    assert "nothing here says" in decision.would_lift(seen, 0.9)
    unsure = replace(seen, difference={"average_precision": interval(0.01, -0.0096, 0.0296)})
    # standard error 0.01, so 1.2816 squared times as many as there were
    assert "about 17 accounts with the outcome instead of 10" in decision.would_lift(unsure, 0.9)


def test_with_too_few_common_outcomes_the_procedures_are_compared(house, blind, whole):
    """No row in common: the champion's recipe is trained again on the challenger's dates, as is said."""
    shifted = blind.predictions.assign(as_of=blind.predictions["as_of"] + pd.Timedelta(days=7))
    version = house.register(blind, predictions=shifted)
    export(house.settings, "churn", blind.bundle, version)
    house.register(whole)
    decided = house.promote()
    seen = decided.comparison
    assert seen.kind == "procedures"
    assert seen.repeated == seen.rows > 300
    assert "Too few outcomes to compare the models themselves: 0 churned accounts" in decided.notes[0]
    # what was trained again is what the champion's own training had said of the same rows
    again = blind.predictions.query("horizon_days == 90")
    truth = again.merge(whole.predictions.query("horizon_days == 90"), on=["account_id", "as_of"])
    expected = compare(
        truth.rename(
            columns={"probability_x": "champion", "probability_y": "challenger", "outcome_y": "outcome"}
        ).assign(part="repeated"),
        90,
        "procedures",
        draws=20,
    )
    assert seen.champion["average_precision"].value == pytest.approx(
        expected.champion["average_precision"].value
    )


def test_without_common_rows_and_without_the_champions_run_it_is_refused(house, blind, whole):
    """A champion of another registry cannot be trained again; the answer says what would help."""
    export(house.settings, "churn", blind.bundle, "7")
    house.register(whole)
    decided = house.promote()
    assert [refusal.rule for refusal in decided.refusals] == ["no_common_rows"]
    assert "not in this registry" in decided.refusals[0].saw


def test_a_champion_whose_features_are_defined_otherwise_now_is_not_trained_again(
    house, blind, whole, monkeypatch
):
    """The definition that counts is the one it was trained with."""
    shifted = blind.predictions.assign(as_of=blind.predictions["as_of"] + pd.Timedelta(days=7))
    version = house.register(blind, predictions=shifted)
    export(house.settings, "churn", blind.bundle, version)
    house.register(whole)
    monkeypatch.setattr(
        comparison,
        "recorded_inputs",
        lambda inputs, _features: {
            name: {"direction": sign, "definition": "another" if name == "noise" else f"definition of {name}"}
            for name, sign in inputs.items()
        },
    )
    (refusal,) = house.promote().refusals
    assert refusal.rule == "no_common_rows"
    assert "defined otherwise now (noise)" in refusal.saw


def test_a_refresh_with_too_few_outcomes_to_tell_is_promoted(house, earlier, whole):
    """Nothing shows it worse; the answer says how little was seen."""
    gate = house.recipe.gate.model_copy(update={"min_events": 5000})
    house.recipe = house.recipe.model_copy(update={"gate": gate})
    house.crown(earlier)
    house.register(whole)
    decided = house.promote()
    assert (decided.promoted, decided.decided_by, decided.comparison) == (True, "refresh", None)
    assert "min_events = 5000" in decided.says


def test_the_champions_procedure_on_older_data_is_no_challenger(house, earlier, whole):
    """Going back is what --rollback is for."""
    older = house.register(earlier)
    house.crown(whole)
    (refusal,) = house.promote(version=older).refusals
    assert refusal.rule == "older_data"


def test_what_the_gate_refuses_is_never_promoted(house, earlier, whole):
    """Not even where it would rank better; and no table is read for it."""
    refused = replace(whole.bundle, refusals=({"rule": "no_skill", "saw": "a", "needs": "b"},))
    house.crown(earlier)
    house.register(whole, bundle=refused)

    def never():
        raise AssertionError("tables were read")

    decided = promote(house.workspace, house.settings, "churn", never)
    assert not decided.promoted
    assert decided.refusals[0].to_json() == {"rule": "no_skill", "saw": "a", "needs": "b"}


@pytest.mark.parametrize("rules", [True, False], ids=["a rule serves", "nothing serves"])
def test_where_no_model_serves_the_gate_alone_decides(house, whole, rules):
    """A model that passed the gate needs nobody to beat."""
    if rules:
        export(house.settings, "churn", whole.rules, "rules")
    house.register(whole)
    decided = house.promote()
    assert (decided.promoted, decided.decided_by, decided.comparison) == (True, "gate", None)
    assert champion(house.settings, "churn").digest == whole.bundle.digest


def test_a_challenger_that_cannot_score_here_is_refused(house, whole, monkeypatch):
    """Its features must have definitions in this workspace: otherwise the next night would fail."""
    house.register(whole)
    monkeypatch.setattr(promotion, "load_features", lambda _workspace: Definitions(["noise"]))
    (refusal,) = house.promote().refusals
    assert refusal.rule == "missing_features"
    assert "tickets" in refusal.saw


def test_a_champion_that_cannot_score_any_more_gives_way(house, whole, blind, monkeypatch):
    """With its features gone it could only fail; the gate alone decides."""
    house.crown(whole)
    house.register(blind)
    monkeypatch.setattr(promotion, "load_features", lambda _workspace: Definitions(blind.inputs))
    decided = house.promote()
    assert decided.promoted
    assert "cannot score any more" in decided.says


def test_a_users_mistakes_are_told_with_the_way_out(house, earlier, whole):
    """Nothing registered, an unknown version, the one that serves, nothing newer."""
    with pytest.raises(ConfigError, match=r"no version is registered.*lifecycle train churn"):
        house.promote()
    house.crown(earlier)
    with pytest.raises(ConfigError, match=r"no version '9'\. Registered: 1\."):
        house.promote(version="9")
    with pytest.raises(ConfigError, match="version 1 serves already"):
        house.promote(version="1")
    with pytest.raises(ConfigError, match="version 1, the newest, serves already"):
        house.promote()
    assert champion(house.settings, "churn").digest == earlier.bundle.digest


def test_a_version_without_recorded_predictions_is_told_to_train_again(house, blind, whole):
    """Registered before runs kept them."""
    house.crown(blind)
    house.registry.log(replace(whole.record(), files={}))
    with pytest.raises(ConfigError, match=r"version 2 kept no predictions.*lifecycle train churn"):
        house.promote()


def test_rollback_goes_back_and_a_second_one_forth(house, earlier, whole):
    """Pointer and alias, both ways."""
    house.crown(earlier)
    house.register(whole)
    house.promote()
    back = house.rollback()
    assert (back.serves.version, back.champion.version, back.promoted) == ("1", "2", False)
    assert back.to_json()["rolled_back"] is True
    assert champion(house.settings, "churn").digest == earlier.bundle.digest
    assert house.aliases()["champion"] == "1"
    assert house.rollback().serves.version == "2"
    assert champion(house.settings, "churn").digest == whole.bundle.digest
    assert house.aliases()["champion"] == "2"


def test_rollback_needs_neither_registry_nor_the_bundle_that_serves(house, earlier, whole, monkeypatch):
    """The registry gone, the champion tampered with: back in one call, and what is left undone is said."""
    house.crown(earlier)
    house.register(whole)
    house.promote()
    (folder_of(house.settings, whole.bundle.digest) / "manifest.json").write_text("{}")
    (house.root / "mlruns" / "mlflow.db").rename(house.root / "elsewhere.db")
    back = house.rollback()
    assert back.serves.version == "1"
    assert "The registry was not told" in back.notes[0]
    assert champion(house.settings, "churn").digest == earlier.bundle.digest
    assert not (house.root / "mlruns" / "mlflow.db").exists()
    with pytest.raises(BundleError, match="Nothing was changed"):
        house.rollback()
    assert pointer_of(house.settings, "churn")["digest"] == earlier.bundle.digest
    (house.root / "elsewhere.db").rename(house.root / "mlruns" / "mlflow.db")
    forth = house.rollback()
    assert "fetched from the registry" in forth.notes[0]
    assert champion(house.settings, "churn").digest == whole.bundle.digest


def test_rollback_to_the_rule_takes_the_alias_away(house, whole):
    """A rule is no registered version; the reader learns that the next run trains again."""
    export(house.settings, "churn", whole.rules, "rules")
    house.register(whole)
    house.promote()
    assert house.aliases() == {"champion": "1"}
    back = house.rollback()
    assert back.serves.source == "rules"
    assert "passes the gate serves" in back.notes[0]
    assert house.aliases() == {}


def test_rollback_with_nothing_before_says_so(house, whole):
    """No pointer at all, or a first champion."""
    with pytest.raises(ConfigError, match="nothing serves yet"):
        house.rollback()
    house.crown(whole)
    with pytest.raises(ConfigError, match="version 1 serves and nothing served before it"):
        house.rollback()


@pytest.mark.parametrize("killed_in", ["export", "name_champion"])
def test_a_killed_promotion_leaves_one_champion_whole(house, earlier, whole, monkeypatch, killed_in):
    """Before the pointer the old one serves, after it the new one; the next call mends the alias."""
    house.crown(earlier)
    house.register(whole)
    real = getattr(promotion, killed_in)
    calls = []

    def killed(*arguments, **options):
        calls.append(killed_in)
        # the first call of name_champion mends what was, the second follows the promotion
        if killed_in == "export" or len(calls) == 2:
            raise SystemExit
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(promotion, killed_in, killed)
        with pytest.raises(SystemExit):
            house.promote()
    serving = champion(house.settings, "churn")
    assert serving.digest == (earlier if killed_in == "export" else whole).bundle.digest
    assert house.aliases()["champion"] == "1"
    if killed_in == "export":
        assert house.promote().promoted
    else:
        with pytest.raises(ConfigError, match="serves already"):
            house.promote()
    assert house.aliases()["champion"] == "2"


def test_the_newest_training_beside_a_champion_is_called_challenger(house, earlier, whole):
    """The alias goes when it becomes champion."""
    house.crown(earlier)
    version = house.register(whole)
    name_champion(house.registry, house.settings, "churn", whole.bundle)
    assert house.aliases() == {CHAMPION: "1", CHALLENGER: version}
    house.promote()
    assert house.aliases() == {CHAMPION: version}


def test_a_damaged_pointer_is_written_anew(house, whole):
    """What serves cannot be read, so the gate alone decides, and the answer says it."""
    house.register(whole)
    house.settings.bundles.mkdir(parents=True)
    (house.settings.bundles / "churn.json").write_text("{")
    decided = house.promote()
    assert decided.promoted
    assert "not valid JSON" in decided.notes[0]
    assert champion(house.settings, "churn").digest == whole.bundle.digest


def test_a_registry_that_does_not_answer_is_told_in_words(house, whole, monkeypatch):
    """A fault, not a traceback; and without the password of the address."""
    from mlflow.exceptions import MlflowException

    house.crown(whole)
    monkeypatch.setattr(
        Registry, "versions", lambda *_: (_ for _ in ()).throw(MlflowException("connection refused"))
    )
    with pytest.raises(LifecycleError, match=r"does not answer \(connection refused\).*MLFLOW_TRACKING_URI"):
        house.promote()


def test_chance_better_counts_draws():
    """All, none, or half for equal rankings."""
    rng = np.random.default_rng(1)
    y = (rng.random(400) < 0.2).astype(float)
    groups = np.array([f"A{number % 80}" for number in range(400)], dtype=object)
    good, flat = np.clip(0.1 + 0.6 * y + rng.normal(0, 0.05, 400), 0, 1), rng.random(400)
    assert chance_better(y, good, flat, groups, draws=200) == 1.0
    assert chance_better(y, flat, good, groups, draws=200) == 0.0
    assert chance_better(y, flat, flat, groups, draws=200) == 0.5
    assert np.isnan(chance_better(np.zeros(400), good, flat, groups, draws=20))


def test_a_recipe_comes_back_from_its_record(recipe):
    """Whole, with its label's mode; one of another version is refused in words."""
    document = json.loads(json.dumps(recipe.model_dump(mode="json")))
    again = recorded_recipe(document)
    assert again.model_dump() == recipe.model_dump()
    with pytest.raises(ConfigError, match="another version"):
        recorded_recipe(document | {"unheard_of": 1})
