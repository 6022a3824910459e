"""docs/reference/commands.md, written from the commands themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer.main

from lifecycle_ml.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Commands

Exit status: 0 on success (a refused model is an answer, not a failure), 2 on a user's mistake, 1 on a fault.
Tables and sentences go to standard output, progress to standard error; `--json` prints one JSON document and
nothing else.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, in the order in which they are defined."""
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            for inner, leaf in command.commands.items():
                yield f"{name} {inner}", leaf
        else:
            yield name, command


def render() -> str:
    """Return the whole reference page."""
    parts = [HEAD]
    for name, command in commands():
        parts += [f"\n## `lifecycle {name}`\n", f"\n{command.help}\n", "\n| | Default | |\n|---|---|---|\n"]
        for parameter in command.params:
            is_argument = parameter.param_type_name == "argument"
            names = [*parameter.opts, *parameter.secondary_opts]
            label = parameter.name.upper() if is_argument else " / ".join(names)
            default = "" if parameter.required or parameter.default is None else f"`{parameter.default}`"
            parts.append(f"| `{label}` | {default} | {parameter.help or ''} |\n")
    return "".join(parts)
