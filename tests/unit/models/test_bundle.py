"""Bundles: scores with exact reasons, saved without code, and refused when anything was touched."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from lifecycle_ml.errors import BundleError, DefinitionError
from lifecycle_ml.models.baselines import Buckets, PointTable
from lifecycle_ml.models.bundle import Bundle, ranges_of
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.horizons import HorizonModel, horizon_starts, outcome_matrix
from lifecycle_ml.models.logistic import LogisticModel
from lifecycle_ml.models.references import References
from lifecycle_ml.models.rules import RuleModel

HORIZONS = (30, 90, 180)
FEATURES = ("usage", "tickets", "plan")


@pytest.fixture(scope="module")
def world():
    """A matrix and labels of 240 accounts over six dates; usage lowers the risk."""
    rng = np.random.default_rng(7)
    rows = 240 * 6
    usage = rng.normal(size=rows)
    months = rng.exponential(1 / (0.06 * np.exp(-0.8 * usage)))
    matrix = pd.DataFrame(
        {
            "account_id": np.repeat([f"A-{number}" for number in range(240)], 6),
            "as_of": np.tile(pd.date_range("2025-01-01", periods=6, freq="28D"), 240),
            "usage": np.where(rng.random(rows) < 0.05, np.nan, usage),
            "tickets": rng.poisson(1.0, rows).astype(float),
            "plan": pd.Series(rng.choice(["basic", "plus"], rows), dtype="str"),
        }
    )
    labels = matrix[["account_id", "as_of"]].assign(
        **{f"outcome_{h}d": (months * 30 < h).astype(float) for h in HORIZONS}
    )
    return matrix, labels


def fit_trees(world, seed=0, threads=1):
    matrix, labels = world
    classifier = RiskClassifier(
        n_members=4,
        capacity=Capacity(n_trees=30, learning_rate=0.1),
        monotone={"usage": -1},
        num_threads=threads,
        random_state=seed,
    )
    return HorizonModel.fit(matrix, labels, features=FEATURES, horizons=HORIZONS, classifier=classifier)


def wrap(world, model, tier="full", **changes):
    matrix, labels = world
    rates = {h: float(labels[f"outcome_{h}d"].mean()) for h in HORIZONS}
    references = None
    if not isinstance(model, RuleModel):
        segments = {
            account: "small" if int(account[2:]) < 120 else "tiny" for account in matrix["account_id"]
        }
        segments |= {f"A-{number}": "rare" for number in range(20)}
        references = References.fit(
            model, AffineCalibration(1.3, -0.1, 80), matrix, labels["outcome_90d"] == 0, segments
        )
    return Bundle(
        **{
            "name": "churn",
            "tier": tier,
            "horizons": HORIZONS,
            "headline": 90,
            "model": model,
            "base_rates": rates,
            "band_rates": {"low": 0.05, "medium": 0.2, "high": 0.6},
            "calibration": AffineCalibration(1.3, -0.1, 80),
            "references": references,
            "ranges": ranges_of(matrix, FEATURES),
            "metrics": {"auroc": {"value": 0.7, "low": np.nan, "high": 0.8}},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def bundle(world):
    """A full bundle of trees."""
    return wrap(world, fit_trees(world))


@pytest.fixture
def saved(bundle, tmp_path):
    """The folder of a saved bundle."""
    return bundle.save(tmp_path / "bundle")


def test_scores_have_the_agreed_columns(world, bundle):
    """One row per row of the matrix, in its order, with probability, risk, band and lift."""
    matrix, _ = world
    scored = bundle.score(matrix)
    assert list(scored.columns) == [
        "account_id",
        "as_of",
        "probability_30d",
        "probability_90d",
        "probability_180d",
        "risk",
        "band",
        "lift",
        "source",
        "tier",
    ]
    assert (scored["account_id"].to_numpy() == matrix["account_id"].to_numpy()).all()
    assert (scored["risk"] == scored["probability_90d"]).all()
    np.testing.assert_allclose(scored["lift"], scored["risk"] / bundle.base_rate)
    assert set(scored["source"]) == {"model"}
    assert set(scored["tier"]) == {"full"}


def test_probabilities_never_fall_with_the_horizon(world, bundle):
    """30 days is never above 90, nor 90 above 180."""
    matrix, _ = world
    assert (np.diff(bundle.probabilities(matrix), axis=1) >= 0).all()


def test_bands_begin_at_one_and_three_times_the_base_rate(world, bundle):
    """Low, medium and high follow the lift."""
    scored = bundle.score(world[0])
    expected = np.select([scored["lift"] >= 3, scored["lift"] >= 1], ["high", "medium"], "low")
    assert (scored["band"].to_numpy() == expected).all()
    assert {"low", "medium"} <= set(expected)


def test_contributions_add_up_to_the_served_margin(world, bundle):
    """For every account and horizon, reference included; and the margin is the served probability's."""
    matrix, _ = world
    for position, horizon in enumerate(HORIZONS):
        found = bundle.contributions(matrix, horizon)
        np.testing.assert_allclose(found.values.sum(axis=1) + found.base, found.margin, atol=1e-5)
        np.testing.assert_allclose(found.members.mean(axis=0), found.values, atol=1e-9)
        served = bundle.probabilities(matrix)[:, position]
        np.testing.assert_allclose(1 / (1 + np.exp(-found.margin)), served, atol=1e-12)
        reference = bundle.reference(horizon, "small")
        relative = (found.values - reference).sum(axis=1) + found.base + reference.sum()
        np.testing.assert_allclose(relative, found.margin, atol=1e-5)
    assert found.columns == (*FEATURES, "horizon_days")


