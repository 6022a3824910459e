"""POST /v1/what-if: what is asked, what is refused, and what is said where nothing can be answered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from published_company import KEYS

from lifecycle_ml import what_if
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.service.api import examples
from lifecycle_ml.service.api.models import Problem
from lifecycle_ml.service.api.what_if import WhatIfAnswer
from lifecycle_ml.what_if import ChangeError, FeatureChange, NoModelError, NotThereError, WhatIfs, changed_row

QUESTION = examples.WHAT_IF_QUESTION
IDS = ("scored_at", "publication_id", "request_id", "budget")


@pytest.fixture(autouse=True)
def _published(published):
    """Every test here asks about the published company."""


class Asked:
    """Stands for the pipeline: keeps what it was asked, and answers the documented example or a fault."""

    def __init__(self, fault=None):
        self.questions = []
        self.fault = fault

    def __call__(self, publication, account_id, changes):
        self.questions.append((publication.publication_id, account_id, changes))
        if self.fault is not None:
            raise self.fault
        return {key: value for key, value in examples.WHAT_IF.items() if key not in IDS}


def ask(make_client, what_ifs, question=None):
    """Ask with a read key."""
    client = make_client(what_ifs=what_ifs)
    return client.post("/v1/what-if", json=question or QUESTION, headers={"X-API-Key": KEYS["read"]})


def refused(response, status, kind):
    """Hold a problem against what is expected of it and return it."""
    problem = Problem.model_validate_json(response.content)
    assert (response.status_code, problem.type) == (status, f"/problems/{kind}")
    return problem


def test_the_answer_has_its_documented_shape_and_names_its_publication(make_client, published):
    """What is asked reaches the pipeline as it was sent; the answer carries publication and request."""
    asked = Asked()
    response = ask(make_client, asked)
    answer = WhatIfAnswer.model_validate_json(response.content)

    assert asked.questions == [
        (published.publication_id, "A-1042", [FeatureChange("active_users_28d", 25.0, "users")])
    ]
    assert (answer.publication_id, answer.request_id) == (
        published.publication_id,
        response.headers["x-request-id"],
    )
    assert answer.after.churn.probability < answer.before.churn.probability


@pytest.mark.parametrize("value", [True, False, 3, 2.5, "gold", None])
def test_a_value_arrives_as_what_it_was_sent_as(make_client, value):
    """True is not 1, and "3" is not 3: what a feature holds is decided by the feature."""
    asked = Asked()
    ask(make_client, asked, {"account_id": "A-1042", "changes": [{"feature": "f", "value": value}]})

    ((_, _, (change,)),) = asked.questions
    assert (change.value, type(change.value)) == (
        value,
        float if type(value) is int else type(value),
    )


@pytest.mark.parametrize(
    ("account_id", "status", "kind"),
    [
        ("nobody", 404, "account-not-found"),
        ("A\0", 404, "account-not-found"),
        ("x" * 300, 404, "account-not-found"),
        ("A-lapsed", 404, "account-not-scored"),
    ],
)
def test_only_accounts_of_the_publication_are_computed(make_client, account_id, status, kind):
    """Nobody reads the source for an account nobody sees."""
    asked = Asked()
    refused(ask(make_client, asked, {**QUESTION, "account_id": account_id}), status, kind)

    assert asked.questions == []


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (NoModelError("Rules serve churn."), 409, "no-model"),
        (NotThereError("The source lost it."), 404, "account-not-scored"),
        (ConfigError("features/usage.py is broken."), 422, "refresh-failed"),
        (ChangeError(0, "unit", "Not counted in dollars."), 422, "invalid-request"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(make_client, fault, status, kind):
    """Each with its own type; a wrong change with a pointer to it."""
    problem = refused(ask(make_client, Asked(fault)), status, kind)

    if kind == "invalid-request":
        assert [(each.detail, each.pointer) for each in problem.errors] == [(str(fault), "/changes/0/unit")]
    else:
        assert problem.detail == str(fault)


def test_a_service_that_only_reads_says_so(make_client):
    """Without the source there is nothing to change."""
    refused(ask(make_client, None), 422, "refresh-unavailable")


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [{"feature": "f", "value": 1}] * 51,
        [{"feature": "f"}],
        [{"feature": "f", "value": [1]}],
        [{"feature": "f", "value": {"a": 1}}],
        [{"feature": "f", "value": 1, "note": "x"}],
        [{"value": 1}],
    ],
)
def test_a_malformed_question_is_refused(make_client, changes):
    """Before anything is read."""
    asked = Asked()
    refused(ask(make_client, asked, {"account_id": "A-1042", "changes": changes}), 422, "invalid-request")

    assert asked.questions == []


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """The standard features."""
    from lifecycle_ml.workspace import Workspace, standard_root

    return load_features(Workspace(root=tmp_path_factory.mktemp("w"), standard=standard_root()))


@pytest.fixture
def row(features):
    """One row of a matrix: numbers 5, yes, and words."""
    import pandas as pd

    values = {f.name: "smb" if f.is_text else 1.0 if f.is_yes_no else 5.0 for f in features}
    return pd.DataFrame({"account_id": ["A-1"], **{name: [value] for name, value in values.items()}})


def named(features, kind):
    """Return one feature of a kind: text, yes_no, count or number."""
    kinds = {"text": lambda f: f.is_text, "yes_no": lambda f: f.is_yes_no, "count": lambda f: f.is_count}
    other = kinds.get(kind, lambda f: not f.is_text and not f.is_yes_no)
    return next(feature for feature in features if other(feature))


def test_only_the_named_features_change(features, row):
    """Types stay those of the matrix, so that the row goes the way of every row."""
    number, truth, word = (named(features, kind) for kind in ("number", "yes_no", "text"))
    changes = [
        FeatureChange(number.name, 7, number.unit),
        FeatureChange(truth.name, False),
        FeatureChange(word.name, "enterprise"),
    ]
    changed = changed_row(features, row, changes, {word.name: ("enterprise", "smb")})

    assert list(changed.columns) == list(row.columns)
    assert (changed.dtypes == row.dtypes).all()
    different = {name for name in row.columns if changed[name].iloc[0] != row[name].iloc[0]}
    assert different == {number.name, truth.name, word.name}
    assert [changed[f.name].iloc[0] for f in (number, truth, word)] == [7.0, 0.0, "enterprise"]


def test_null_is_a_gap(features, row):
    """Null means not known, for numbers and words alike."""
    names = [named(features, kind).name for kind in ("number", "yes_no", "text")]
    changed = changed_row(features, row, [FeatureChange(name, None) for name in names])

    assert changed[names].isna().all(axis=None)


@pytest.mark.parametrize(
    ("kind", "value", "unit", "key", "says"),
    [
        ("number", "7", None, "value", "write a number, or null"),
        ("number", True, None, "value", "write a number, or null"),
        ("number", float("nan"), None, "value", "write a number, or null"),
        ("number", float("inf"), None, "value", "write a number, or null"),
        ("count", -5.0, None, "value", "write 0 or more, or null"),
        ("number", 7.0, "dollars", "unit", "not counted in 'dollars'"),
        ("yes_no", 0.5, None, "value", "true, false or null"),
        ("yes_no", "yes", None, "value", "true, false or null"),
        ("text", 3.0, None, "value", "is a text"),
        ("text", "enterprize", None, "value", "Did you mean 'enterprise'?"),
    ],
)
def test_a_change_no_account_can_have_is_refused(features, row, kind, value, unit, key, says):
    """The message names the feature's kind, unit or nearest word."""
    feature = named(features, kind)
    with pytest.raises(ChangeError, match=r"\w") as raised:
        changed_row(
            features, row, [FeatureChange(feature.name, value, unit)], {feature.name: ("enterprise", "smb")}
        )

    assert (raised.value.at, raised.value.key) == (0, key)
    assert says in str(raised.value)


