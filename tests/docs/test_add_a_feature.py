"""The how-to about features does what it says: its file and its examples are worked out as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lifecycle_ml.cli.app import app
from lifecycle_ml.matrix import measures

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "add-a-feature.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """Return the first block of code of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh folder with the two files of the page."""
    root = tmp_path_factory.mktemp("acme")
    (root / "features" / "examples").mkdir(parents=True)
    (root / "features" / "reports.py").write_text(block("python"), encoding="utf-8")
    (root / "features" / "examples" / "reports.toml").write_text(block("toml"), encoding="utf-8")
    return root


def printed(folder: Path, *words: str) -> list[str]:
    """Return the lines a command prints, blanks at their ends aside."""
    done = CliRunner().invoke(app, ["features", *words, "--workspace", str(folder)], env={"COLUMNS": "200"})
    assert done.exception is None, done.output
    return [line.rstrip() for line in done.stdout.splitlines()]


def test_the_examples_of_the_page_are_worked_out_as_printed(folder: Path) -> None:
    """Every row of the table on the page comes from the command."""
    shown = printed(folder, "test", "reports")
    rows = [line.rstrip() for line in PAGE.splitlines() if re.match(r"reports \d", line)]

    assert len(rows) == 7
    assert [line for line in shown if re.match(r"reports \d", line)] == rows
    assert "2 examples, 9 of 9 values as expected." in shown


def test_the_feature_of_the_page_is_shown_as_printed(folder: Path) -> None:
    """What the page prints of `features show` is what it prints, as far as it goes."""
    shown = printed(folder, "show", "reports_per_seat_28d")
    page = PAGE.partition("reports_per_seat_28d  (features/reports.py)")[2].partition("```")[0].splitlines()

    lines = [line for line in page if line.strip() and "…" not in line]
    assert len(lines) > 10
    assert [line for line in lines if line not in shown] == []


@pytest.mark.parametrize("name", [name for name in measures.__all__ if name not in {"Measure", "leaves"}])
def test_every_measure_is_on_the_page(name: str) -> None:
    """A measure nobody can look up is a measure nobody uses."""
    assert f"`{name}" in PAGE
