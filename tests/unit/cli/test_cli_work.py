"""What `lifecycle train` says on the terminal beside its table."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.store.stored_examples import publish, reading

from lifecycle_ml.cli.work import _interventions, show_training, warm_up
from lifecycle_ml.errors import TableError
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.store import Store
from lifecycle_ml.workspace import Workspace, standard_root


def trained(worse):
    """A training that passed the gate."""
    document = {"recipe": "churn", "version": "3", "promoted": True, "refusals": []}
    return SimpleNamespace(
        to_json=lambda: document | {"metrics": {}, "baselines": {}},
        challenger=SimpleNamespace(evaluation=SimpleNamespace(worse_segments=worse)),
        searched=None,
        worked_on=None,
    )


def test_segments_where_a_rule_is_better_are_named(capsys: pytest.CaptureFixture[str]):
    """By name, before the gate's answer; where there is none, nothing is said of it."""
    show_training(trained(("enterprise", "public")))
    said = capsys.readouterr().out
    assert "the best rule orders accounts better than the model: enterprise, public." in " ".join(
        said.split()
    )
    assert said.index("enterprise") < said.index("passed the gate")
    show_training(trained(()))
    assert "segments" not in capsys.readouterr().out


def test_accounts_that_were_worked_on_are_said(capsys: pytest.CaptureFixture[str]):
    """The sentence of the training stands with its figures."""
    result = trained(())
    result.worked_on = "12 of 90 snapshots (13%) were worked on."
    show_training(result)

    assert "12 of 90 snapshots (13%) were worked on." in capsys.readouterr().out


def test_training_makes_no_store(tmp_path: Path):
    """Where none was made yet nobody can have been worked on."""
    settings = Settings.read(tmp_path, {"LIFECYCLE_STORE_URL": f"sqlite:///{tmp_path}/out/lifecycle.db"})
    recipe = load_recipe(Workspace(standard_root(), standard_root()), "churn")

    assert _interventions(settings, recipe) is None
    assert not (tmp_path / "out").exists()
    Store.open(settings.store_url).close()
    found = _interventions(settings, recipe)
    assert found is not None
    assert found.empty


def asked_of(account_ids, as_of):
    raise AssertionError(f"nothing is published, and {account_ids} were refreshed as of {as_of}")


def test_a_service_without_publication_is_not_warmed_up(tmp_path: Path):
    """The source is not read for an account that nobody could ask for."""
    settings = Settings.read(tmp_path, {"LIFECYCLE_STORE_URL": f"sqlite:///{tmp_path}/lifecycle.db"})
    assert warm_up(settings, asked_of) == "Not warmed up: nothing is published yet."


def test_warming_up_refreshes_one_published_account_and_says_what_goes_wrong(tmp_path: Path):
    """A source that fails is said, and fails nothing: stored readings are served all the same."""
    url = f"sqlite:///{tmp_path}/lifecycle.db"
    store = Store.open(url)
    publish(store, reading("A-1"), reading("A-2"))
    store.close()
    settings, asked = Settings.read(tmp_path, {"LIFECYCLE_STORE_URL": url}), []

    def refresh(account_ids, as_of):
        asked.append((account_ids, as_of))
        return {}

    assert warm_up(settings, refresh) == "Warmed up: `refresh` answers at its usual speed."
    assert [(len(ids), day) for ids, day in asked] == [(1, None)]
    assert asked[0][0][0] in {"A-1", "A-2"}

    def broken(_account_ids, _as_of):
        raise TableError("contracts: no such table")

    said = warm_up(settings, broken)
    assert said == "Not warmed up, and `refresh` will fail likewise: contracts: no such table"
