"""The docs name only commands that exist, and the reference names all of them."""

import re
from pathlib import Path

import pytest

from lifecycle_ml.cli.reference import commands, render

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def test_the_reference_is_what_the_commands_say() -> None:
    """docs/reference/commands.md is generated; this fails when it has gone stale."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")

    assert page == render()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    """A command line in a code block must be one a reader can type."""
    known = dict(commands())
    for line in re.findall(r"^(?:\w+=\S+ )*lifecycle .*$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.split("#")[0].split("lifecycle ", 1)[1].split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known, f"{page.name}: {line}"
        options = {word for word in words if word.startswith("--")} - {"--help"}
        offered = {opt for item in known[name].params for opt in [*item.opts, *item.secondary_opts]}
        assert options <= offered, f"{page.name}: {line}"


def test_every_relative_link_leads_somewhere() -> None:
    """A link to a file that is not there helps nobody."""
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]

    assert dead == []
