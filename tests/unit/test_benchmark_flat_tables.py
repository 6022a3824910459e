"""The benchmark on flat tables: how tables are read, what a verdict is, and a run on a made-up table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from benchmarks.flat_tables import __main__ as command
from benchmarks.flat_tables.comparison import as_text, compare, verdict
from benchmarks.flat_tables.contenders import CONTENDERS, boosted, logistic, text_columns
from benchmarks.flat_tables.tables import TABLES, TableMissingError, load

from lifecycle_ml.models.evaluation import Interval


def made_up(rows: int = 200) -> pd.DataFrame:
    """Return customers who leave mostly for one number and one plan, with gaps in both."""
    random = np.random.default_rng(0)
    calls = random.normal(size=rows)
    plan = random.choice(["small", "large"], size=rows)
    leaves = random.random(rows) < 1 / (1 + np.exp(-(1.5 * calls + (plan == "small") - 1)))
    frame = pd.DataFrame({"plan": plan, "calls": calls, "noise": random.normal(size=rows)})
    frame.loc[::17, "calls"] = np.nan
    frame.loc[::19, "plan"] = None
    return frame.assign(churn=np.where(leaves, "yes", "no"))


@pytest.fixture
def data(tmp_path):
    """A folder of third-party tables with one table in it."""
    folder = tmp_path / "data"
    (folder / "mlc_churn").mkdir(parents=True)
    made_up().to_csv(folder / "mlc_churn" / "mlc_churn.csv.gz", index=False)
    return folder


@pytest.fixture
def light(monkeypatch):
    """Two quick contenders and a stand-in for ours."""
    for name in [*CONTENDERS]:
        monkeypatch.delitem(CONTENDERS, name)
    monkeypatch.setitem(CONTENDERS, "logreg", logistic)
    monkeypatch.setitem(CONTENDERS, "lgbm_default", boosted(n_estimators=5))
    monkeypatch.setitem(CONTENDERS, "ours", boosted(n_estimators=20, min_child_samples=10))


def test_a_table_is_read_without_label_and_identifiers(tmp_path):
    """Yes is 1, gaps stay gaps, and the five folds judge every row once."""
    frame = made_up(40).rename(columns={"churn": "Churn"}).assign(customerID="a", TotalCharges=" ")
    (tmp_path / "telco_plain").mkdir()
    frame.to_csv(tmp_path / "telco_plain" / "telco_customer_churn.csv.gz", index=False)

    table = load("telco_plain", tmp_path)

    assert list(table.X) == ["plan", "calls", "noise", "TotalCharges"]
    assert table.X["TotalCharges"].isna().all()
    assert table.X["plan"].isna().sum() == 3
    assert table.y.tolist() == (frame["Churn"] == "yes").astype(int).tolist()
    judged = np.concatenate([test for _, test in table.folds()])
    assert sorted(judged) == list(range(40))


def test_a_large_table_is_drawn_down_to_its_limit_in_order(tmp_path):
    """cell2cell keeps 20,000 rows, always the same."""
    (tmp_path / "cell2cell").mkdir()
    frame = pd.DataFrame({"CustomerID": 1, "position": range(20_100), "Churn": ["Yes", "No"] * 10_050})
    frame.to_csv(tmp_path / "cell2cell" / "cell2cell_train.csv.gz", index=False)

    table = load("cell2cell", tmp_path)

    position = table.X["position"].to_numpy()
    assert len(position) == 20_000
    assert (np.diff(position) > 0).all()
    assert (table.y == (position % 2 == 0)).all()


def test_numbered_classes_are_text(tmp_path):
    """The customer types of caravan have no order."""
    (tmp_path / "caravan").mkdir()
    frame = pd.DataFrame(
        {"MOSTYPE": [33, 2], "MOSHOOFD": [8, 1], "MAANTHUI": [1, 2], "Purchase": ["No", "Yes"]}
    )
    frame.to_csv(tmp_path / "caravan" / "caravan.csv.gz", index=False)

    table = load("caravan", tmp_path)

    assert text_columns(table.X) == ["MOSTYPE", "MOSHOOFD"]
    assert table.y.tolist() == [0, 1]


def test_policies_are_judged_by_surrender_within_four_quarters_and_known_only_by_what_was_known(tmp_path):
    """Death is no surrender, a late one is none yet, and who was not watched long enough is left out."""
    rows = [
        ("surrender", 0.5, 1),
        ("surrender", 4.0, 1),
        ("surrender", 4.01, 0),
        ("death", 1.0, 0),
        ("other", 2.0, 0),
        ("in-force", 4.0, 0),
        ("in-force", 3.9, None),
    ]
    frame = pd.DataFrame(rows, columns=["termination.cause", "duration", "expected"])
    later = dict.fromkeys(("surrender", "death", "other", "allcause", "DJIA"), 0.0)
    frame = frame.assign(**later, gender="Male", **{"issue.date": "2001-01-01"})
    (tmp_path / "us_lapse_agent").mkdir()
    frame.drop(columns="expected").to_csv(tmp_path / "us_lapse_agent" / "us_lapse_agent.csv.gz", index=False)

    table = load("us_lapse_agent", tmp_path)

    assert table.y.tolist() == [1, 1, 0, 0, 0, 0]
    assert table.left_out == 1
    assert list(table.X) == ["issue_year", "gender"]
    assert table.X["issue_year"].eq(2001).all()


@pytest.mark.parametrize(
    ("low", "value", "high", "metric", "expected"),
    [
        (0.001, 0.01, 0.02, "auroc", "ahead"),
        (-0.005, 0.001, 0.01, "auroc", "as good"),
        (-0.02, -0.009, 0.001, "auroc", "as good"),
        (-0.03, -0.010, 0.001, "auroc", "behind"),
        (-0.005, -0.003, -0.001, "auroc", "behind"),
        (-0.02, -0.01, -0.001, "log_loss", "ahead"),
        (-0.001, 0.002, 0.004, "log_loss", "as good"),
        (0.001, 0.002, 0.004, "log_loss", "behind"),
    ],
)
def test_a_verdict_needs_an_interval_that_excludes_nought(low, value, high, metric, expected):
    """A difference that may be chance is as good unless it is large; for a loss less is better."""
    assert verdict(Interval(value, low, high), metric) == expected


def test_a_run_fits_what_is_missing_and_skips_tables_loudly(data, tmp_path, light, capsys, monkeypatch):
    """All methods judge all rows; the second run fits nothing and prints the same tables."""
    asked = ["--data", str(data), "--out", str(tmp_path / "out"), "--draws", "30", "--threads", "1"]
    asked += [part for name in ("mlc_churn", "caravan") for part in ("--table", name)]

    command.main(asked)
    said = capsys.readouterr().out

    assert f"SKIPPED caravan: there is no {data / 'caravan' / 'caravan.csv.gz'}" in said
    lines = [json.loads(text) for text in (tmp_path / "out" / "mlc_churn.jsonl").read_text().splitlines()]
    assert [line["method"] for line in lines] == ["logreg", "lgbm_default", "ours"]
    assert all(len(line["p"]) == 200 and None not in line["p"] for line in lines)
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures[0]["against"]["auroc"]["anchor"] == "logreg"
    assert 0.7 < figures[0]["figures"]["logreg"]["auroc"]["value"] < 0.95

    monkeypatch.setattr(command, "out_of_fold", None)
    command.main(asked)

    assert capsys.readouterr().out.splitlines() == [
        one for one in said.splitlines() if not one.startswith("mlc_churn ")
    ]


def test_asked_figures_and_autogluons_fold_are_told(data, light):
    """TV churn says whether each figure asked for is reached; AutoGluon is judged on its own rows only."""
    table = load("mlc_churn", data)
    table = type(table)("tv_subscriptions", table.X, table.y)
    good = np.where(table.y == 1, 0.9, 0.1)
    random = np.random.default_rng(1).random(len(good))
    first = table.folds()[0][1]
    apart = [float(p) if row in set(first) else None for row, p in enumerate(random)]
    chosen = [{"leaves": 6, "trees": 150, "line_weight": 0.25}]
    lines = {
        "logreg": {"p": random.tolist(), "seconds": [1.0]},
        "ours": {"p": good.tolist(), "seconds": [1.0], "chosen": chosen},
        "autogluon": {"p": apart, "seconds": [60.0]},
    }

    found = compare(table, lines, draws=20)

    assert found["asked"] == {"auroc 0.715": True, "top_decile_lift 2.3": True, "log_loss 0.18": True}
    assert (
        found["against"]["auroc"]["verdict"] == found["first_fold"]["against"]["auroc"]["verdict"] == "ahead"
    )
    assert set(found["first_fold"]["figures"]) == {"logreg", "ours", "autogluon"}
    text = as_text([found])
    assert "tv_subscriptions: auroc 0.715 reached" in text
    assert "| 6 | 150 to 150 | 0.25 to 0.25 |" in text


def test_the_package_that_ships_tv_churn_is_named_where_it_is_absent(monkeypatch):
    """Every table says why it is missing."""
    monkeypatch.setitem(__import__("sys").modules, "empulse.datasets", None)

    for name in TABLES:
        with pytest.raises(TableMissingError, match="empulse" if name == "tv_subscriptions" else "--data"):
            load(name, None)
