"""Whether the models behind the served publication, and those promoted since, are whole."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from stat import S_ISREG
from threading import Lock
from typing import TYPE_CHECKING, Any

from lifecycle_ml.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Signature = tuple[tuple[str, int, int], ...]


@dataclass
class BundleCheck:
    """Checks exported bundles, each again only when its files changed."""

    folder: Path
    _seen: dict[str, tuple[Signature, str | None]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def fault(self, digest: str) -> str | None:
        """Return what is wrong with the bundle of this digest, or None."""
        path = self._path(digest)
        with self._lock:
            signature = _signature(path)
            if not signature:
                return f"bundle {digest[:19]} is not in the bundles folder."
            if digest not in self._seen or self._seen[digest][0] != signature:
                self._seen[digest] = (signature, _load_fault(path, digest))
            return self._seen[digest][1]

    def champions(self) -> Iterator[tuple[str, str | None]]:
        """Yield (recipe, digest) of the promoted champions, which the next publication will use."""
        for path in sorted(self.folder.glob("*.json")):
            yield path.stem, _digest(_read(path))

    def next_to_serve(self, recipe: str) -> str | None:
        """Return the digest the next publication will use: the champion, or if that is broken the one before.

        None where both are broken, or nothing was promoted: then a run publishes nothing.
        """
        pointer = _read(self.folder / f"{recipe}.json")
        for digest in (_digest(pointer), _digest(pointer.get("previous"))):
            if digest is not None and self.fault(digest) is None:
                return digest
        return None

    def _path(self, digest: str) -> Path:
        exact = self.folder / digest
        return exact if exact.is_dir() else self.folder / digest.removeprefix("sha256:")


def _signature(path: Path) -> Signature:
    """Return names, sizes and times of a folder's files; of one that is being written, what is there yet."""
    found = []
    for each in sorted(path.glob("*")):
        try:
            told = each.stat()
        except FileNotFoundError:
            continue
        if S_ISREG(told.st_mode):
            found.append((each.name, told.st_size, told.st_mtime_ns))
    return tuple(found)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(entry: object) -> str | None:
    digest = entry.get("digest") if isinstance(entry, dict) else None
    return digest if isinstance(digest, str) else None


def _load_fault(path: Path, digest: str) -> str | None:
    # imported here: only this check needs the models' libraries, and the service should start without them
    from lifecycle_ml.models.bundle import Bundle

    try:
        Bundle.load(path, digest)
    except (BundleError, OSError) as error:
        return str(error)
    return None
