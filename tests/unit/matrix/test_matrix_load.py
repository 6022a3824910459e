"""Definition files are run in one place, and what fails in them is said with file and line."""

from __future__ import annotations

import pytest

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.load import load_families, load_features
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
        DefinitionError,
        match=r"^features/b.py:4: feature 'same' is already defined in features/a.py:4; rename",
    ):
        load_features(workspace)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", r"^features/f.py: no list of features; write FEATURES = "),
        ("FEATURES = [1]\n", r"^features/f.py: entry 1 of FEATURES is 1, not a Feature"),
        ("x = 1\nFEATURES = (\n", r"^features/f.py:2: '\(' was never closed"),
        ("FEATURES = (1\n2)\n", r"^features/f.py:1: invalid syntax. Perhaps you forgot a comma\?$"),
        ("x = 1\nFEATURES = (1 / 0,)\n", r"^features/f.py:2: ZeroDivisionError: division by zero\.$"),
        (
            HEAD + FEATURE.format(name="x").strip().rstrip(",") + ")",
            r"^features/f.py: FEATURES is one feature; .* comma",
        ),
        (
            "x = 1\nFEATURES = (cuont,)\n",
            r"^features/f.py:2: 'cuont' is not known here. Did you mean 'count'\?$",
        ),
        (
            "x = slope\n",
            r"^features/f.py:1: 'slope' is not .* Write: from lifecycle_ml.matrix.measures import slope\.$",
        ),
        (
            "from lifecycle_ml import Feature, streak\n",
            r"^features/f.py:1: 'streak' cannot .* Write: from lifecycle_ml.matrix.measures import streak\.$",
        ),
        (
            "from lifecycle_ml.matrix.measures import streek\n",
            r"^features/f.py:1: 'streek' cannot be imported from there. Did you mean 'streak'\?$",
        ),
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


DEFINED = FEATURE.format(name="x")
CALLS = {
    "keyword": ("category=", "catgory=", r"Feature\(\): there is no 'catgory'. Did you mean 'category'\?$"),
    "left out": ('unit="tickets", ', "", r"Feature\(\): unit is missing\.$"),
    "two left out": (
        'unit="tickets", null_means="unknown",',
        "",
        r"Feature\(\): unit, null_means are missing",
    ),
    "window": ('"tickets")', '"tickets", day=28)', r"count\(\): there is no 'day'. Did you mean 'days'\?$"),
    "condition": (
        '"tickets")',
        '"tickets", wher="severity = 1")',
        r"count\(\): there is no 'wher'. Did you mean 'where'\?$",
    ),
    "unnamed": (
        '"tickets")',
        '"tickets", "severity = 1")',
        r"count\(\) takes 1 positional argument but 2 .*; name the others: where=, days=, ago=, on=\.$",
    ),
    "column": (
        '"tickets")',
        '"tickets", where="severty = 1")',
        r"count\('tickets'\): tickets: no column 'severty'. Did you mean 'severity'\? In 'severty = 1'\.$",
    ),
    "window of none": (
        '"tickets")',
        '"tickets", days=0)',
        r"count\('tickets'\): days is 0; give a whole number of days from 1\.$",
    ),
    "category": (
        "service_support_failure",
        "service_failure",
        r"feature 'x': category is 'service_failure'. Did you mean 'service_support_failure'\?$",
    ),
}


@pytest.mark.parametrize(("right", "wrong", "says"), CALLS.values(), ids=CALLS)
def test_what_is_misspelt_or_left_out_is_said_with_line_and_nearest_right_word(tmp_path, right, wrong, says):
    """What Python says of a call is said in the words of definitions."""
    text = f"{HEAD}{DEFINED.replace(right, wrong, 1)})\n"
    assert text != f"{HEAD}{DEFINED})\n"
    with pytest.raises(DefinitionError, match=r"^features/f.py:[34]: " + says):
        load_features(workspace_of(tmp_path, own={"f": text}))


def test_a_name_used_twice_in_one_file_is_said_with_both_lines(tmp_path):
    """Copying a feature and forgetting to rename it is the commonest slip."""
    workspace = workspace_of(tmp_path, own={"a": file_of("same", "same")})
    with pytest.raises(
        DefinitionError, match=r"^features/a.py:9: .* already defined in features/a.py:4; rename"
    ):
        load_features(workspace)


def test_of_a_standard_file_and_an_own_one_the_own_one_is_to_be_mended(tmp_path):
    """Whichever of the two comes first in the alphabet."""
    workspace = workspace_of(tmp_path, own={"a": file_of("same")}, standard={"b": file_of("x", "same")})
    with pytest.raises(
        DefinitionError, match=r"^features/a.py:4: .* already defined in features/b.py:9; rename"
    ):
        load_features(workspace)


def test_features_are_known_by_their_family(tmp_path):
    """The file a feature is written in, without .py, names its family."""
    workspace = workspace_of(tmp_path, own={"a": file_of("x", "y")}, standard={"b": file_of("z")})
    families = load_families(workspace)
    assert {family: [item.name for item in found] for family, found in families.items()} == {
        "a": ["x", "y"],
        "b": ["z"],
    }
