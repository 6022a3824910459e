"""The benchmark of the feature engine at a tiny size: its events, and whether all contenders say the same."""

from __future__ import annotations

import json
from dataclasses import replace

import duckdb
import numpy as np
import pandas as pd
import pytest
from benchmarks.one_scan import frameworks
from benchmarks.one_scan.__main__ import main
from benchmarks.one_scan.against import floor_days
from benchmarks.one_scan.definitions import ADDITIVE, WIDE, additive_features, usage_features
from benchmarks.one_scan.events import END, Size, as_of_dates, events_of, open_tables, write_company, written
from benchmarks.one_scan.frameworks import PROMPT, NotInstallableError, write_daily_features
from benchmarks.one_scan.measuring import Clocked, compare, peak_memory, take_turns
from benchmarks.one_scan.rivals import (
    account_names,
    finish,
    first_days,
    group_once,
    join_to_grid,
    loop_in_pandas,
    spine_of,
)
from benchmarks.one_scan.scaling import renewal_spine

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.tables.schema import SCHEMAS

SIZE = Size(events=20_000, accounts=16)
DATES = as_of_dates(3)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A tiny company."""
    return write_company(tmp_path_factory.mktemp("one_scan"), SIZE)


@pytest.fixture(scope="module")
def spine(home):
    """Its accounts on three dates."""
    return spine_of(account_names(home), DATES)


@pytest.fixture(scope="module")
def ours(home, spine):
    """The whole usage family as the engine builds it."""
    return build_matrix(open_tables(home), usage_features(), spine)


def test_events_are_canonical_and_some_arrive_up_to_forty_days_late(home):
    """Types are those of the data contract, and nothing is known before it happened or after the end."""
    tables = open_tables(home)
    columns = tables["usage_events"].schema()
    assert [*SCHEMAS["usage_events"].by_name, "known_at", "superseded_at"] == list(columns)
    assert str(columns["quantity"]) == "decimal(18, 4)"

    rows, late, least, most, end = tables.backend.con.execute(
        "SELECT count(*), avg((known_at > happened_at)::INT), "
        "min(known_at - happened_at) FILTER (WHERE known_at > happened_at), max(known_at - happened_at), "
        "max(known_at) FROM usage_events"
    ).fetchall()[0]

    assert rows == written(home)["rows"] == pytest.approx(SIZE.events, rel=0.05)
    assert 0.01 < late < 0.02
    assert pd.Timedelta(days=1) <= least < most <= pd.Timedelta(days=40)
    assert end.date() < END


def test_events_are_filed_in_the_order_they_arrived(home):
    """Every file holds what became known after the one before."""
    arrived = duckdb.sql(
        f"SELECT filename, min(known_at) AS low, max(known_at) AS high "
        f"FROM read_parquet('{home}/events/*.parquet', filename = true) GROUP BY 1 ORDER BY 1"
    ).df()

    assert len(arrived) == 36
    assert (arrived["low"].iloc[1:].to_numpy() > arrived["high"].iloc[:-1].to_numpy()).all()


def test_the_same_parameters_give_the_same_events_and_write_them_once(home, tmp_path):
    """A company is taken up again as it lies; elsewhere the same one is drawn; another seed draws another."""
    stamp = (home / "events" / "part-000.parquet").stat().st_mtime_ns
    assert write_company(home.parent, SIZE) == home
    assert (home / "events" / "part-000.parquet").stat().st_mtime_ns == stamp

    def content(where):
        return duckdb.sql(f"SELECT sum(hash(e)) FROM {events_of(where)} AS e").fetchall()

    assert content(write_company(tmp_path, SIZE)) == content(home)
    assert content(write_company(tmp_path, replace(SIZE, seed=21))) != content(home)


def test_plain_sql_gives_the_whole_usage_family_as_ours(home, spine, ours):
    """Distinct counts, slopes, pasts and streaks too, nulls included."""
    theirs = finish(join_to_grid(events_of(home), DATES, beyond=True), spine, first_days(home))
    agreement = compare(ours, theirs)

    assert (agreement.values, agreement.different) == (len(spine) * len(usage_features()), 0), agreement
    assert ours["events_all_28d"].sum() > 0


@pytest.mark.parametrize("careful", [False, True])
def test_loops_in_pandas_give_the_same_sums_as_ours(home, spine, ours, careful):
    """Both ways of writing the loop."""
    agreement = compare(ours, loop_in_pandas(home, DATES, careful=careful), absent_is_zero=True)

    assert (agreement.values, agreement.different) == (len(spine) * len(ADDITIVE), 0), agreement


def test_ready_made_daily_features_are_ours_on_the_days_asked_for(home, spine, tmp_path):
    """What Feast is given to join, on the events that arrived at once."""
    path = write_daily_features(home, DATES, tmp_path)
    daily = pd.read_parquet(path)
    daily["as_of"] = daily["event_timestamp"].dt.tz_convert("UTC").dt.tz_localize(None)
    asked = daily.merge(spine[["account_id", "as_of"]].astype({"as_of": daily["as_of"].dtype}))
    mine = build_matrix(open_tables(home, only=PROMPT), additive_features(), spine)
    agreement = compare(mine, asked)

    assert (agreement.values, agreement.different) == (len(spine) * len(ADDITIVE), 0), agreement


def test_dates_of_each_account_lie_before_its_renewals(home):
    """Every account has its own, and wide features agree with plain SQL there."""
    rows = renewal_spine(home)
    assert rows.groupby("account_id")["as_of"].agg(tuple).nunique() > SIZE.accounts / 2

    picked = rows[rows["account_id"].isin(account_names(home)[:3])].reset_index(drop=True)
    days = [day.date() for day in picked["as_of"].unique()]
    grid = join_to_grid(events_of(home), days, WIDE, beyond=True)
    theirs = finish(grid, picked, first_days(home))
    agreement = compare(build_matrix(open_tables(home), additive_features(WIDE), picked), theirs)

    assert (agreement.values, agreement.different) == (len(picked) * len(WIDE), 0), agreement


def test_the_floor_groups_every_event_that_lies_in_a_window(home):
    """Tiles add up to the events between the first cut and the last."""
    days = floor_days(DATES)
    tiles = group_once(events_of(home), days)
    [(inside,)] = duckdb.sql(
        f"SELECT count(*) FROM {events_of(home)} WHERE happened_at >= '{days['day'].min()}' "
        f"AND happened_at < '{END}'"
    ).fetchall()

    assert sum(tiles.column("events_all").to_pylist()) == inside > 0


def frame(**columns):
    """Two rows of account A and what they hold."""
    days = pd.to_datetime(["2024-01-01", "2024-01-29"])
    return pd.DataFrame({"account_id": "A", "as_of": days, **columns})


def test_a_value_that_differs_is_counted_and_named():
    """A null beside a number is a difference; a rounding error is none."""
    mine = frame(x=[1.0, np.nan], y=[3.0, 1e6])
    assert compare(mine, frame(x=[1.0, np.nan], y=[3.0, 1e6 + 1e-5])).different == 0

    agreement = compare(mine, frame(x=[1.0, 2.0], y=[3.5, 1e6]))
    assert agreement.different == 2
    assert "y of ('A', Timestamp('2024-01-01" in agreement.example


def test_rows_a_rival_leaves_out_are_zero_only_where_that_is_said():
    """And a row that ours has not is always a difference."""
    mine = frame(x=[0.0, 2.0])
    assert compare(mine, frame(x=[0.0, 2.0]).iloc[1:], absent_is_zero=True).different == 0
    assert compare(frame(x=[1.0, 2.0]), frame(x=[1.0, 2.0]).iloc[1:], absent_is_zero=True).different == 1
    assert compare(mine.iloc[1:], frame(x=[0.0, 2.0])).different == 1


def test_contenders_take_turns_and_may_keep_their_own_time():
    """One round after the other, each contender once a round; the first answer is kept."""
    calls = []

    def own_clock():
        calls.append("own")
        return Clocked(7.0, 5.0, len(calls))

    times = take_turns({"own": own_clock, "other": lambda: calls.append("other")}, rounds=3)

    assert calls == ["own", "other"] * 3
    assert (times["own"].median, times["own"].processor_median, times["own"].answer) == (7.0, 5.0, 1)
    assert 0 <= times["other"].median < 1
    assert 10_000_000 < peak_memory() < 1e12


def test_a_framework_that_cannot_be_installed_is_skipped_loudly(tmp_path, monkeypatch, capsys):
    """The installer's words are printed, and the other parts go on."""

    def refuse(name, folder):
        raise NotInstallableError(f"no {name} to be had")

    monkeypatch.setattr(frameworks, "environment", refuse)

    assert (
        main(["--events", "2000", "--folder", str(tmp_path), "--part", "featuretools", "--part", "feast"])
        == 0
    )

    said = capsys.readouterr().out
    assert said.count("SKIPPED") == 4
    assert "cannot be installed here: no feast to be had" in said


def test_a_part_is_printed_and_kept_with_its_target(home, tmp_path, capsys):
    """The command says the machine, the medians, what agreed and whether the target was reached."""
    out = tmp_path / "figures.jsonl"
    size = ["--events", str(SIZE.events), "--accounts", str(SIZE.accounts)]
    options = [*size, "--rounds", "1", "--folder", str(home.parent), "--out", str(out)]

    assert main([*options, "--part", "floor", "--part", "increment"]) == 0

    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["part"] for line in lines] == ["machine", *["floor"] * 3, *["increment"] * 2]
    assert lines[0]["versions"]["duckdb"] == duckdb.__version__
    usage = lines[3]
    assert usage["ratio"] == pytest.approx(usage["median"] / lines[1]["median"], rel=0.1)
    assert "values agree" in usage["said"]
    assert usage["met"] is (usage["median"] <= 6 * lines[1]["median"])
    assert "the same values" in capsys.readouterr().out
