"""A workspace: the folders a revenue team owns. Found by path; each room loads its own part of it."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lifecycle_ml.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOMS = ("features", "training", "serving")


class Strict(BaseModel):
    """Base of every configuration section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Section = TypeVar("Section", bound=Strict)
_Said = TypeVar("_Said")


@dataclass(frozen=True)
class Workspace:
    """A folder with at least one of features/, training/, serving/; what it lacks comes from `standard`.

    A file it has replaces the standard file of the same name whole. Sources are the exception: where
    features/sources/ exists, a table it lacks is absent, not inherited.
    """

    root: Path
    standard: Path

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    def files(self, room: str, suffix: str) -> dict[str, Path]:
        """Return the files of a room by stem, the workspace's own before the standard's."""
        found = {}
        for base in (self.standard, self.root):
            found.update({path.stem: path for path in sorted((base / room).glob(f"*{suffix}"))})
        return dict(sorted(found.items()))

    def file(self, room: str, name: str) -> Path:
        """Return one file of a room. Raises: ConfigError if neither workspace nor standard has it."""
        for base in (self.root, self.standard):
            if (base / room / name).is_file():
                return base / room / name
        known = [path.name for path in self.files(room, Path(name).suffix).values()]
        raise ConfigError(f"{room}/{name} does not exist.{did_you_mean(name, known)}")

    def sources(self) -> dict[str, Path]:
        """Return the SELECT of each canonical table by table name."""
        own = self.root / "features" / "sources"
        folder = own if own.is_dir() else self.standard / "features" / "sources"
        return {path.stem: path for path in sorted(folder.glob("*.sql"))}

    def load(self, room: str, name: str, section: type[Section]) -> Section:
        """Parse one TOML file into `section`; a wrong key or value fails with file, key and remedy."""
        return read_toml(self.file(room, name), section, f"{room}/{name}")

    @cached_property
    def digest(self) -> str:
        """sha256 over names and bytes of every effective file: same digest, same behaviour."""
        parts = hashlib.sha256()
        paths = {f"{room}/{path.name}": path for room in ROOMS for path in self._effective(room)}
        paths |= {f"features/sources/{path.name}": path for path in self.sources().values()}
        for name, path in sorted(paths.items()):
            parts.update(f"{name}\0{len(path.read_bytes())}\0".encode() + path.read_bytes())
        return f"sha256:{parts.hexdigest()}"

    def _effective(self, room: str) -> list[Path]:
        return [*self.files(room, ".py").values(), *self.files(room, ".toml").values()]


def load_workspace(path: Path | str = ".") -> Workspace:
    """Find the workspace at `path`. Raises: ConfigError if none of its three folders is there."""
    root = Path(path).resolve()
    if not any((root / room).is_dir() for room in ROOMS):
        raise ConfigError(
            f"{path}: no workspace here (none of features/, training/, serving/ exists). "
            "Make one with `lifecycle init DIR`, or name one with --workspace DIR."
        )
    return Workspace(root=root, standard=standard_root())


def standard_root() -> Path:
    """Return the standard workspace: inside an installed wheel, else the repository's top level."""
    installed = Path(__file__).parent / "standard"
    return installed if installed.is_dir() else Path(__file__).parents[2]


def read_toml(path: Path, section: type[Section], label: str) -> Section:
    """Parse a TOML file strictly into `section`; `label` names the file in messages."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{label}: not valid TOML: {error}.") from error
    try:
        return section.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(_say(error, section, label)) from error


def each_of(named: Mapping[str, _Said], names: Sequence[str], one: str, many: str) -> dict[str, _Said]:
    """Return what a file says of each of `names`, all of which it has to name, in their order.

    one, many: where it stands and what a name is, for messages (`serving/x.toml: no health input`,
    `serving/x.toml: health inputs`). Raises: ConfigError for a name that is none of them, or one missing.
    """
    for name in named:
        if name not in names:
            raise ConfigError(f"{one} {name!r}.{did_you_mean(name, names)}")
    missing = [name for name in names if name not in named]
    if missing:
        raise ConfigError(f"{many} missing: {', '.join(missing)}.")
    return {name: named[name] for name in names}


def _say(error: ValidationError, section: type[BaseModel], label: str) -> str:
    # A misspelt required key is both unknown and missing: the unknown one says more.
    first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    count = error.error_count()
    key = ".".join(str(part) for part in first["loc"])
    more = f" ({count - 1} more in this file.)" if count > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(section, first["loc"][:-1])
        return f"{label}: unknown key {key!r}.{did_you_mean(str(first['loc'][-1]), known)}{more}"
    if first["type"] == "missing":
        return f"{label}: key {key!r} is missing.{more}"
    return f"{label}: key {key!r} is {first['input']!r}: {first['msg']}.{more}"


def _known_keys(section: Any, location: tuple[int | str, ...]) -> list[str]:
    """Follow a location through nested sections, lists and dicts to the section that refused the key."""
    for part in location:
        fields = getattr(section, "model_fields", {})
        if part in fields:
            section = fields[part].annotation
        while arguments := getattr(section, "__args__", None):
            section = [item for item in arguments if item not in (Ellipsis, type(None))][-1]
    return list(getattr(section, "model_fields", {}))
