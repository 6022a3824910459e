"""serving/taxonomy.toml: strict, checked against features, and honest about what cannot be told."""

from pathlib import Path

import pytest

from lifecycle_ml.errors import ConditionError, ConfigError
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.reasons.taxonomy import load_entries, load_taxonomy, taxonomy_page
from lifecycle_ml.tables.schema import CATEGORIES
from lifecycle_ml.workspace import Workspace, standard_root

ROOT = standard_root()
STANDARD = Workspace(ROOT, ROOT)
TEXT = (ROOT / "serving" / "taxonomy.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names():
    return load_features(STANDARD).names


@pytest.fixture(scope="module")
def taxonomy(names):
    return load_taxonomy(STANDARD, names)


def _own(folder: Path, text: str) -> Workspace:
    (folder / "serving").mkdir()
    (folder / "serving" / "taxonomy.toml").write_text(text, encoding="utf-8")
    return Workspace(folder, ROOT)


def test_the_standard_taxonomy_reads_only_features_that_exist(taxonomy):
    """All eleven categories parse against the standard features, in the order of the contract."""
    assert tuple(taxonomy.categories) == CATEGORIES
    assert set(taxonomy.required) == set(CATEGORIES)


def test_each_category_has_evidence_among_its_own_features(taxonomy):
    """A category could never be quoted if its evidence compared only features of others."""
    features = load_features(STANDARD)
    for name in CATEGORIES:
        own = [item for item in taxonomy.evidence_features(name) if features[item].category == name]
        assert own, name


def test_a_misspelt_feature_is_an_error_with_the_nearest_name(tmp_path, names):
    """A file of one's own that names what nobody defined fails with file, key and remedy."""
    wrong = TEXT.replace("budget_cuts_180d", "budget_cut_180d")
    with pytest.raises(
        ConditionError, match=r"categories\.budget_eliminated.*Did you mean 'budget_cuts_180d'"
    ):
        load_taxonomy(_own(tmp_path, wrong), names)


def test_an_inherited_taxonomy_tolerates_features_a_workspace_does_not_define(tmp_path):
    """A company with features of its own still starts: what it lacks cannot be told."""
    (tmp_path / "features").mkdir()
    taxonomy = load_taxonomy(Workspace(tmp_path, ROOT), ["tickets_open"])
    assert "champions_present" in taxonomy.features


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("floor = 0.05\n", "flor = 0.1\n", "unknown key .*Did you mean 'floor'"),
        ("floor = 0.05\n", "floor = 1.5\n", "less than or equal to 1"),
        ('owner_role = "finance"', 'owner_role = "controller"', "owner_role.*'controller'"),
        ("[categories.champion_left]", "[categories.champion_gone]", "Did you mean 'champion_left'"),
        ('label = "The champion left"\n', "", "label' is missing"),
    ],
)
def test_a_wrong_file_fails_with_key_and_remedy(tmp_path, names, old, new, message):
    """Unknown keys, values out of range, unknown roles and categories are refused."""
    assert old in TEXT
    with pytest.raises(ConfigError, match=message):
        load_taxonomy(_own(tmp_path, TEXT.replace(old, new, 1)), names)


def test_a_missing_category_is_named(tmp_path, names):
    """All eleven must be there: a missing one would silently never be named."""
    start = TEXT.index("[categories.champion_left]")
    end = TEXT.index("[categories.budget_eliminated]")
    with pytest.raises(ConfigError, match="missing: champion_left"):
        load_taxonomy(_own(tmp_path, TEXT[:start] + TEXT[end:]), names)


def test_without_their_features_categories_can_no_longer_be_evidenced(taxonomy, names):
    """What the absence of a table costs is counted in categories."""
    assert taxonomy.evidenced(names) == CATEGORIES
    assert taxonomy.evidenced([]) == ()
    left = taxonomy.evidenced(["champions_present", "export_events_28d"])
    assert left == ("champion_left",)


def test_comparisons_are_split_at_and_or_and_brackets(taxonomy):
    """Each comparison stands alone, so that it can say which feature is evidence."""
    parts = [item for item in taxonomy.comparisons if item.category == "champion_left"]
    assert [item.features for item in parts] == [("champions_left_180d",), ("champions_present",)]


def test_the_reference_page_is_current():
    """docs/reference/taxonomy.md says what serving/taxonomy.toml says."""
    page = (ROOT / "docs" / "reference" / "taxonomy.md").read_text(encoding="utf-8")
    assert page == taxonomy_page(load_entries(STANDARD))
