"""The notebooks run top to bottom on the demo company, and hold no logic of their own."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from demo_company import Demo
from lifecycle_ml.promotion.training import champion

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    """The cells of one kind of a notebook."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_there_are_six_of_them() -> None:
    """What the README promises; a test over an empty list would pass."""
    assert NAMES == [
        "01_tour_of_the_data",
        "02_retrain_and_compare",
        "03_read_red_accounts",
        "04_read_a_drift_report",
        "05_write_a_feature_and_prove_it",
        "06_champion_against_challenger",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_outputs_are_not_in_git(path: Path) -> None:
    """Outputs make every change unreadable, and may carry a customer's numbers."""
    nbformat.validate(nbformat.read(path, as_version=4))
    for cell in cells(path, "code"):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_no_cell_defines_functions_or_classes(path: Path) -> None:
    """What is worth a name is worth a test, and belongs in the library."""
    for cell in cells(path, "code"):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_no_cell_reaches_into_the_library(path: Path) -> None:
    """Only public names: a notebook is what readers copy from."""
    for cell in cells(path, "code"):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lifecycle_ml"):
                names = [*str(node.module).split("."), *(alias.name for alias in node.names)]
                assert not any(name.startswith("_") for name in names), cell.source
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_"), cell.source


ALONE = [path for path in NOTEBOOKS if path.stem.startswith(("05", "06"))]
"""These simulate a company of their own, and need not wait for the demo."""


def run_top_to_bottom(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every cell in order in a fresh kernel, as a newcomer would; each draws, and nothing warns."""
    monkeypatch.setenv("DEMO_FOLDER", str(folder))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    # shap would show progress in a widget; without widgets it says so, and that is no news
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:IProgress not found")
    notebook = nbformat.read(path, as_version=4)

    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.get("name") == "stderr" and "Warning" in output.text]


@pytest.mark.slow
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem) for path in NOTEBOOKS if path not in ALONE],
)
def test_it_runs_top_to_bottom(demo: Demo, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the demo company, whose champion goes on serving."""
    before = champion(demo.settings, "churn")
    assert before is not None

    run_top_to_bottom(path, demo.folder, monkeypatch)

    after = champion(demo.settings, "churn")
    assert after is not None
    assert after.digest == before.digest


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=pytest.mark.xdist_group(path.stem), id=path.stem) for path in ALONE]
)
def test_it_runs_top_to_bottom_without_the_demo(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a company that the notebook simulates."""
    run_top_to_bottom(path, tmp_path, monkeypatch)
