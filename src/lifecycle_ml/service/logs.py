"""The service's log on standard error: a line of text or of JSON each; never a key, a body or an account."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

_FIELDS = ("request_id", "method", "route", "status", "ms")


class TextLines(logging.Formatter):
    """Writes a record as text: when, how grave, what, and of a fault its type and places."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and one for each place a fault went through."""
        # a copy, because what a formatter makes of a fault is kept with the record for the next one
        bare = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        return "\n  ".join([super().format(bare) + _fault(record), *_places(record)])


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object: at, level, logger, says, and more of requests and faults."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. A fault is told by type and places: what it said may hold an account's values."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "says": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            line["fault"] = record.exc_info[0].__name__
            line["trace"] = _places(record)
        return json.dumps(line, ensure_ascii=False, default=str)


def _fault(record: logging.LogRecord) -> str:
    kind = record.exc_info[0] if record.exc_info else None
    return "" if kind is None else f": {kind.__name__}"


def _places(record: logging.LogRecord) -> list[str]:
    found, step = [], record.exc_info[2] if record.exc_info else None
    while step is not None:
        code = step.tb_frame.f_code
        found.append(f"{code.co_filename}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    return found[-12:]


def set_up(form: str) -> None:
    """Write the log of this process to standard error.

    `form`: quiet (warnings and faults as text), text or json (every request too).
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("lifecycle_ml").setLevel(logging.WARNING if form == "quiet" else logging.INFO)
