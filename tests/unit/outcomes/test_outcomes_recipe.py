"""The recipe file is read strictly."""

from __future__ import annotations

import re

import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.outcomes.recipe import Recipe, load_recipe
from lifecycle_ml.workspace import load_workspace, standard_root

STANDARD = standard_root() / "training" / "churn.toml"


def workspace_with(tmp_path, old, new):
    text = STANDARD.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "churn.toml").write_text(text.replace(old, new), encoding="utf-8")
    return load_workspace(tmp_path)


def test_the_standard_recipe_is_valid_and_named_after_its_file():
    """The shipped recipe passes its own checks."""
    recipe = load_recipe(load_workspace(standard_root()), "churn")
    assert recipe.name == "churn"
    assert recipe.label.headline_days in recipe.label.horizons_days
    assert recipe.rules.prior_rates["high"] > recipe.rules.prior_rates["low"]


def test_the_standard_expansion_recipe_has_one_horizon():
    """Expansion looks half a year ahead, and speaks of expanded accounts."""
    label = load_recipe(load_workspace(standard_root()), "expansion").label
    assert (label.horizons_days, label.headline_days, label.outcome) == ((180,), 180, "expanded")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "grace_days = 30 ",
            "grace_days = 30\ngrace_day = 30 ",
            "unknown key 'label.grace_day'. Did you mean 'grace_days'?",
        ),
        ("headline_days = 90", "headline_days = 91", "must be one of horizons_days (30, 90, 180)"),
        ("horizons_days = [30, 90, 180]", "horizons_days = [90, 30]", "the shortest first"),
        ("full_from_accounts = 100", "full_from_accounts = 20", "must be above advisory_from_accounts = 30"),
        ("high_from = 3.0", "high_from = 0.5", "must be above medium_from = 1.5"),
        ("slope_high = 1.4", "slope_high = 0.4", "must be above slope_low = 0.7"),
        ("arrival_lag_days = 2", "arrival_lag_days = -1", "'label.arrival_lag_days' is -1"),
        ('op = ">="\nnumber = 28', 'op = "=>"\nnumber = 28', "'rules.points.0.op' is '=>'"),
        ('mode = "rolling"', 'mode = "rollin"', "'label.mode' is 'rollin'"),
        (
            'mode = "rolling"',
            'mode = "expansion"',
            "unknown key 'label.horizons_days'. Did you mean 'horizon_days'?",
        ),
    ],
)
def test_a_wrong_recipe_names_file_key_and_remedy(tmp_path, old, new, message):
    """Unknown keys and values out of range fail with the file, the key and what would be right."""
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_recipe(workspace_with(tmp_path, old, new), "churn")
    assert str(caught.value).startswith("training/churn.toml: ")


def test_a_band_is_a_multiple_of_the_base_rate():
    """Low under 1.5, where yellow begins, medium under 3, high from 3 times the base rate."""
    bands = load_recipe(load_workspace(standard_root()), "churn").bands
    assert [bands.band(multiple) for multiple in (1.49, 1.5, 2.99, 3.0)] == [
        "low",
        "medium",
        "medium",
        "high",
    ]


def keys_of(section):
    """Every key of a section and of the sections inside it."""
    for name, info in section.model_fields.items():
        yield name
        for inner in (info.annotation, *getattr(info.annotation, "__args__", ())):
            if hasattr(inner, "model_fields"):
                yield from keys_of(inner)


def test_every_key_is_in_the_reference():
    """The reference page names each key of the recipe, so none can be added in silence."""
    page = (standard_root() / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    sections = set(Recipe.model_fields) - {"name"}
    keys = [key for key in keys_of(Recipe) if key != "name"]
    assert len(keys) > 50
    for key in keys:
        shown = f"[{key}]" if key in sections and f"`[{key}]`" in page else key
        assert f"`{shown}`" in page or f"`[[rules.{key}]]`" in page, key


def test_the_gates_bound_is_the_low_end_of_the_95_percent_interval():
    """A one-sided 97.5% bound is the low end of a two-sided 95% interval."""
    gate = load_recipe(load_workspace(standard_root()), "churn").gate
    assert gate.interval_level == pytest.approx(0.95)
