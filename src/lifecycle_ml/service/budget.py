"""How many calls a key has left this minute.

Counted in the process: with several workers a key may make its number of calls to each. A count all workers
share would cost every read a write to the store, to keep a limit that is there to stop runaway loops; the
library for this, limits, counts in the process too, or needs a server of its own.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW: Final = 60
"""Seconds; a key's window begins with its first call after the last one ended."""


@dataclass(frozen=True)
class Budget:
    """What a key may still do: `limit` calls a window, `remaining` of them, a new window in `resets_in` s."""

    limit: int
    remaining: int
    resets_in: int
    exceeded: bool = False

    def to_json(self) -> dict[str, int]:
        """Return it as the body of an answer has it."""
        return {"limit": self.limit, "remaining": self.remaining, "resets_in": self.resets_in}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return it as the IETF draft on RateLimit headers writes it."""
        return [
            (b"ratelimit-policy", f'"key";q={self.limit};w={WINDOW}'.encode()),
            (b"ratelimit", f'"key";r={self.remaining};t={self.resets_in}'.encode()),
        ]


class Budgets:
    """The calls of each key in its window; as many entries as keys ever called."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._lock = Lock()
        self._spent: dict[str, tuple[float, int]] = {}

    def spend(self, name: str, per_minute: int) -> Budget:
        """Count one call of the key of this name, or of both while two overlap; a refused call is none."""
        with self._lock:
            now = self._timer()
            ends, spent = self._spent.get(name, (now, 0))
            if now >= ends:
                ends, spent = now + WINDOW, 0
            exceeded = spent >= per_minute
            spent += not exceeded
            self._spent[name] = (ends, spent)
        return Budget(per_minute, max(0, per_minute - spent), max(1, math.ceil(ends - now)), exceeded)
