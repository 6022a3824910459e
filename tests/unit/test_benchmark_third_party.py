"""The benchmark on third-party tables: dates, histories of purchases, verdicts, and lines that are kept."""

from __future__ import annotations

import json
import math
import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.third_party import __main__ as third_party
from benchmarks.third_party.anchors import COUNTS, FIGURES, METRICS
from benchmarks.third_party.companies import ANCHOR_DATES, on_anchor_dates
from benchmarks.third_party.contenders import Context, Outcome, histories
from benchmarks.third_party.report import OWN_DATES, as_text, compare, verdict

from lifecycle_ml.models.evaluation import Interval

DATA = Path(os.environ.get("THIRD_PARTY_DATA") or Path(__file__).parents[3] / "shared" / "data")


def test_cut_offs_are_those_of_the_published_figures():
    """First, last training and first and last tested date of each set, as published."""
    found = {}
    for name, asked in ANCHOR_DATES.items():
        dates = asked.dates
        found[name] = (len(dates), dates[0], dates[asked.train - 1], dates[-asked.test], dates[-1])

    assert found == {
        "dpdk_orgs": (48, date(2014, 4, 1), date(2022, 10, 1), date(2023, 4, 1), date(2026, 1, 1)),
        "online_retail_ii": (16, date(2010, 6, 1), date(2011, 3, 1), date(2011, 6, 1), date(2011, 9, 1)),
        # a purchase on the cut-off itself counts as past there, so as_of is the day after
        "cdnow": (11, date(1997, 3, 2), date(1997, 5, 2), date(1997, 11, 2), date(1998, 1, 2)),
    }


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["dpdk_orgs", "online_retail_ii"])
def test_the_rows_are_as_many_as_the_published_figures_rest_on(name):
    """Population and label give the published rows, accounts and rate."""
    if not (DATA / name).is_dir():
        pytest.skip(f"the third-party tables of {name} are not here; set THIRD_PARTY_DATA to their folder")
    company = on_anchor_dates(name, DATA)
    (fold,) = company.folds
    train, judged = company.matrix[fold.train], company.judged()

    assert {
        "train_rows": len(train),
        "train_accounts": train["account_id"].nunique(),
        "rows": len(judged),
        "accounts": judged["account_id"].nunique(),
    } == COUNTS[name]
    assert round(judged["y"].mean(), 3) == {"dpdk_orgs": 0.185, "online_retail_ii": 0.454}[name]


def test_a_history_of_purchases_ends_before_as_of():
    """Repeats, recency and age in days, row by row in the order asked; the day as_of is still to come."""
    days = pd.DataFrame(
        {
            "account_id": ["a", "a", "a", "b"],
            "day": pd.to_datetime(["2024-01-01", "2024-01-11", "2024-02-01", "2024-01-31"]),
        }
    )
    asked = pd.DataFrame(
        {"account_id": ["b", "a", "a"], "as_of": pd.to_datetime(["2024-02-01", "2024-02-01", "2024-02-02"])}
    )

    assert histories(days, asked).to_dict("list") == {
        "repeats": [0, 1, 2],
        "last": [0, 10, 31],
        "age": [1, 31, 32],
    }


@pytest.mark.parametrize(
    ("difference", "metric", "said"),
    [
        ((0.02, 0.01, 0.03), "auroc", "ahead"),
        ((-0.02, -0.03, -0.01), "auroc", "behind"),
        ((-0.02, -0.03, -0.01), "log_loss", "ahead"),
        ((-0.005, -0.02, 0.01), "auroc", "as good"),
        ((-0.015, -0.04, 0.01), "auroc", "undecided"),
        ((0.015, -0.01, 0.04), "log_loss", "undecided"),
    ],
)
def test_a_verdict_needs_the_interval_and_the_difference(difference, metric, said):
    """What may be chance is neither ahead nor behind, and as good only if it is small."""
    assert verdict(Interval(*difference), metric) == said


def test_published_figures_are_whole():
    """Every published method has four figures, each a value inside its interval."""
    for methods in FIGURES.values():
        for figures in methods.values():
            assert len(figures) == len(METRICS)
            for figure in figures:
                value, low, high = (float(part.strip("[],")) for part in figure.split())
                assert low <= value <= high


class _Company:
    """What `run_set` asks of a company, without tables."""

    name = "cdnow"

    def judged(self) -> pd.DataFrame:
        accounts = [f"a{number}" for number in range(60)]
        return pd.DataFrame({"account_id": accounts, "y": [float(n % 3 == 0) for n in range(60)]})


def test_a_stopped_run_goes_on_where_it_ended(tmp_path, monkeypatch):
    """A step that is kept is not taken again, a missing one is; the tables compare them on the same rows."""
    taken = []
    y = _Company().judged()["y"].to_numpy()

    def product(company, context):
        taken.append("product")
        about = {"features": 3, "refusals": []}
        return Outcome({"model": np.where(y > 0, 0.8, 0.2), "base_rate": np.full(60, 1 / 3)}, about)

    def catboost(company, context):
        taken.append("catboost")
        if len(taken) == 2:
            raise KeyboardInterrupt
        return Outcome({"catboost": np.where(np.arange(60) % 2, 0.6, 0.1)})

    steps = {"product": product, "catboost": catboost}
    monkeypatch.setitem(third_party.KINDS, OWN_DATES, (lambda *_: _Company(), lambda *_: steps))
    out, context = tmp_path / "cdnow.jsonl", Context(1, None)
    with pytest.raises(KeyboardInterrupt):
        third_party.run_set("cdnow", OWN_DATES, tmp_path, out, context)
    third_party.run_set("cdnow", OWN_DATES, tmp_path, out, context)
    lines = third_party.run_set("cdnow", OWN_DATES, tmp_path, out, context)

    assert taken == ["product", "catboost", "catboost"]
    assert [line["step"] for line in lines] == ["rows", "product", "catboost"]
    compared = compare(lines, draws=50)
    assert compared["figures"]["model"]["auroc"]["value"] == 1.0
    assert compared["against"]["catboost"]["auroc"]["verdict"] == "ahead"
    assert not math.isnan(compared["figures"]["catboost"]["log_loss"]["value"])
    assert "| catboost |" in as_text([compared])


def test_lines_measured_on_other_rows_stop_the_run(tmp_path, monkeypatch):
    """What was kept of other rows is not compared with what is measured now."""
    monkeypatch.setitem(
        third_party.KINDS,
        OWN_DATES,
        (lambda *_: _Company(), lambda *_: {"product": lambda *_: Outcome({"model": np.full(60, 0.5)})}),
    )
    out = tmp_path / "cdnow.jsonl"
    kept = {"set": "cdnow", "dates": OWN_DATES, "step": "rows", "rows": 59, "events": 20, "seconds": 1}
    out.write_text(json.dumps(kept) + "\n", encoding="utf-8")

    with pytest.raises(ValueError, match="delete it to measure again"):
        third_party.run_set("cdnow", OWN_DATES, tmp_path, out, Context(1, None))
