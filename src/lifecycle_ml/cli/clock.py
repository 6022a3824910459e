"""The only place of the commands that reads a clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from lifecycle_ml.errors import ConfigError


def today() -> date:
    """Return today's date in UTC."""
    return datetime.now(UTC).date()


def run_clock(text: str | None, as_of: date) -> datetime:
    """Return the recorded now of a run, naive UTC: given, else the clock, else 02:00Z of a past as_of.

    Raises: ConfigError for text that is no instant, or an as_of that has not begun yet.
    """
    if text is not None:
        try:
            given = datetime.fromisoformat(text)
        except ValueError as error:
            raise ConfigError(f"--now {text!r} is not an instant; write 2026-06-30T02:00:00Z.") from error
        return given.astimezone(UTC).replace(tzinfo=None) if given.tzinfo else given
    if as_of > today():
        raise ConfigError(f"--as-of {as_of} lies in the future; the newest possible is {today()}.")
    if as_of < today():
        return datetime.combine(as_of, time()) + timedelta(hours=2)
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
