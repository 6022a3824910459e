"""The second law, against plain SQL: every feature is what it says in words, recomputed from nothing.

The oracles share no code with the engine: see `plain_sql.py` for how they are written and read.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.generative.companies import companies, spine
from tests.oracle.markets import market, spine_of
from tests.oracle.plain_sql import ORACLES, ROOM, ask_oracles

from lifecycle_ml.matrix.build import build_matrix
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.tables.schema import SCHEMAS
from lifecycle_ml.tables.source import tables_from_frames
from lifecycle_ml.workspace import load_workspace

CATALOGUE = load_features(load_workspace(Path(__file__).parents[2]))
DELAYS = (timedelta(0), timedelta(hours=2), timedelta(days=9))
COLUMNS = [
    *CATALOGUE.names,
    *(f"{feature.name}__usual" for feature in CATALOGUE if feature.usual is not None),
]

# What is below this is zero: sums of fractions that should cancel leave that much.
NOISE = 1e-12
RELATIVE = 1e-9


def compare(frames, looks, features=CATALOGUE, *, seen=None):
    """Return what was compared, and what differs.

    The first says per column how many values are not null, the second gives an example per column. `seen` is
    the spine the matrix is built on, where it is not the one the oracles answer for.
    """
    tables = tables_from_frames(frames)
    features = features.available(tables)
    matrix = build_matrix(tables, features, looks if seen is None else seen)
    columns = [column for column in matrix.columns if column not in {"account_id", "as_of"}]
    answers = ask_oracles(frames, looks, columns)
    expected = answers.frame.assign(as_of=pd.to_datetime(answers.frame["as_of"]))
    expected = expected.set_index(["account_id", "as_of"]).loc[
        list(zip(matrix["account_id"], matrix["as_of"], strict=True))
    ]
    compared, differing = {}, {}
    for column in columns:
        close = column not in answers.exact
        pairs = list(zip(matrix[column], expected[column], strict=True))
        compared[column] = sum(value is not None for _, value in pairs)
        for (account, as_of), (built, said) in zip(expected.index, pairs, strict=True):
            if not _same(built, said, close=close):
                differing.setdefault(
                    column, f"{account} as of {as_of:%Y-%m-%d}: built {built}, plain SQL says {said}"
                )
    return compared, differing


def _same(built, said, *, close):
    if pd.isna(built) or said is None:
        return pd.isna(built) and said is None
    if isinstance(said, str):
        return built == said
    said = float(said)
    return built == said or (close and abs(built - said) <= max(NOISE, RELATIVE * abs(said)))


def assert_as_said(frames, looks, features=CATALOGUE, *, seen=None):
    """Fail where a feature is not what its oracle says; return what was compared."""
    compared, differing = compare(frames, looks, features, seen=seen)
    assert not differing, "\n".join(f"{column}: {example}" for column, example in differing.items())
    return compared


def random_companies(examples):
    """Settings for companies whose single examples are slow by nature, the same ones on every run."""
    return settings(
        deadline=None,
        derandomize=True,
        max_examples=examples,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_every_feature_has_an_oracle_and_every_oracle_a_feature():
    """Values and usual values, each once."""
    assert sorted(oracle.column for oracle in ORACLES) == sorted(COLUMNS)


def test_the_oracles_know_every_column_of_the_contract():
    """A column that comes to the contract comes to the oracles' tables, too: with its clock in known.sql."""
    connection = duckdb.connect()
    connection.execute((ROOM / "source.sql").read_text())
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'source'"
    ).fetchall()
    read = set(SCHEMAS) - {"outcomes", "fx_rates"}
    assert set(rows) == {(name, column) for name in read for column in (*SCHEMAS[name].by_name, "known_at")}


@random_companies(2)
@given(frames=companies(), delay=st.sampled_from(DELAYS))
def test_features_are_what_they_say(frames, delay):
    """Late rows, versions, gaps, families and instants on the boundaries, in companies of three accounts."""
    assert_as_said(frames, spine(delay))


def test_every_feature_is_put_to_the_proof():
    """Years of history, so that the own past is known, and customers enough to be placed among them.

    Every column is compared somewhere where it is not null.
    """
    frames = market(seed=2, busy=0.3)
    compared = assert_as_said(frames, spine_of(frames, timedelta(0)))
    assert [column for column in COLUMNS if not compared.get(column)] == []


def test_a_matrix_that_knows_too_much_is_caught():
    """Rows that come two days after the oracles looked are told from those that were there."""
    frames = market(seed=6, accounts=12)
    features = CATALOGUE.select(["meetings_84d", "open_severe_tickets"])
    looks = spine_of(frames, timedelta(0))
    assert_as_said(frames, looks, features)
    with pytest.raises(AssertionError, match="plain SQL says"):
        assert_as_said(frames, looks, features, seen=spine_of(frames, timedelta(days=2)))


@pytest.mark.slow
@random_companies(8)
@given(frames=companies(), delay=st.sampled_from((*DELAYS, timedelta(days=200))))
def test_features_are_what_they_say_in_many_companies(frames, delay):
    """The same over more companies of three accounts, looked at much later too."""
    assert_as_said(frames, spine(delay))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "delay", "every", "absent"),
    [
        (1, timedelta(hours=2), 1, ()),
        (3, timedelta(days=9), 2, ()),
        # Four accounts that are compared with all the others.
        (4, timedelta(0), 20, ()),
        # Without contracts every account is a peer.
        (11, timedelta(0), 2, ("contracts", "signals")),
    ],
)
def test_features_are_what_they_say_in_markets(seed, delay, every, absent):
    """Whoever is asked for, whenever we look, whatever a source has."""
    frames = {name: frame for name, frame in market(seed, busy=0.3).items() if name not in absent}
    compared = assert_as_said(frames, spine_of(frames, delay, every))
    assert compared["meetings_peers"]
