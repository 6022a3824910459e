"""RiskClassifier: scikit-learn's contract, categories and gaps, exact contributions, accounts left out."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import estimator_checks_generator

from lifecycle_ml.models.bag import leave_accounts_out
from lifecycle_ml.models.capacity import Capacity
from lifecycle_ml.models.classifier import RiskClassifier
from lifecycle_ml.models.encoding import Encoding


def small(**changes):
    return RiskClassifier(
        **{
            "capacity": Capacity(n_trees=30, learning_rate=0.1),
            "n_members": 5,
            "num_threads": 1,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def table():
    """Rows of 400 accounts with numbers, gaps, yes/no and categories; the first column drives the outcome."""
    rng = np.random.default_rng(3)
    rows = 2000
    usage = rng.normal(size=rows)
    plan = rng.choice(["basic", "plus", "enterprise"], size=rows, p=[0.5, 0.3, 0.2])
    margin = -1.5 - 1.2 * usage + 0.8 * (plan == "basic")
    y = (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(int)
    usage[rng.random(rows) < 0.1] = np.nan
    frame = pd.DataFrame(
        {
            "usage": usage,
            "noise": rng.normal(size=rows),
            "yes": rng.random(rows) < 0.3,
            "plan": pd.Series(plan, dtype="str").where(rng.random(rows) > 0.1),
            "region": pd.Categorical(rng.choice(["north", "south"], size=rows)),
        }
    )
    return frame, y, np.array([f"A-{number}" for number in rng.integers(0, 400, rows)])


@pytest.fixture(scope="module")
def fitted(table):
    """A small bag on the table, usage held to lower the risk."""
    frame, y, groups = table
    return small(monotone={"usage": -1}).fit(frame, y, groups)


EXPECTED_TO_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": "a leaf counts rows, so a weight of 2 is not two rows",
}


def test_is_a_scikit_learn_classifier():
    """Every estimator check passes but those listed with their reason."""
    estimator = RiskClassifier(n_members=2, num_threads=1)
    failed = {}
    for checked, check in estimator_checks_generator(estimator, legacy=True):
        name = check.func.__name__ if hasattr(check, "func") else str(check)
        try:
            check(checked)
        except pytest.skip.Exception:
            continue
        except Exception as error:  # noqa: BLE001 (a check may fail in any way)
            if type(error).__name__ != "SkipTest":
                failed[name] = repr(error)
    assert set(failed) <= set(EXPECTED_TO_FAIL), failed


def test_contributions_add_up_to_the_margin(table, fitted):
    """Contributions and base are the margin, on the columns that went in."""
    frame, _, _ = table
    values = fitted.contributions(frame)
    assert values.shape == (len(frame), frame.shape[1] + 1)
    np.testing.assert_allclose(values.sum(axis=1), fitted.decision_function(frame), atol=1e-6)


@pytest.mark.parametrize("n_leaves", [6, 16])
def test_contributions_are_those_of_shap(table, n_leaves):
    """The reference, gaps and categories included; its values of a category's columns are added up."""
    import shap

    frame, y, groups = table
    frame = frame.mask(np.random.default_rng(4).random(frame.shape) < 0.1)
    capacity = Capacity(n_trees=40, n_leaves=n_leaves)
    fitted = RiskClassifier(n_members=3, capacity=capacity, linear=False, num_threads=1, random_state=0)
    fitted.fit(frame, y, groups=groups)
    encoded = fitted.encoding_.transform(frame)
    explainers = [shap.TreeExplainer(member) for member in fitted.bag_.members]
    values = np.mean([explainer.shap_values(encoded) for explainer in explainers], axis=0)
    base = np.mean([np.ravel(explainer.expected_value)[-1] for explainer in explainers])

    found = fitted.contributions(frame)

    assert frame.isna().any().all()
    np.testing.assert_allclose(found[:, :-1], fitted.encoding_.gather(values), atol=1e-5)
    np.testing.assert_allclose(found[:, -1], base + fitted.base_, atol=1e-5)


def test_member_contributions_average_to_the_contributions(table, fitted):
    """The bag's contributions are the mean of its members'."""
    frame, _, _ = table
    members = fitted.member_contributions(frame.head(50))
    assert members.shape == (5, 50, frame.shape[1] + 1)
    np.testing.assert_allclose(members.mean(axis=0), fitted.contributions(frame.head(50)), atol=1e-9)


def test_a_row_scores_the_same_alone_as_in_a_batch(table, fitted):
    """Not one bit depends on how many rows are asked for."""
    frame, _, _ = table
    together = fitted.decision_function(frame)[:20]
    alone = np.concatenate([fitted.decision_function(frame.iloc[[row]]) for row in range(20)])
    assert (together == alone).all()


def test_more_usage_never_raises_the_risk(table, fitted):
    """A monotone column moves the margin one way only, for every row."""
    frame, _, _ = table
    grid = np.linspace(-3, 3, 25)
    margins = np.stack([fitted.decision_function(frame.head(100).assign(usage=value)) for value in grid])
    assert (np.diff(margins, axis=0) <= 1e-12).all()
    assert margins[0].mean() > margins[-1].mean() + 0.5


def test_ranks_rows_it_never_saw(table):
    """Trained on half of the accounts, it ranks the other half clearly better than chance."""
    frame, y, groups = table
    train = np.array([int(name[2:]) % 2 == 0 for name in groups])
    model = small().fit(frame[train], y[train], groups[train])
    assert roc_auc_score(y[~train], model.predict_proba(frame[~train])[:, 1]) > 0.7


