"""Why a risk moved, end to end: rows that arrive late, a model promoted in between, a model that is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.models.bundle import Bundle
from lifecycle_ml.models.calibration import AffineCalibration
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.encoding import EncodedColumn, Encoding
from lifecycle_ml.models.horizons import HorizonModel
from lifecycle_ml.models.logistic import LogisticModel
from lifecycle_ml.models.references import References
from lifecycle_ml.movement import explain_move
from lifecycle_ml.nightly import run_nightly
from lifecycle_ml.promotion.training import folder_of
from lifecycle_ml.service.api.movement import Changes
from lifecycle_ml.service.app import create_app
from lifecycle_ml.settings import Settings
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.store.between import choose_pair
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.workspace import Workspace, load_workspace

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("why_it_moved")]

HORIZONS = (30, 90, 180)
WEIGHTS = {
    "active_users_28d": (-0.08, 15.0),
    "days_to_renewal": (-0.004, 180.0),
    "open_severe_tickets": (0.6, 0.0),
    "events_per_seat_peers": (-0.8, 0.5),
    "renewal_signed": (-1.0, 0.0),
}
"""By feature: log-odds for one more, and the value a null stands for."""
RATES = {30: 0.04, 90: 0.1, 180: 0.17}
LATE_USERS = 40


@dataclass(frozen=True)
class Company:
    """A small company published on three days: late rows before the second, another model on the third."""

    workspace: Workspace
    settings: Settings
    days: tuple[date, date, date]
    late: str
    """The account of which rows arrived between the first two publications."""
    late_unsaid: str
    """The one of which rows arrived then without saying when they were known."""
    renewed: str
    """The one that signed its next contract then."""
    accounts: tuple[str, ...]


def weighted() -> Bundle:
    """A model by hand, so that what a late row adds is known beforehand."""
    names = tuple(WEIGHTS)
    weights, means = (np.array([WEIGHTS[name][at] for name in names]) for at in (0, 1))
    starts = {30: -3.2, 90: -2.2, 180: -1.6}
    wide = np.full(len(names), 1e9)
    encoding = Encoding(tuple(EncodedColumn(name) for name in names))
    model = LogisticModel(names, HORIZONS, starts, encoding, weights, means, -wide, wide)
    return bundle_of(model, AffineCalibration(0.9, 0.05, 80))


def trees(matrix: pd.DataFrame) -> Bundle:
    """A model of trees on every feature, of invented outcomes."""
    rng = np.random.default_rng(3)
    score = -0.05 * matrix["active_users_28d"].fillna(20) + 0.5 * matrix["open_severe_tickets"].fillna(0) - 1
    labels = pd.DataFrame(
        {
            f"outcome_{h}d": (rng.random(len(matrix)) < 1 / (1 + np.exp(-score - h / 90))).astype(float)
            for h in HORIZONS
        }
    )
    names = [name for name in matrix.columns if name not in {"account_id", "as_of"} and "__" not in name]
    classifier = RiskClassifier(Capacity(n_trees=20), n_members=2)
    model = HorizonModel.fit(matrix, labels, features=names, horizons=HORIZONS, classifier=classifier)
    return bundle_of(model, AffineCalibration(1.1, -0.1, 90, 0.05))


def bundle_of(model: LogisticModel | HorizonModel, calibration: AffineCalibration) -> Bundle:
    """Wrap a model as a recipe's bundle of the full tier."""
    nobody = References(HORIZONS, (), np.zeros((len(HORIZONS), 1, len(model.features) + 1)))
    return Bundle("churn", "full", HORIZONS, 90, model, RATES, {}, calibration=calibration, references=nobody)


def promote(settings: Settings, bundle: Bundle, version: str) -> None:
    """Let a bundle serve from the next publication on."""
    bundle.save(folder_of(settings, bundle.digest))
    pointer = {"digest": bundle.digest, "version": version, "previous": None}
    (settings.bundles / "churn.json").write_text(json.dumps(pointer), encoding="utf-8")


