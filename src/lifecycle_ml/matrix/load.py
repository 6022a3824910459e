"""The one door through which feature definitions enter: runs features/*.py of a workspace."""

from __future__ import annotations

import inspect
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lifecycle_ml.errors import DefinitionError, did_you_mean
from lifecycle_ml.matrix import measures
from lifecycle_ml.matrix.feature import Feature, FeatureSet
from lifecycle_ml.workspace import Workspace

LIST = "FEATURES"
_WORDS = (*measures.__all__, Feature.__name__)
"""What a definition may say."""


def load_features(workspace: Workspace) -> FeatureSet:
    """Run the workspace's features/*.py and return what their `FEATURES` lists hold.

    Files are run in the order of their names; features keep the order they are written in.
    Raises: DefinitionError naming file, line and remedy where a file fails, lists no features, or a name is
    used twice.
    """
    families = load_families(workspace).values()
    return FeatureSet(tuple(feature for family in families for feature in family))


def load_families(workspace: Workspace) -> dict[str, tuple[Feature, ...]]:
    """Return the features of each file of features/ by the file's name without .py: `usage`, `support`, …

    Order and errors as `load_features`.
    """
    families: dict[str, tuple[Feature, ...]] = {}
    home: dict[str, Path] = {}
    for stem, path in workspace.files("features", ".py").items():
        families[stem] = read_features(path)
        for feature in families[stem]:
            if feature.name in home:
                here, there = path, home[feature.name]
                if there.parent == workspace.root / "features" != here.parent:
                    here, there = there, here  # the standard file is not the one to mend
                raise DefinitionError(
                    f"{_place(here, feature.name, last=True)}: feature {feature.name!r} is already defined "
                    f"in {_place(there, feature.name)}; rename or remove one of them."
                )
            home[feature.name] = path
    return families


def read_features(path: Path) -> tuple[Feature, ...]:
    """Run one file of definitions and return its features. Raises: DefinitionError."""
    label = f"{path.parent.name}/{path.name}"
    listed = _run(path, label).get(LIST)
    if isinstance(listed, Feature):
        raise DefinitionError(
            f"{label}: {LIST} is one feature; a list of one ends in a comma: (Feature(...),)."
        )
    if not isinstance(listed, tuple | list):
        raise DefinitionError(f"{label}: no list of features; write {LIST} = (Feature(...), ...).")
    for position, feature in enumerate(listed, start=1):
        if not isinstance(feature, Feature):
            raise DefinitionError(f"{label}: entry {position} of {LIST} is {feature!r}, not a Feature(...).")
    return tuple(listed)


def _place(path: Path, name: str, *, last: bool = False) -> str:
    """Return the file, and the line where the text has the name, in quotes, first or last."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, start=1) if re.search(rf"""["']{name}["']""", line)]
    return f"features/{path.name}" + (f":{found[-1 if last else 0]}" if found else "")


def _run(path: Path, label: str) -> dict[str, Any]:
    """Execute a definition file; whatever fails in it is the user's to mend and is said with its line."""
    module: dict[str, Any] = {"__name__": f"features_{path.stem}", "__file__": str(path)}
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module)  # noqa: S102
    except DefinitionError:
        raise
    except SyntaxError as error:
        raise DefinitionError(f"{label}:{error.lineno}: {_sentence(str(error.msg))}") from error
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f":{lines[-1]}" if lines else ""
        raise DefinitionError(f"{label}{line}: {_mend(error, module)}") from error
    return module


def _mend(error: Exception, module: Mapping[str, Any]) -> str:
    """Say what Python refused in the words of definitions, with the nearest right one."""
    said = str(error)
    if isinstance(error, NameError) and error.name is not None:
        return f"{error.name!r} is not known here. {_import(error.name, {*_WORDS, *module})}"
    if isinstance(error, ImportError) and (wanted := re.search(r"cannot import name '(\w+)'", said)):
        return f"{wanted[1]!r} cannot be imported from there. {_import(wanted[1], _WORDS)}"
    call = re.match(r"(\w+)(?:\.__init__)?\(\) (.*)", said)
    function = module.get(call[1]) if call else None
    if not isinstance(error, TypeError) or call is None or not callable(function):
        return _sentence(f"{type(error).__name__}: {said}")
    name, why = call[1], call[2]
    keywords = inspect.signature(function).parameters
    if wanted := re.search(r"unexpected keyword argument '(\w+)'", why):
        return f"{name}(): there is no {wanted[1]!r}.{did_you_mean(wanted[1], keywords)}"
    if missing := re.search(r"missing \d+ required .*arguments?: (.*)", why):
        lacking = re.findall(r"'(\w+)'", missing[1])
        return f"{name}(): {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing."
    if "positional" in why:
        named = [key for key, item in keywords.items() if item.kind is inspect.Parameter.KEYWORD_ONLY]
        return f"{name}() {why}; name the others: {', '.join(f'{key}=' for key in named)}."
    return _sentence(f"{name}() {why}")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _import(word: str, known: Any) -> str:
    if word in _WORDS:
        home = "lifecycle_ml" if word == Feature.__name__ else measures.__name__
        return f"Write: from {home} import {word}."
    return did_you_mean(word, [name for name in known if not name.startswith("_")]).strip()
