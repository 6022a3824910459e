"""Kept tiles: each night adds the new day, and the matrix is that of all events."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.feature import FeatureSet
from lifecycle_ml.matrix.kept import KeptTiles
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.simulate.company import simulate_company
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace

FEATURES = load_features(load_workspace(Path(__file__).parents[3]))
NIGHTS = ("2024-03-01", "2024-03-02", "2024-03-09")


@pytest.fixture(scope="module")
def company():
    """Frames of a small company, a fiftieth of its events some days late."""
    frames = dict(simulate_company(5, 40).tables)
    events = frames["usage_events"]
    events = events[events["happened_at"].between("2023-06-01", "2024-06-01")].reset_index(drop=True)
    late = events.index % 50 == 0
    known = events["happened_at"] + pd.to_timedelta(late * (events.index % 11 + 1), unit="D")
    return frames | {"usage_events": events.assign(known_at=known)}


def until(tables, night):
    """The same tables with the events known by a night, as the source would have been then."""
    events = tables["usage_events"]
    known = events.filter(events.known_at <= pd.Timestamp(night))
    return tables_from_frames(
        {
            name: (known if name == "usage_events" else tables[name]).drop("superseded_at").to_pandas()
            for name in tables.names
        }
    )


def spine_of(tables, night):
    """All accounts as of a night."""
    at = pd.Timestamp(night).as_unit("us")
    accounts = tables["accounts"].account_id.to_pandas()
    return pd.DataFrame({"account_id": accounts, "as_of": at, "known_at": at})


def test_night_after_night_gives_the_matrix_of_all_events(company, tmp_path):
    """Three nights, each adding what became known, late events among it."""
    everything = tables_from_frames(company)
    features = FEATURES.available(everything)
    added = []
    for night in NIGHTS:
        tables = until(everything, night)
        kept = KeptTiles(tmp_path / "tiles.duckdb", features, tables)
        update = kept.update()
        added.append((update.rows, update.anew))
        spine = spine_of(tables, night)
        with_tiles = build_matrix(tables, features, spine, kept)
        kept.close()
        pd.testing.assert_frame_equal(with_tiles, build_matrix(everything, features, spine), check_exact=True)
    assert added[0][1] == "no tiles yet"
    assert [anew for _, anew in added[1:]] == [None, None]
    assert all(0 < rows < added[0][0] / 10 for rows, _ in added[1:])


def test_nothing_new_adds_nothing_and_old_dates_can_still_be_asked(company, tmp_path):
    """The second update of a night finds no events; a date of last year reads the same tiles."""
    tables = tables_from_frames(company)
    features = FEATURES.available(tables)
    kept = KeptTiles(tmp_path / "tiles.duckdb", features, tables)
    kept.update()
    assert kept.update().rows == 0
    spine = spine_of(tables, "2023-12-11")
    pd.testing.assert_frame_equal(
        build_matrix(tables, features, spine, kept), build_matrix(tables, features, spine), check_exact=True
    )


def test_events_that_ought_to_have_been_there_and_other_definitions_start_anew(company, tmp_path):
    """Rows that come without saying that they are late, and features that count other things."""
    path = tmp_path / "tiles.duckdb"
    frames = dict(company)
    events = frames["usage_events"]
    few = tables_from_frames(frames | {"usage_events": events.drop(index=events.index[100:110])})
    features = FEATURES.available(few)
    first = KeptTiles(path, features, few)
    first.update()
    first.close()
    tables = tables_from_frames(frames)
    kept = KeptTiles(path, features, tables)
    update = kept.update()
    assert update.rows == len(events)
    assert f"{len(events):,} events were known by" in update.anew
    kept.close()
    fewer = FeatureSet(tuple(f for f in features if "usage_events" in f.tables)[:3])
    other = KeptTiles(path, fewer, tables)
    assert other.update().anew == "the features count other things than when the tiles were made"


def test_features_the_tiles_do_not_hold_read_the_events(company, tmp_path):
    """Tiles of three features, a matrix of all."""
    tables = tables_from_frames(company)
    features = FEATURES.available(tables)
    few = FeatureSet(tuple(f for f in features if "usage_events" in f.tables)[:3])
    kept = KeptTiles(tmp_path / "tiles.duckdb", few, tables)
    kept.update()
    spine = spine_of(tables, "2024-03-01")
    pd.testing.assert_frame_equal(
        build_matrix(tables, features, spine, kept), build_matrix(tables, features, spine)
    )


def test_a_file_of_something_else_is_refused(company, tmp_path):
    """The path is named."""
    path = tmp_path / "notes.txt"
    path.write_text("not tiles " * 1000)
    with pytest.raises(ConfigError, match=r"notes\.txt: no file of kept tiles"):
        KeptTiles(path, FEATURES, tables_from_frames(company))