def test_reference_is_the_mean_of_retained_accounts_of_the_segment(world, bundle):
    """Exactly that mean, and that of all retained accounts where the segment has fewer than 50."""
    matrix, labels = world
    retained = (labels["outcome_90d"] == 0).to_numpy()
    small = matrix["account_id"].str[2:].astype(int).between(20, 119).to_numpy()
    values = bundle.contributions(matrix[retained & small], 90).values
    np.testing.assert_allclose(bundle.reference(90, "small"), values.mean(axis=0), atol=1e-9)
    everyone = bundle.reference(90, None)
    for segment in ("rare", "never seen"):
        assert (bundle.reference(90, segment) == everyone).all()


def test_saved_and_loaded_it_is_the_same(world, bundle, saved):
    """Scores, contributions, references and digest survive to the last bit; it is small."""
    matrix, _ = world
    loaded = Bundle.load(saved, bundle.digest)
    pd.testing.assert_frame_equal(loaded.score(matrix), bundle.score(matrix))
    assert (loaded.contributions(matrix, 30).values == bundle.contributions(matrix, 30).values).all()
    assert (loaded.reference(30, "small") == bundle.reference(30, "small")).all()
    assert loaded.digest == bundle.digest
    assert sum(path.stat().st_size for path in saved.iterdir()) < 5_000_000


def test_same_data_and_seed_give_the_same_digest(world, bundle):
    """Whatever the number of threads; another seed gives another."""
    assert wrap(world, fit_trees(world, threads=2)).digest == bundle.digest
    assert wrap(world, fit_trees(world, seed=1)).digest != bundle.digest


def test_the_version_is_not_part_of_the_content(bundle):
    """The registry's version names the same bytes."""
    assert dataclasses.replace(bundle, version="7").digest == bundle.digest


def test_nothing_in_it_is_pickled(saved):
    """A folder of JSON, text and one array that loads without pickle."""
    assert {path.suffix for path in saved.iterdir()} == {".json", ".txt", ".npy", ""}
    assert all(b"\x80\x04\x95" not in path.read_bytes() for path in saved.iterdir())


@pytest.mark.parametrize("name", ["manifest.json", "member-01.txt", "references.npy"])
def test_a_changed_byte_is_refused(saved, name):
    """Tampering with any file is found, and the file is named."""
    content = bytearray((saved / name).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"{name} was changed after it was saved"):
        Bundle.load(saved)


def test_what_was_loaded_before_is_kept_and_its_files_proved_each_time(saved):
    """Trees are read and tabulated once a process; a file changed since is refused all the same."""
    assert Bundle.load(saved) is Bundle.load(saved)
    (saved / "member-00.txt").write_text("other trees")
    with pytest.raises(BundleError, match=r"member-00\.txt was changed after it was saved"):
        Bundle.load(saved)


@pytest.mark.parametrize("name", ["digest", "manifest.json", "member-01.txt", "references.npy"])
def test_half_written_is_refused(saved, name):
    """A missing file is a bundle that was never finished."""
    (saved / name).unlink()
    with pytest.raises(BundleError, match="half written"):
        Bundle.load(saved)