def used(events: pd.DataFrame, account: str, day: date, known: pd.Timestamp) -> pd.DataFrame:
    """Make use of an account by many people nobody saw before, known at a time (NaT: not said)."""
    one = events[events["account_id"] == account].iloc[[0]]
    rows = pd.concat([one] * LATE_USERS, ignore_index=True)
    rows["event_id"] = [f"late-{account}-{n}" for n in range(LATE_USERS)]
    rows["user_id"] = [f"late-{account}-user-{n}" for n in range(LATE_USERS)]
    rows["kind"], rows["quantity"] = "use", 1
    rows["happened_at"], rows["known_at"] = pd.Timestamp(day) - pd.Timedelta(days=3), known
    return rows.astype(events.dtypes)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Publish three times, four weeks apart, while rows arrive late and the model changes."""
    folder = tmp_path_factory.mktemp("changes") / "company"
    made = simulate_company(5, 120, days=700)
    made.write(folder / "data", folder / "truth")
    (folder / "serving").mkdir()
    workspace = load_workspace(folder)
    keys = {"LIFECYCLE_API_KEYS": "read:" + "k" * 24, "LIFECYCLE_SOURCE_URL": str(folder / "data")}
    settings = Settings.read(folder, environ=keys)
    last = made.first + timedelta(days=700)
    days = (last - timedelta(days=56), last - timedelta(days=28), last)

    tables = read_tables(workspace, settings)
    spine = customers(tables, days)
    stays = spine.groupby("account_id").size()
    events = pd.read_parquet(folder / "data" / "usage_events.parquet")
    busy = [name for name in stays[stays == len(days)].index if (events["account_id"] == name).any()]
    late, unsaid, renewed, *_ = busy
    stamped = used(events, late, days[0], pd.Timestamp(days[0]) + pd.Timedelta(days=5))
    events = pd.concat([events, stamped], ignore_index=True)
    events.to_parquet(folder / "data" / "usage_events.parquet", index=False)
    sign_next(folder / "data" / "contracts.parquet", renewed, days[0] + timedelta(days=10))

    promote(settings, weighted(), "1")
    publish(workspace, settings, days[0])
    unstamped = used(events, unsaid, days[0], pd.NaT)
    pd.concat([events, unstamped], ignore_index=True).to_parquet(
        folder / "data" / "usage_events.parquet", index=False
    )
    publish(workspace, settings, days[1])
    features = load_features(workspace).available(tables).for_model
    promote(settings, trees(build_matrix(tables, features, spine)), "2")
    publish(workspace, settings, days[2])
    return Company(workspace, settings, days, late, unsaid, renewed, tuple(busy))


def sign_next(path: Path, account: str, day: date) -> None:
    """Let an account sign the contract that follows its present one, on a day."""
    contracts = pd.read_parquet(path)
    its_own = contracts[contracts["account_id"] == account].sort_values("starts_on").iloc[[-1]]
    following = its_own.assign(
        contract_id="signed-since",
        renews_contract_id=its_own["contract_id"].to_numpy(),
        signed_at=pd.Timestamp(day),
        starts_on=pd.Timestamp(day) + pd.Timedelta(days=200),
        ends_on=pd.Timestamp(day) + pd.Timedelta(days=565),
        cancelled_on=pd.NaT,
        notice_given_on=pd.NaT,
    )
    # nothing else of this account may have been signed ahead
    contracts = contracts[
        (contracts["account_id"] != account) | (contracts["starts_on"] <= pd.Timestamp(day))
    ]
    pd.concat([contracts, following.astype(contracts.dtypes)], ignore_index=True).to_parquet(
        path, index=False
    )


def publish(workspace: Workspace, settings: Settings, day: date) -> None:
    """Run the night of a day."""
    now = datetime.combine(day, datetime.min.time()) + timedelta(hours=2)
    assert run_nightly(workspace, settings, day, now, may_train=False, watching=False).current


@pytest.fixture(scope="module")
def store(company: Company) -> Iterator[Store]:
    """The company's store."""
    with closing(Store.open(company.settings.store_url)) as opened:
        yield opened


def explained(company: Company, store: Store, account: str, first: int, last: int) -> dict[str, Any]:
    """Why an account's risk moved between two of the three publications, proven to add up."""
    pair = choose_pair(account, store.history(account, 100), company.days[first], company.days[last])
    assert pair is not None
    document = explain_move(company.workspace, company.settings, pair)
    Changes.model_validate(json.loads(json.dumps(document | {"request_id": "r", "budget": None})))
    parts = document["parts"]
    if parts is not None:
        margins = [
            np.log(document[end]["probability"] / (1 - document[end]["probability"]))
            for end in ("from", "to")
        ]
        assert abs(sum(part["margin"] for part in parts.values()) - (margins[1] - margins[0])) < 2e-5
        for name in ("late_data", "features"):
            listed = sum(each["margin"] for each in parts[name]["contributions"])
            assert abs(listed - parts[name]["margin"]) < 2e-5
        by_category = sum(each["margin"] for each in parts["features"]["by_category"])
        assert abs(by_category - parts["features"]["margin"]) < 2e-5
    return document


def margin_of(parts: dict[str, Any], part: str, feature: str) -> float:
    """What a feature adds in one part."""
    return sum(each["margin"] for each in parts[part]["contributions"] if each["feature"] == feature)


