"""What `lifecycle train` says on the terminal beside its table."""

from types import SimpleNamespace

import pytest

from lifecycle_ml.cli.work import show_training


def trained(worse):
    """A training that passed the gate."""
    document = {"recipe": "churn", "version": "3", "promoted": True, "refusals": []}
    return SimpleNamespace(
        to_json=lambda: document | {"metrics": {}, "baselines": {}},
        challenger=SimpleNamespace(evaluation=SimpleNamespace(worse_segments=worse)),
        searched=None,
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
