"""The whole path on the demo company: raw tables in, a scored, explained, actioned account out."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from demo_company import Demo, lifecycle, lifecycle_here
from lifecycle_ml.actions.levers import NOTHING
from lifecycle_ml.health.state import HealthState
from lifecycle_ml.matrix.build import build_matrix, customers
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.movement import explain_move
from lifecycle_ml.nightly import run_nightly
from lifecycle_ml.outcomes.recipe import load_recipe
from lifecycle_ml.outcomes.snapshots import population
from lifecycle_ml.promotion.grounds import load_grounds
from lifecycle_ml.promotion.history import spoken_history
from lifecycle_ml.promotion.training import champion
from lifecycle_ml.promotion.tuning import propose
from lifecycle_ml.readings import look_for_help, refresh_readings
from lifecycle_ml.rulebook import Rulebook, load_rulebook
from lifecycle_ml.rulings import rulings_on
from lifecycle_ml.service.api.models import ScoredAccount
from lifecycle_ml.service.api.movement import Changes
from lifecycle_ml.service.api.what_if import WhatIfAnswer
from lifecycle_ml.service.app import create_app
from lifecycle_ml.store.document import Live, join_live
from lifecycle_ml.store.store import Store
from lifecycle_ml.tables.source import read_tables
from lifecycle_ml.what_if import WhatIfs
from sentences import faults, unit_is_said

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

AS_OF = date(2026, 7, 1)
KEY = {"X-API-Key": "k" * 24}


@pytest.fixture(scope="module")
def store(demo: Demo) -> Iterator[Store]:
    """The demo's store."""
    with closing(Store.open(demo.settings.store_url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def documents(store: Store) -> dict[str, dict]:
    """Every scored account of the current publication."""
    publication = store.current()
    assert publication is not None
    ids = list(store.states(before=date(2100, 1, 1)))
    return {account: json.loads(body) for account, body in store.readings(ids).items()}


@pytest.fixture(scope="module")
def client(demo: Demo) -> Iterator[TestClient]:
    """The service over the demo's store, with the real refresher."""

    def refresh(account_ids: list[str], as_of: date | None) -> dict[str, dict]:
        now = datetime(2026, 7, 1, 2)
        found = refresh_readings(demo.workspace, demo.settings, account_ids, as_of or AS_OF, now)
        return {account: json.loads(reading.body) for account, reading in found.items()}

    app = create_app(
        demo.settings,
        demo.workspace,
        refresher=refresh,
        comparer=lambda pair: explain_move(demo.workspace, demo.settings, pair),
        what_ifs=WhatIfs(demo.workspace, demo.settings).answer,
        clock=lambda: datetime(2026, 7, 1, 3, tzinfo=UTC),
    )
    with TestClient(app) as opened:
        yield opened


def test_the_demo_prints_who_needs_someone_today(demo: Demo) -> None:
    """Ten accounts with health, reason, action, owner and due date, and the gate's answer before them."""
    assert "The 10 accounts that need someone today" in demo.output
    assert "passed the gate and serves" in demo.output
    for column in ("health", "reason", "action", "owner", "due"):
        assert column in demo.output


def test_every_stored_document_keeps_the_contract(documents: dict[str, dict]) -> None:
    """Each reading, joined with its live parts, is a scored account with every key present."""
    assert len(documents) > 300
    for document in documents.values():
        ScoredAccount.model_validate(join_live(document, Live(now=datetime(2026, 7, 1, 3))))


def test_probabilities_never_fall_with_the_horizon(documents: dict[str, dict]) -> None:
    """30 days are never riskier than 90, nor 90 than 180."""
    by_horizon = np.array(
        [[item["probability"] for item in doc["churn"]["by_horizon"]] for doc in documents.values()]
    )

    assert by_horizon.shape[1] == 3
    assert (np.diff(by_horizon, axis=1) >= 0).all()


def test_contributions_add_up_to_the_margin_for_every_account_and_horizon(demo: Demo) -> None:
    """Base plus contributions is the served margin within 1e-5; margins give the served probability."""
    bundle = champion(demo.settings, "churn")
    assert bundle is not None
    tables = read_tables(demo.workspace, demo.settings)
    features = load_features(demo.workspace).available(tables)
    matrix = build_matrix(tables, features, customers(tables, [AS_OF]))
    scores = bundle.score(matrix)

    for horizon in bundle.horizons:
        found = bundle.contributions(matrix, horizon)
        margin = found.values.sum(axis=1) + found.base

        np.testing.assert_allclose(margin, found.margin, atol=1e-5)
        np.testing.assert_allclose(1 / (1 + np.exp(-margin)), scores[f"probability_{horizon}d"], atol=1e-6)


def test_every_rule_answers_for_a_red_account_as_the_run_did(
    demo: Demo, store: Store, documents: dict[str, dict]
) -> None:
    """Facts, triggers, stage and playbook are those published, and what was opened is said to be open."""
    account = next(name for name, each in documents.items() if each["health"]["color"] == "red")
    published, now = documents[account], datetime(2026, 7, 1, 3)

    found = {each.rule: each for each in rulings_on(demo.workspace, demo.settings, account, AS_OF, now)}

    state = HealthState.from_json(store.states(before=date(2100, 1, 1))[account].state)
    fired = {name for name, each in found.items() if each.kind == "fact" and each.fired}
    assert fired <= {f"facts.{name}" for name in state.facts}
    playbook = next(each for each in found.values() if each.kind == "playbook")
    reason, color = playbook.rule.split(".")[1:]
    assert (color, reason) == ("red", state.reason)
    assert playbook.held
    assert all("opened on" in said for said in playbook.held)
    assert not any(each.fired for each in found.values() if each.kind == "trigger")
    assert published["stage"] in {name.split(".")[1] for name, each in found.items() if each.kind == "stage"}


def test_limits_are_tuned_on_what_was_said_out_of_time(demo: Demo) -> None:
    """The history is the champion's own; limits for one segment keep within the capacity asked for."""
    tables = read_tables(demo.workspace, demo.settings)
    grounds = load_grounds(demo.workspace, tables)
    recipe = load_recipe(demo.workspace, "churn")
    record = spoken_history(demo.settings, recipe, tables, grounds)
    proposal = propose(record.of("small"), grounds, 0.1, 0.35, recipe.gate)

    assert record.dates == 12
    assert record.refused is None
    assert record.rows["rule"].notna().all()
    assert proposal.proposed.red_share <= 0.1
    assert proposal.proposed.flagged_share <= 0.35
    assert proposal.proposed.caught_flagged > proposal.proposed.rule_flagged
    assert "[limits]" in proposal.toml()


def test_every_red_and_yellow_account_has_an_action_with_owner_and_due_date(
    store: Store, documents: dict[str, dict]
) -> None:
    """A red account nobody acts on is our failure."""
    troubled = [key for key, doc in documents.items() if doc["health"]["color"] != "green"]
    red = [key for key, doc in documents.items() if doc["health"]["color"] == "red"]
    planned = store.actions(troubled)

    assert red
    for account in troubled:
        assert planned[account], account
        for action in planned[account]:
            assert action.owner_role
            assert action.due_at is not None
            assert action.escalates_to
            assert action.why


@pytest.fixture(scope="module")
def scored(demo: Demo) -> tuple[Rulebook, pd.DataFrame]:
    """What serves, and the matrix of the published as_of."""
    tables = read_tables(demo.workspace, demo.settings)
    rules = load_rulebook(demo.workspace, demo.settings, tables)
    return rules, build_matrix(tables, rules.features, population(tables, rules.recipe, [AS_OF]))


def test_every_change_offered_brings_the_scored_row_under_the_limit(
    store: Store, documents: dict[str, dict], scored: tuple[Rulebook, pd.DataFrame]
) -> None:
    """Only movable features differ, and the score of the changed row is the answer."""
    rules, matrix = scored
    bundle, rows = rules.churn, matrix.set_index("account_id", drop=False)
    headline = bundle.horizons.index(bundle.headline)
    before = store.states(before=date(2100, 1, 1))
    states = {key: HealthState.from_json(before[key].state) for key in documents}
    found = look_for_help(rules, matrix, states)
    troubled = [key for key, document in documents.items() if document["health"]["color"] != "green"]
    offered = 0

    assert set(found) == set(troubled)
    for account in troubled:
        limit = rules.health.limit(states[account].color, bundle.base_rate).exit
        told = documents[account]["health"]["what_would_help"]
        assert told
        assert len(told) == max(1, len(found[account].offers))
        for entry, offer in zip(told, found[account].offers, strict=False):
            offered += 1
            changed = rows.loc[[account]].assign(**offer.values)
            assert (
                bundle.probabilities(changed)[0, headline]
                == offer.probability
                == entry["probability"]
                < limit
            )
            assert all(rules.features[name].movable for name in offer.values)
            assert entry["step"]
            assert "{" not in entry["change"]
        if not found[account].offers and not found[account].under:
            assert [(entry["change"], entry["probability"]) for entry in told] == [(NOTHING, None)]
    assert offered > 20
    assert all(
        document["health"]["what_would_help"] == [] for key, document in documents.items() if key not in found
    )


def test_what_moves_along_is_today_what_its_calculation_says(scored: tuple[Rulebook, pd.DataFrame]) -> None:
    """With its lever not pulled every ratio has the value it has."""
    rules, matrix = scored
    for lever in rules.levers.moved:
        row = {name: matrix[name].to_numpy(float) for name in lever.reads}
        steps = np.zeros(len(matrix))
        whole = lever.target(row[lever.feature], steps) == row[lever.feature]
        for name, calculated in lever.pull(row, steps).items():
            bounded = name in lever.along and any(
                word in lever.along[name].text for word in ("least", "0 *", "+ 1")
            )
            if not bounded:
                known = whole & ~np.isnan(row[name]) & ~np.isnan(calculated)
                np.testing.assert_allclose(calculated[known], row[name][known], atol=1e-9, err_msg=name)


def test_reasons_are_evidenced_or_unknown(documents: dict[str, dict]) -> None:
    """A named reason carries sentences; `unknown` carries none."""
    named = 0
    for document in documents.values():
        for reason in document["reasons"]:
            if reason["category"] == "unknown":
                assert reason["evidence"] == []
                continue
            named += 1
            assert reason["evidence"], document["account_id"]

    assert named > 50


def test_every_sentence_of_the_company_reads_well(demo: Demo, documents: dict[str, dict]) -> None:
    """Grammar, units and nulls of all that people read about every account."""
    names = load_features(demo.workspace).names
    read, wrong = 0, []
    for document in documents.values():
        health = document["health"]
        evidence = [piece for reason in document["reasons"] for piece in reason["evidence"]]
        sentences = [piece["says"] for piece in (*evidence, *document["in_favour"])]
        sentences += [each["change"] for each in health["what_would_help"]]
        sentences += [each["says"].removesuffix(".") for each in document["triggers"]]
        criteria = [each["criterion"] for each in health["recovers_when"]]
        sentences += [text[:1].upper() + text[1:] for text in criteria]
        read += len(sentences)
        wrong += [(text, fault) for text in sentences for fault in faults(text, names)]
        wrong += [
            (piece["says"], piece["unit"])
            for piece in evidence
            if not unit_is_said(piece["says"], piece["unit"])
        ]

    assert wrong == []
    assert read > 3000


def test_post_score_answers_what_the_batch_stored(client: TestClient, documents: dict[str, dict]) -> None:
    """The service's account is the batch's, receipt included, with its actions joined on."""
    account = max(documents, key=lambda key: documents[key]["health"]["arr_at_risk"] or 0)

    answer = client.post("/v1/score", headers=KEY, json={"account_ids": [account, "nobody"]})

    assert answer.status_code == 200
    first, second = answer.json()["results"]
    assert second["status"] == "not_found"
    assert first["status"] == "ok"
    for key in ("churn", "reasons", "in_favour", "receipt", "model"):
        assert first["account"][key] == documents[account][key]


def test_refresh_gives_the_same_reading_as_the_batch(client: TestClient, documents: dict[str, dict]) -> None:
    """Recomputed from the source for 25 accounts: same scores, reasons, colours and receipts."""
    accounts = sorted(documents)[:25]

    answer = client.post(
        "/v1/score",
        headers=KEY,
        json={"account_ids": accounts, "as_of": AS_OF.isoformat(), "refresh": True},
    )

    assert answer.status_code == 200
    for result in answer.json()["results"]:
        stored = documents[result["account_id"]]
        for key in ("churn", "reasons", "in_favour", "receipt", "model", "stage", "triggers"):
            assert result["account"][key] == stored[key], key
        for key in (
            "color",
            "since",
            "previous",
            "inputs",
            "recovers_when",
            "arr_at_risk",
            "what_would_help",
        ):
            assert result["account"]["health"][key] == stored["health"][key], key


def test_what_if_scores_a_change_as_the_batch_scored_it(
    client: TestClient, store: Store, documents: dict[str, dict], scored: tuple[Rulebook, pd.DataFrame]
) -> None:
    """Before is the published reading; with the changes that were said to help, after has their score.

    No reading is written, whatever is asked.
    """
    rules, matrix = scored
    before = store.states(before=date(2100, 1, 1))
    states = {key: HealthState.from_json(before[key].state) for key in documents}
    offers = {
        key: found.offers[0] for key, found in look_for_help(rules, matrix, states).items() if found.offers
    }
    publications = store.publications()
    for account in sorted(offers)[:3]:
        offer, stored = offers[account], documents[account]
        changes = [
            {
                "feature": name,
                "value": None if math.isnan(value) else value,
                "unit": rules.features[name].unit,
            }
            for name, value in offer.values.items()
        ]
        response = client.post("/v1/what-if", headers=KEY, json={"account_id": account, "changes": changes})
        answer = WhatIfAnswer.model_validate_json(response.content).model_dump(mode="json")

        for key in ("churn", "expansion", "reasons", "in_favour"):
            assert answer["before"][key] == stored[key], key
        assert answer["before"]["color"] == stored["health"]["color"]
        assert answer["after"]["churn"]["probability"] == offer.probability
        assert {each["feature"]: each["after"] for each in answer["changes"]} == {
            each["feature"]: each["value"] for each in changes
        }
    assert len(offers) >= 3
    assert store.publications() == publications


def test_no_answer_needs_training_explaining_or_drift_libraries(demo: Demo) -> None:
    """Stored, refreshed and what-if answers of a service in a process of its own."""
    code = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from fastapi.testclient import TestClient
from lifecycle_ml.cli.work import make_service
from lifecycle_ml.settings import Settings
from lifecycle_ml.workspace import Workspace, standard_root
settings = Settings.read(Path(sys.argv[1]), {"LIFECYCLE_API_KEYS": "read:" + "k" * 24})
with TestClient(make_service(Workspace(standard_root(), standard_root()), settings)) as client:
    client.headers["X-API-Key"] = "k" * 24
    account = client.get("/v1/accounts?limit=1").json()["accounts"][0]["account_id"]
    question = {"account_ids": [account], "as_of": "2026-07-01", "refresh": True}
    scored = client.post("/v1/score", json=question).json()["results"][0]["status"]
    changes = [{"feature": "active_users_28d", "value": 7}]
    asked = client.post("/v1/what-if", json={"account_id": account, "changes": changes}).status_code
print(scored, asked, sorted({"mlflow", "shap", "evidently", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(demo.folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )

    assert done.stdout.strip() == "ok 200 []"


def test_why_a_risk_moved_adds_up_and_is_said_in_numbers(
    client: TestClient, documents: dict[str, dict]
) -> None:
    """For accounts of every colour: parts sum to the move of the published margin, rows come out again."""
    by_color: dict[str, list[str]] = {}
    for account, document in documents.items():
        by_color.setdefault(document["health"]["color"], []).append(account)
    said = []
    for account in [name for names in by_color.values() for name in names[:3]]:
        response = client.get(f"/v1/accounts/{account}/changes", headers=KEY)
        if response.status_code == 404:
            assert response.json()["type"] == "/problems/no-earlier-reading"
            continue
        answer = Changes.model_validate_json(response.content)
        assert answer.parts is not None, answer.why_no_parts
        found = answer.parts
        ends = [math.log(end.probability / (1 - end.probability)) for end in (answer.from_, answer.to)]
        parts = [found.late_data, found.features, found.model, found.calibration, found.rewritten]

        assert abs(sum(part.margin for part in parts) - (ends[1] - ends[0])) < 2e-5
        assert abs(sum(each.margin for each in found.features.by_category) - found.features.margin) < 2e-5
        for part in (found.late_data, found.features):
            assert abs(sum(each.margin for each in part.contributions) - part.margin) < 2e-5
        assert (answer.from_.reproduced, answer.to.reproduced) == (True, True)
        assert abs(found.rewritten.margin) < 1e-6
        said += answer.says

    assert len(said) >= 6
    for sentence in said:
        assert re.match(r"(The risk (rose|fell|has stayed)|(All|Most|About|Without|Part|It) )", sentence)
        assert not re.search(r"nan|None|[{}_]|  ", sentence), sentence
    assert sum(bool(re.search(r"%.*: .*\d", sentence)) for sentence in said) >= 3


def test_running_again_changes_nothing(demo: Demo, store: Store, documents: dict[str, dict]) -> None:
    """The same as_of again: same receipts, no second training, no action opened twice."""
    serving = champion(demo.settings, "churn")
    assert serving is not None
    summary = run_nightly(demo.workspace, demo.settings, AS_OF, datetime(2026, 7, 1, 2), may_train=False)
    again = {account: json.loads(body) for account, body in store.readings(list(documents)).items()}

    assert summary.actions == 0
    assert summary.history == 0
    assert {key: doc["receipt"] for key, doc in again.items()} == {
        key: doc["receipt"] for key, doc in documents.items()
    }
    after = champion(demo.settings, "churn")
    assert after is not None
    assert (after.digest, after.version) == (serving.digest, serving.version)


def test_an_older_as_of_is_kept_as_history(demo: Demo, store: Store) -> None:
    """Replaying a past date moves neither what readers see nor any action."""
    before, actions = store.current(), store.open_actions()
    summary = run_nightly(
        demo.workspace, demo.settings, date(2026, 6, 17), datetime(2026, 6, 17, 2), may_train=False
    )

    assert not summary.current
    assert summary.actions == 0
    assert store.current() == before
    assert store.open_actions() == actions


def test_checkpoints_and_the_start_of_onboarding_say_what_is_there(store: Store) -> None:
    """There are topics, so all evidence can be told; only new accounts are asked what they wait for."""
    listed = list(store.all_accounts())
    renewals = [each.renewal for each in listed if each.renewal]
    evidence = [one["evidence"] for renewal in renewals for one in renewal["checkpoints"]]
    starts = {each.account_id: store.onboarding_start(each.account_id) for each in listed}
    asked = [each.account_id for each in listed if each.stage in ("hand_off", "onboarding")]

    assert {len(each) for each in evidence} == {1}
    assert {one["there"] for each in evidence for one in each} == {True, False}
    assert asked
    assert [account for account, criteria in starts.items() if criteria] == asked
    assert {len(starts[account]) for account in asked} == {4}


def test_explain_tells_the_account_in_words_and_as_json(demo: Demo, documents: dict[str, dict]) -> None:
    """`lifecycle explain` shows why, what to do and what is missing, from the same reading."""
    account = next(key for key, doc in documents.items() if doc["health"]["color"] == "red")
    environ = {"LIFECYCLE_STORE_URL": demo.settings.store_url}
    workspace = ("--workspace", str(demo.workspace.root))

    told = lifecycle_here("explain", account, *workspace, **environ)
    as_json = lifecycle_here("explain", account, "--json", *workspace, **environ)

    assert told.returncode == 0
    assert "RED" in told.stdout
    assert "What to do" in told.stdout
    assert "Back to green when" in told.stdout
    assert "What would bring the risk down" in told.stdout
    assert json.loads(as_json.stdout)["receipt"] == documents[account]["receipt"]


def test_explain_of_a_stranger_is_a_users_mistake(demo: Demo) -> None:
    """An unknown account: one line on stderr, no traceback, exit status 2."""
    done = lifecycle(
        "explain",
        "A-nobody",
        "--workspace",
        str(demo.workspace.root),
        LIFECYCLE_STORE_URL=demo.settings.store_url,
    )

    assert done.returncode == 2
    assert "A-nobody" in done.stderr
    assert "Traceback" not in done.stderr