def test_rows_that_arrive_late_are_taken_away_before_anything_is_said_to_have_changed(
    company: Company, store: Store
) -> None:
    """Forty users known five days later are worth what the model gives for forty users, as late data."""
    document = explained(company, store, company.late, 0, 1)
    parts = document["parts"]

    assert margin_of(parts, "late_data", "active_users_28d") == pytest.approx(
        0.9 * -0.08 * LATE_USERS, abs=1e-6
    )
    assert parts["rewritten"]["margin"] == pytest.approx(0, abs=1e-9)
    assert (document["from"]["reproduced"], document["to"]["reproduced"]) == (True, True)
    assert (parts["model"]["margin"], parts["calibration"]["margin"]) == (0, 0)
    assert "since " in document["says"][0]


def test_rows_that_do_not_say_when_they_were_known_stand_apart(company: Company, store: Store) -> None:
    """The source says now that they were there all along, so the published score does not come out again."""
    document = explained(company, store, company.late_unsaid, 0, 1)
    parts = document["parts"]

    assert document["from"]["reproduced"] is False
    assert document["to"]["reproduced"] is True
    assert parts["rewritten"]["margin"] < -0.9 * 0.08 * LATE_USERS + 0.5
    assert margin_of(parts, "late_data", "active_users_28d") == 0


def test_a_contract_signed_in_between_is_a_change_and_no_late_row(company: Company, store: Store) -> None:
    """It is known before it begins, but nobody had signed it on the earlier date."""
    parts = explained(company, store, company.renewed, 0, 1)["parts"]

    assert margin_of(parts, "features", "renewal_signed") == pytest.approx(-0.9, abs=1e-6)
    assert margin_of(parts, "late_data", "renewal_signed") == 0


def test_a_model_promoted_in_between_has_parts_of_its_own(company: Company, store: Store) -> None:
    """The features are measured by the model of the earlier reading, and what the new one adds is said."""
    spoken = 0
    for account in company.accounts[:4]:
        document = explained(company, store, account, 1, 2)
        parts = document["parts"]
        features = {each["feature"] for each in parts["features"]["contributions"]}

        assert features <= {*WEIGHTS, "horizon_days"}
        assert abs(parts["model"]["margin"]) > 0.01
        assert abs(parts["calibration"]["margin"]) > 0
        assert [document[end]["model"]["version"] for end in ("from", "to")] == ["1", "2"]
        spoken += any("a new model (version 2 after 1)" in sentence for sentence in document["says"])

    assert spoken > 0


def test_replayed_weeks_can_be_compared_too(company: Company, store: Store) -> None:
    """History published by the first run, of days the unsaid rows do not reach: they move peers as well."""
    for account in company.accounts[3:6]:
        past = store.history(account, 100)
        pair = choose_pair(account, past, past[-1].publication.as_of, past[-8].publication.as_of)
        assert pair is not None
        document = explain_move(company.workspace, company.settings, pair)

        assert document["from"]["reproduced"]
        assert document["to"]["reproduced"]
        assert any(letter.isdigit() for letter in document["says"][0])


def test_the_service_and_the_command_say_the_same(company: Company, store: Store) -> None:
    """One document behind the route and `lifecycle explain --since`; days without a reading are refused."""
    clock = datetime.combine(company.days[2], datetime.min.time(), UTC) + timedelta(hours=3)
    service = create_app(
        company.settings,
        company.workspace,
        comparer=lambda pair: explain_move(company.workspace, company.settings, pair),
        clock=lambda: clock,
    )
    with TestClient(service) as client:
        client.headers["X-API-Key"] = "k" * 24
        asked = {"from": str(company.days[1])}
        answer = client.get(f"/v1/accounts/{company.late}/changes", params=asked).json()
    environ = {
        "LIFECYCLE_STORE_URL": company.settings.store_url,
        "LIFECYCLE_SOURCE_URL": company.settings.source_url,
    }
    words = ["explain", company.late, "--workspace", str(company.workspace.root)]
    since = str(company.days[1] + timedelta(days=2))
    told = CliRunner().invoke(app, [*words, "--since", since], env=environ, catch_exceptions=False)
    as_json = CliRunner().invoke(
        app, [*words, "--since", since, "--json"], env=environ, catch_exceptions=False
    )

    assert json.loads(as_json.stdout) | {"request_id": answer["request_id"], "budget": None} == answer
    assert answer["says"][0] in told.stdout
    assert "Together" in told.stdout


def test_a_model_that_is_gone_leaves_the_sentence_and_no_parts(
    company: Company, store: Store, tmp_path: Path
) -> None:
    """The answer names the day and what is missing; the later readings can still be compared."""
    settings = company.settings
    digest = json.loads(store.reading(company.late, company.days[0]) or b"")["model"]["churn"]["digest"]
    kept = tmp_path / "kept"
    shutil.move(folder_of(settings, digest), kept)
    try:
        document = explained(company, store, company.late, 0, 1)
    finally:
        shutil.move(kept, folder_of(settings, digest))

    assert document["parts"] is None
    assert document["margin_change"] is None
    assert "is no longer in the bundles folder" in document["why_no_parts"]
    assert document["says"][0].startswith("The risk ")
