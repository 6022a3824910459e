"""How wide tables are where nobody looks at a terminal."""

import pytest

from lifecycle_ml.cli.screen import show_table


@pytest.mark.parametrize(("columns", "widest"), [(None, 150), ("60", 60), ("220", 220), ("wide", 150)])
def test_a_table_in_a_pipe_is_as_wide_as_it_is_told(capsys, monkeypatch, columns, widest):
    """Long words are broken there and nowhere before."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    show_table("What is long", ["name", "says"], [["a", "b" * 300]])

    assert max(map(len, capsys.readouterr().out.splitlines())) == widest
