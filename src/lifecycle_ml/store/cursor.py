"""Where the next part of a list begins, as one opaque word.

A cursor names the publication it was made from, so a list read page by page stays one list even while the
next publication arrives; and the question it belongs to, so it cannot continue another one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lifecycle_ml.errors import UserError
from lifecycle_ml.store.rows import storable

LONGEST = 2_000


class CursorError(UserError):
    """A cursor that was not made by this list, or was made for another question."""


@dataclass(frozen=True)
class Cursor:
    """The last row of a page: its sort value (None sorts last) and its id."""

    publication_id: int
    value: str | float | None
    row_id: str

    def write(self, question: Any) -> str:
        """Return the cursor as text; `question` is whatever must stay the same from page to page."""
        packed = json.dumps([self.publication_id, self.value, self.row_id, _mark(question)])
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, question: Any, value_type: type[str | float]) -> Cursor:
        """Read a cursor back. Raises: CursorError if it is damaged or belongs to another question."""
        try:
            packed = base64.b64decode(text[:LONGEST] + "=" * (-len(text) % 4), b"-_", validate=True)
            publication_id, value, row_id, mark = json.loads(packed)
        except (ValueError, TypeError, binascii.Error, RecursionError) as error:
            raise CursorError("The cursor is damaged. Use the `next` of an answer unchanged.") from error
        fits = (
            type(publication_id) is int
            and abs(publication_id) < 2**31
            and isinstance(row_id, str)
            and storable(row_id)
            and (value is None or type(value) is value_type)
        )
        if not fits or mark != _mark(question):
            raise CursorError(
                "The cursor belongs to a list with other filters or another order. "
                "Repeat the question it came from, or leave the cursor away to start over."
            )
        return cls(publication_id, value, row_id)


def _mark(question: Any) -> str:
    return hashlib.sha256(repr(question).encode()).hexdigest()[:12]
