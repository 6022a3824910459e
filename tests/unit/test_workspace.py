"""A workspace inherits file by file, sources excepted, and its TOML is read strictly."""

from pathlib import Path

import pytest

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.workspace import Strict, Workspace, load_workspace, read_toml


class Inner(Strict):
    """A section."""

    share: float
    days: int = 7


class Outer(Strict):
    """A file."""

    title: str
    parts: tuple[Inner, ...] = ()


def write(path: Path, text: str = "") -> Path:
    """Write a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that overrides one of two standard files."""
    write(tmp_path / "standard/serving/team.toml", "title = 'standard'")
    write(tmp_path / "standard/serving/health.toml", "title = 'standard'")
    write(tmp_path / "standard/features/sources/accounts.sql", "SELECT 1")
    write(tmp_path / "standard/features/sources/tickets.sql", "SELECT 1")
    write(tmp_path / "own/serving/team.toml", "title = 'own'")
    return Workspace(root=tmp_path / "own", standard=tmp_path / "standard")


def test_a_file_replaces_the_standard_file_of_the_same_name(workspace: Workspace) -> None:
    """What the workspace has wins whole; what it lacks comes from the standard."""
    assert workspace.load("serving", "team.toml", Outer).title == "own"
    assert workspace.load("serving", "health.toml", Outer).title == "standard"


def test_sources_are_not_inherited_once_the_workspace_has_its_own(workspace: Workspace) -> None:
    """A table without a SELECT of its own is absent, not taken from the standard."""
    assert set(workspace.sources()) == {"accounts", "tickets"}

    write(workspace.root / "features/sources/accounts.sql", "SELECT 2")

    assert set(workspace.sources()) == {"accounts"}


def test_a_missing_file_is_named_with_the_nearest_one(workspace: Workspace) -> None:
    """A misspelt recipe or room file is found by its neighbours."""
    with pytest.raises(ConfigError, match=r"serving/teams.toml does not exist.*team.toml"):
        workspace.file("serving", "teams.toml")


def test_the_digest_follows_every_effective_byte(workspace: Workspace) -> None:
    """Same files, same digest; one byte more, another digest."""
    same = Workspace(root=workspace.root, standard=workspace.standard)
    before = workspace.digest

    assert same.digest == before

    write(workspace.root / "serving/team.toml", "title = 'own '")

    assert Workspace(root=workspace.root, standard=workspace.standard).digest != before


def test_a_folder_without_a_room_is_no_workspace(tmp_path: Path) -> None:
    """The message says what is missing and how to make one."""
    with pytest.raises(ConfigError, match=r"no workspace here.*lifecycle init"):
        load_workspace(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel = 'x'", r"f.toml: unknown key 'titel'. Did you mean 'title'"),
        ("title = 'x'\n[[parts]]\nshare = 0.5\ndayz = 3", r"unknown key 'parts.0.dayz'. Did you mean 'days'"),
        ("title = 'x'\n[[parts]]\nshare = 'half'", r"key 'parts.0.share' is 'half'"),
        ("title = ", r"f.toml: not valid TOML"),
        ("", r"f.toml: key 'title' is missing"),
    ],
)
def test_a_wrong_key_or_value_fails_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    """What, where, and the nearest right name."""
    with pytest.raises(ConfigError, match=message):
        read_toml(write(tmp_path / "f.toml", text), Outer, "f.toml")
