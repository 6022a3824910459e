"""What the workspace calls the reasons, read leniently: a page should not fail over a file it only quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict

from lifecycle_ml.errors import ConfigError
from lifecycle_ml.workspace import Strict

if TYPE_CHECKING:
    from lifecycle_ml.workspace import Workspace


class _Entry(Strict):
    model_config = ConfigDict(extra="ignore")

    label: str


class _Taxonomy(Strict):
    categories: dict[str, _Entry]
    unknown: _Entry


def labels_of(workspace: Workspace) -> dict[str, str]:
    """Return the label of each reason by its name; none where the taxonomy cannot be read."""
    try:
        taxonomy = workspace.load("serving", "taxonomy.toml", _Taxonomy)
    except ConfigError:
        return {}
    return {name: entry.label for name, entry in taxonomy.categories.items()} | {
        "unknown": taxonomy.unknown.label
    }
