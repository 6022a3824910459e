"""serving/monitoring.toml is read strictly."""

import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.monitor.config import load_monitoring
from lifecycle_ml.workspace import Workspace, standard_root


def load(tmp_path, old, new):
    """Load the standard file with one change."""
    text = (standard_root() / "serving" / "monitoring.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "monitoring.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    return load_monitoring(Workspace(root=tmp_path, standard=standard_root()))


def test_every_verdict_but_do_nothing_has_an_errand():
    """Owner, days and what to do; nothing to do needs none."""
    config = load_monitoring(Workspace(root=standard_root(), standard=standard_root()))
    for word in ("fix feed", "recalibrate", "retrain", "move threshold"):
        errand = config.verdicts.errand(word)
        assert errand is not None
        assert errand.do
    assert config.verdicts.errand("do nothing") is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("least_psi =", "least_spi =", "Did you mean 'least_psi'"),
        ("level = 0.05", "level = 5", "drift.level"),
        ('owner_role = "cs_lead"', 'owner_role = "cs_led"', "Did you mean 'cs_lead'"),
        ("few_bins = 5", "few_bins = 20", "must not be above bins = 10"),
        ("cohorts = 6 ", "# ", "performance.cohorts"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_the_right_one(tmp_path, old, new, says):
    """File and key, and the nearest right name."""
    with pytest.raises(ConfigError, match=r"serving/monitoring\.toml") as refused:
        load(tmp_path, old, new)
    assert says in str(refused.value)
