"""How far features are seen to move: by where they started, and only with enough changes."""

import numpy as np
import pandas as pd

from lifecycle_ml.models.changes import change_at, changes_of


def snapshots(start, end):
    """Accounts with two snapshots eight weeks apart."""
    count = len(start)
    return pd.DataFrame(
        {
            "account_id": [f"A-{at}" for at in range(count)] * 2,
            "as_of": np.repeat(pd.to_datetime(["2025-01-01", "2025-02-26"]), count),
            "users": np.concatenate([start, end]),
        }
    )


def test_changes_are_kept_by_the_quarter_they_started_from():
    """Small accounts move by ones, big ones by tens; in between the band below answers."""
    start = np.repeat([1.0, 10.0, 100.0, 1000.0], 40)
    bands = changes_of(snapshots(start, start * 1.1), ("users",))["users"]

    np.testing.assert_allclose(bands, [(1, 0.1, 0.1), (10, 1, 1), (100, 10, 10), (1000, 100, 100)], rtol=1e-9)
    down, up = change_at(bands, np.array([0.0, 1.0, 50.0, 5000.0, np.nan]))
    np.testing.assert_allclose(up, [0.1, 0.1, 1.0, 100.0, 0.0])
    np.testing.assert_array_equal(down, np.zeros(5))


def test_a_quarter_with_few_changes_goes_with_the_one_below():
    """Ten changes say little; fewer than twenty in all say nothing."""
    start = np.repeat([1.0, 10.0], [40, 10])
    bands = changes_of(snapshots(start, start + 1), ("users",))["users"]

    assert [edge for edge, _, _ in bands] == [1.0]
    assert changes_of(snapshots(start[:19], start[:19] + 1), ("users",)) == {}
