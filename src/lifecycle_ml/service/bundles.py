"""Whether the models behind the served publication are still whole; asked by /readyz only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

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
            signature = tuple(
                (each.name, each.stat().st_size, each.stat().st_mtime_ns)
                for each in sorted(path.glob("*"))
                if each.is_file()
            )
            if not signature:
                return f"bundle {digest[:19]} is not in the bundles folder."
            if digest not in self._seen or self._seen[digest][0] != signature:
                self._seen[digest] = (signature, _load_fault(path, digest))
            return self._seen[digest][1]

    def champions(self) -> Iterator[tuple[str, str | None]]:
        """Yield (recipe, digest) of the promoted champions, which the next publication will use."""
        for path in sorted(self.folder.glob("*.json")):
            try:
                digest = json.loads(path.read_text("utf-8"))["digest"]
            except (OSError, ValueError, KeyError, TypeError):
                digest = None
            yield path.stem, digest if isinstance(digest, str) else None

    def _path(self, digest: str) -> Path:
        exact = self.folder / digest
        return exact if exact.is_dir() else self.folder / digest.removeprefix("sha256:")


def _load_fault(path: Path, digest: str) -> str | None:
    # imported here: only this check needs the models' libraries, and the service should start without them
    from lifecycle_ml.models.bundle import Bundle

    try:
        Bundle.load(path, digest)
    except (BundleError, OSError) as error:
        return str(error)
    return None