def test_same_seed_same_model_whatever_the_threads(table):
    """The trees do not depend on the number of threads, but on the seed."""
    frame, y, groups = table
    one = small(num_threads=1).fit(frame, y, groups).bag_.texts()
    assert small(num_threads=2).fit(frame, y, groups).bag_.texts() == one
    assert small(random_state=1).fit(frame, y, groups).bag_.texts() != one


def test_a_clone_starts_unfitted(fitted, table):
    """Parameters travel, what was learned does not."""
    with pytest.raises(NotFittedError):
        clone(fitted).predict_proba(table[0])


def test_every_account_is_left_out_equally_often(table, fitted):
    """With 5 members and a fifth left out, each account is unseen by exactly one member."""
    assert (fitted._left_out.sum(axis=0) == 1).all()


def test_members_share_the_churned_accounts():
    """Each hand that is left out holds its part of the churned accounts."""
    account = np.arange(1000)
    churned = account % 50 == 0
    out = leave_accounts_out(account, churned, 10, 0.8, np.random.RandomState(0))
    assert [int((hand & churned).sum()) for hand in out] == [4] * 10


def test_unseen_margin_uses_only_members_that_never_saw_the_account(table, fitted):
    """For a known account it is the margin of the members that left it out; for a new one of all."""
    frame, _, groups = table
    margins = fitted.base_ + fitted.bag_.margins(fitted.encoding_.transform(frame.head(1)))
    position = fitted._accounts.get_loc(groups[0])
    expected = margins[fitted._left_out[:, position]].mean()
    assert fitted.unseen_margin(frame.head(1), groups[:1]) == pytest.approx(expected)
    fresh = fitted.unseen_margin(frame.head(1), np.array(["new"]))
    assert fresh == pytest.approx(fitted.decision_function(frame.head(1)))


def test_an_offset_is_where_rows_start(table):
    """Fitted with an offset, the trees explain only what lies beyond it."""
    frame, y, groups = table
    truth = np.where(y == 1, 4.0, -4.0)
    model = small().fit(frame, y, groups, offset=truth)
    assert model.base_ == 0.0
    assert (
        np.abs(model.decision_function(frame)).max()
        < np.abs(small().fit(frame, y).decision_function(frame)).max()
    )


def test_one_class_is_refused():
    """A risk cannot be learned from rows that all stayed."""
    with pytest.raises(ValueError, match="only one class, 0"):
        small().fit(pd.DataFrame({"x": range(40)}), np.zeros(40, dtype=int))


def test_dates_are_refused_by_name():
    """A date column is no input; the message says which and what to give instead."""
    frame = pd.DataFrame({"x": range(40), "when": pd.date_range("2025-01-01", periods=40)})
    with pytest.raises(TypeError, match="column 'when' is datetime64"):
        small().fit(frame, np.arange(40) % 2)


def test_a_missing_column_is_refused_by_name(fitted, table):
    """Scoring without a column it was fitted on names the column."""
    with pytest.raises(ValueError, match="plan"):
        fitted.predict_proba(table[0].drop(columns=["plan"]))


def test_a_monotone_column_must_exist(table):
    """A misspelt direction is a mistake, not a wish."""
    frame, y, _ = table
    with pytest.raises(ValueError, match="does not have: usge"):
        small(monotone={"usge": -1}).fit(frame, y)


def test_groups_must_be_complete(table):
    """A row without an account cannot be kept out with its account."""
    frame, y, groups = table
    gaps = groups.astype(object)
    gaps[:3] = None
    with pytest.raises(ValueError, match="3 gaps"):
        small().fit(frame, y, gaps)


def test_rare_levels_share_a_column_and_unseen_ones_join_them():
    """A level of few accounts gets no column of its own; gaps stay gaps."""
    frame = pd.DataFrame({"plan": ["a"] * 30 + ["b"] * 30 + ["c"] * 5 + [None] * 5})
    encoding = Encoding.fit(frame)
    assert encoding.encoded_names == ("plan=a", "plan=b", "plan=(other)")
    encoded = encoding.transform(pd.DataFrame({"plan": ["b", "c", "new", None]}))
    np.testing.assert_array_equal(encoded, [[0, 1, 0], [0, 0, 1], [0, 0, 1], [np.nan] * 3])


def test_levels_are_counted_in_accounts_where_there_are_groups():
    """Forty rows of two accounts are two accounts."""
    frame = pd.DataFrame({"plan": ["a"] * 40 + ["b"] * 40})
    groups = np.concatenate([np.arange(40) % 2, 10 + np.arange(40)])
    assert Encoding.fit(frame, groups).encoded_names == ("plan=b", "plan=(other)")


@pytest.mark.slow
def test_churn_of_tv_subscribers_meets_the_published_floor():
    """On empulse's real table the defaults reach 0.715 AUROC, 2.3 top-decile lift, log loss 0.180."""
    from empulse.datasets import load_churn_tv_subscriptions
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    data = load_churn_tv_subscriptions(backend="pandas")
    frame, y = data.data, np.asarray(data.target)
    risk = np.zeros(len(y))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=20261121).split(frame, y):
        risk[test] = RiskClassifier().fit(frame.iloc[train], y[train]).predict_proba(frame.iloc[test])[:, 1]
    top = np.argsort(-risk)[: len(y) // 10]
    assert roc_auc_score(y, risk) >= 0.715
    assert y[top].mean() / y.mean() >= 2.3
    assert log_loss(y, risk) <= 0.180
