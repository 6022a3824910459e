"""The one door through which feature definitions enter: runs features/*.py of a workspace."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from lifecycle_ml.errors import DefinitionError
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.workspace import Workspace

LIST = "FEATURES"


def load_features(workspace: Workspace) -> FeatureSet:
    """Run the workspace's features/*.py and return what their `FEATURES` lists hold.

    Files are run in the order of their names; features keep the order they are written in.
    Raises: DefinitionError naming file, line and remedy where a file fails, lists no features, or a name is
    used twice.
    """
    found: list[Feature] = []
    home: dict[str, str] = {}
    for path in workspace.files("features", ".py").values():
        for feature in read_features(path):
            label = f"features/{path.name}"
            if feature.name in home:
                raise DefinitionError(
                    f"{label}: feature {feature.name!r} is already defined in {home[feature.name]}; "
                    "rename or remove one of them."
                )
            home[feature.name] = label
            found.append(feature)
    return FeatureSet(tuple(found))


def read_features(path: Path) -> tuple[Feature, ...]:
    """Run one file of definitions and return its features. Raises: DefinitionError."""
    label = f"{path.parent.name}/{path.name}"
    listed = _run(path, label).get(LIST)
    if not isinstance(listed, tuple | list):
        raise DefinitionError(f"{label}: no list of features; write {LIST} = (Feature(...), ...).")
    for position, feature in enumerate(listed, start=1):
        if not isinstance(feature, Feature):
            raise DefinitionError(f"{label}: entry {position} of {LIST} is {feature!r}, not a Feature(...).")
    return tuple(listed)


def _run(path: Path, label: str) -> dict[str, Any]:
    """Execute a definition file; whatever fails in it is the user's to mend and is said with its line."""
    module: dict[str, Any] = {"__name__": f"features_{path.stem}", "__file__": str(path)}
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module)  # noqa: S102
    except DefinitionError:
        raise
    except SyntaxError as error:
        raise DefinitionError(f"{label}:{error.lineno}: {error.msg}.") from error
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f":{lines[-1]}" if lines else ""
        raise DefinitionError(f"{label}{line}: {type(error).__name__}: {error}.") from error
    return module
