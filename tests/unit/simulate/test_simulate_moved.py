"""A company can be moved in time: whole weeks, and nothing else of it changes."""

from datetime import timedelta

import pandas as pd

from lifecycle_ml.simulate.company import simulate_company


def test_every_instant_moves_by_the_same_weeks_and_nothing_else():
    """Tables and truth are the same company later; weekdays stay."""
    company = simulate_company(3, 40)
    moved = company.moved(21)
    assert moved.first - company.first == timedelta(weeks=21)
    for before, after in ((company.tables, moved.tables), (company.truth, moved.truth)):
        assert before.keys() == after.keys()
        for name, frame in before.items():
            instants = frame.select_dtypes("datetime").columns
            back = after[name].assign(**{c: after[name][c] - timedelta(weeks=21) for c in instants})
            pd.testing.assert_frame_equal(back, frame)
    pd.testing.assert_frame_equal(company.moved(0).tables["tickets"], company.tables["tickets"])
