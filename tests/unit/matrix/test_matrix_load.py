"""Definition files are run in one place, and what fails in them is said with file and line."""

from __future__ import annotations

import pytest

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.load import load_features
from lifecycle_ml.workspace import Workspace

FEATURE = """
    Feature(
        name="{name}", value=count("tickets"), unit="tickets", null_means="unknown",
        direction="raises", category="service_support_failure", says="{{value}} tickets",
    ),
"""
HEAD = "from lifecycle_ml import Feature, count\nFEATURES = ("


def workspace_of(tmp_path, own=None, standard=None):
    """A workspace with the given definition files by stem."""
    for folder, files in (("own", own or {}), ("standard", standard or {})):
        (tmp_path / folder / "features").mkdir(parents=True)
        for stem, text in files.items():
            (tmp_path / folder / "features" / f"{stem}.py").write_text(text, encoding="utf-8")
    return Workspace(root=tmp_path / "own", standard=tmp_path / "standard")


def file_of(*names):
    """The text of a file that defines features of these names."""
    return HEAD + "".join(FEATURE.format(name=name) for name in names) + ")\n"


def test_a_file_of_the_workspace_replaces_the_standard_one_whole(tmp_path):
    """What a company defines for itself stands instead of ours; other files stay."""
    workspace = workspace_of(
        tmp_path,
        own={"usage": file_of("mine", "mine_too")},
        standard={"usage": file_of("ours"), "support": file_of("kept")},
    )
    assert load_features(workspace).names == ("kept", "mine", "mine_too")


def test_a_name_used_in_two_files_is_an_error(tmp_path):
    """Which of the two was meant cannot be guessed."""
    workspace = workspace_of(tmp_path, own={"a": file_of("same"), "b": file_of("same")})
    with pytest.raises(
        DefinitionError, match=r"features/b.py: feature 'same' is already defined in features/a.py"
    ):
        load_features(workspace)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", r"^features/f.py: no list of features; write FEATURES = "),
        ("FEATURES = [1]\n", r"^features/f.py: entry 1 of FEATURES is 1, not a Feature"),
        ("x = 1\nFEATURES = (\n", r"^features/f.py:2: '\(' was never closed"),
        ("x = 1\nFEATURES = (cuont,)\n", r"^features/f.py:2: NameError: name 'cuont'"),
        (
            "from lifecycle_ml import Feature, count\n\nFEATURES = (count('tickts'),)\n",
            r"^features/f.py:3: count\('tickts'\): no table 'tickts'.* Did you mean 'tickets'",
        ),
    ],
)
def test_what_fails_in_a_file_is_said_with_its_line(tmp_path, text, says):
    """A user's mistake, so no traceback and exit status 2."""
    with pytest.raises(DefinitionError, match=says):
        load_features(workspace_of(tmp_path, own={"f": text}))