def test_an_unknown_feature_gets_the_nearest_right_name(features, row):
    """A typo, a column beside the features, and the same one twice."""
    for names, at, says in (
        (["active_users_28"], 0, "Did you mean 'active_users_28d'?"),
        (["active_users_28d", "active_users_28d__usual"], 1, "No feature 'active_users_28d__usual'."),
        (["account_id"], 0, "No feature 'account_id'."),
        (["active_users_28d", "active_users_28d"], 1, "changed twice"),
    ):
        with pytest.raises(ChangeError, match=r"\w") as raised:
            changed_row(features, row, [FeatureChange(name, 3.0) for name in names])
        assert (raised.value.at, raised.value.key) == (at, "feature")
        assert says in str(raised.value)


def test_the_source_is_read_once_for_each_account_of_a_publication(published, monkeypatch):
    """The next publication forgets the one before, and no more accounts are kept than said."""
    asked = []
    kept = WhatIfs(None, None)

    def gather(publication, account_id):
        asked.append((publication.publication_id, account_id))
        return account_id, {}

    monkeypatch.setattr(kept, "_gather", gather)
    monkeypatch.setattr(what_if, "REMEMBERED", 2)
    later = replace(published, publication_id=9)
    for publication, accounts in ((published, "AABA"), (published, "CAB"), (later, "AA"), (published, "A")):
        for account_id in accounts:
            assert kept._account(publication, account_id) == (account_id, {})

    first = published.publication_id
    assert asked == [(first, "A"), (first, "B"), (first, "C"), (first, "B"), (9, "A"), (first, "A")]
    assert len(kept._kept) == 1
