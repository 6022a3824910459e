"""`--help` of groups: each command with all it says, those of `lifecycle` in the order one needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

SECTIONS: Final = {
    "Begin": ("demo", "init", "simulate", "check"),
    "Learn": ("train", "promote", "features", "health"),
    "Every night": ("run", "score", "deliver", "monitor"),
    "Read and answer": ("explain", "actions", "revenue", "tell"),
    "Operate": ("serve", "doctor", "keys", "store", "forget", "export-openapi"),
}
"""Each command of `lifecycle` once; one that is missing stands last, under "Commands"."""


class Uncut(TyperGroup):
    """A group whose commands are listed with their whole first sentence, whatever the width."""

    sections: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one list per section; a group of commands is followed by their names."""
        placed = {name for names in self.sections.values() for name in names}
        left = tuple(name for name in self.list_commands(ctx) if name not in placed)
        width = max(map(len, self.commands))
        for title, names in {**self.sections, "Commands": left}.items():
            rows = [
                (f"{name:<{width}}", _says(self.commands[name])) for name in names if name in self.commands
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Sectioned(Uncut):
    """`lifecycle` itself."""

    sections = SECTIONS


def _says(command: Any) -> str:
    inner = getattr(command, "commands", {})
    says = str(command.help)
    return f"{says.removesuffix('.')} ({', '.join(inner)})." if inner else says