def test_a_foreign_file_is_refused(saved):
    """Nothing is in the folder that the manifest does not list."""
    (saved / "extra.pkl").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.pkl does not belong"):
        Bundle.load(saved)


def test_another_bundle_is_refused_where_one_is_expected(saved):
    """A publication pins a digest; another bundle in its place is not served."""
    with pytest.raises(BundleError, match="expected sha256:0000"):
        Bundle.load(saved, "sha256:" + "0" * 64)


def test_a_later_format_is_refused(saved, bundle):
    """A bundle of another format says so instead of failing somewhere."""
    import hashlib

    manifest = json.loads((saved / "manifest.json").read_text())
    content = json.dumps(manifest | {"format": 99}).encode()
    (saved / "manifest.json").write_bytes(content)
    (saved / "digest").write_text("sha256:" + hashlib.sha256(content).hexdigest())
    with pytest.raises(BundleError, match="format 99"):
        Bundle.load(saved)


def test_saving_again_repairs_a_damaged_folder(bundle, saved):
    """An intact folder is left alone, a damaged one is replaced whole."""
    before = (saved / "member-00.txt").stat().st_mtime_ns
    bundle.save(saved)
    assert (saved / "member-00.txt").stat().st_mtime_ns == before
    (saved / "member-00.txt").write_text("gone")
    bundle.save(saved)
    assert Bundle.load(saved).digest == bundle.digest


def test_a_matrix_without_its_features_is_refused_by_name(world, bundle):
    """A feature that is gone is named, with what to do."""
    with pytest.raises(DefinitionError, match=r"1 of its 3 features .* usage\. Bring back"):
        bundle.score(world[0].drop(columns=["usage"]))


def test_an_advisory_bundle_serves_bands_only(world):
    """Probabilities and lift are null; the risk inside is the churn rate of the band."""
    matrix, labels = world
    starts = horizon_starts(outcome_matrix(labels, HORIZONS), HORIZONS)
    model = LogisticModel.fit(
        matrix[list(FEATURES)],
        labels["outcome_90d"].to_numpy(),
        matrix["account_id"],
        starts=starts,
        headline=90,
        directions={"usage": -1},
    )
    advisory = wrap(world, model, tier="advisory")
    scored = advisory.score(matrix)
    assert scored[["probability_30d", "probability_90d", "probability_180d", "lift"]].isna().all(axis=None)
    assert (scored["risk"] == scored["band"].map({"low": 0.05, "medium": 0.2, "high": 0.6})).all()
    assert set(scored["source"]) == {"model"}
    found = advisory.contributions(matrix, 90)
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, found.margin, atol=1e-9)


def test_a_rule_serves_bands_and_explains_nothing(world, tmp_path):
    """A saved rule gives the same bands; it has no contributions to hand out."""
    matrix, _ = world
    rule = Buckets("tickets", (0.0, 1.0, 3.0), (0.1, 0.1, 0.2, 0.5), 0.15)
    bundle = wrap(world, RuleModel("renewal_calendar", rule, 0.15, 0.45), tier="insufficient")
    loaded = Bundle.load(bundle.save(tmp_path / "rules"))
    scored = loaded.score(matrix)
    expected = np.select([matrix["tickets"] >= 3, matrix["tickets"] >= 1], ["high", "medium"], "low")
    assert (scored["band"].to_numpy() == expected).all()
    assert set(scored["source"]) == {"rules"}
    assert scored["probability_90d"].isna().all()
    with pytest.raises(ValueError, match="rules serve"):
        loaded.contributions(matrix, 90)
    with pytest.raises(ValueError, match="rules serve"):
        loaded.reference(90, None)


def test_a_point_table_serves_where_nothing_is_known(world, tmp_path):
    """Features it lacks add no points; bands are its own."""
    matrix, _ = world
    table = PointTable(
        (("tickets", ">=", 2.0, 2), ("absent", ">=", 1.0, 4)),
        2,
        4,
        {"low": 0.02, "medium": 0.06, "high": 0.2},
    )
    bundle = wrap(world, RuleModel("point_table", table, 0.0, 0.0), tier="insufficient")
    scored = Bundle.load(bundle.save(tmp_path / "points")).score(matrix)
    assert (scored["band"] == np.where(matrix["tickets"] >= 2, "medium", "low")).all()
