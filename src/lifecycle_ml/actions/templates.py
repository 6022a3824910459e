"""Sentences with features in braces: "{new_teams_84d} new teams", "{seats_used_28d:share} of the seats"."""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping
from typing import Any, Final

from lifecycle_ml.errors import ConfigError, did_you_mean
from lifecycle_ml.health.inputs import as_number
from lifecycle_ml.reasons.sentences import fill_template

UNITS: Final = ("share", "days", "currency")
"""What may follow a feature in braces; without one it is a number, and what it counts agrees with it."""


def check_template(template: str, features: Collection[str], where: str) -> None:
    """Raise ConfigError if braces hold anything but one of `features` and perhaps a unit."""
    for _, field, unit in _parts(template, where):
        if field is None:
            continue
        if field not in features:
            raise ConfigError(
                f"{where}: {{{field}}} is none of the features its condition reads."
                f"{did_you_mean(field, features)}"
            )
        if unit and unit not in UNITS:
            raise ConfigError(f"{where}: {{{field}:{unit}}}: no unit {unit!r}.{did_you_mean(unit, UNITS)}")


def fill_features(template: str, row: Mapping[str, Any]) -> str:
    """Put an account's values into a checked template; a value nobody knows is written `unknown`."""
    parts = _parts(template, "a checked template")
    said = ""
    for at, (literal, field, unit) in enumerate(parts):
        if at == 0:
            said += literal
        if field is None:
            continue
        following = parts[at + 1][0] if at + 1 < len(parts) else ""
        value = as_number(row.get(field))
        if value is None:
            said += "unknown" + following
        else:
            kept = following[len(following.rstrip()) :]
            said += fill_template("{value}" + following, value, None, unit) + kept
    return said


def fill_fields(template: str, fields: Mapping[str, str]) -> str:
    """Put words into a checked template; double blanks left by empty words close up."""
    return " ".join(template.format_map(fields).split())


def check_fields(template: str, fields: Collection[str]) -> str:
    """Return `template` if braces hold only `fields`; for validators of sections. Raises: ValueError."""
    try:
        template.format_map(dict.fromkeys(fields, ""))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        shown = ", ".join(f"{{{name}}}" for name in fields)
        raise ValueError(f"braces may hold only {shown}") from error
    return template


def sentence(text: str) -> str:
    """Return `text` with a capital and a full stop; nothing stays nothing."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _parts(template: str, where: str) -> list[tuple[str, str | None, str]]:
    """Return (text before, field, unit) for each brace, and the text after the last with field None."""
    try:
        return [(text, field, unit or "") for text, field, unit, _ in string.Formatter().parse(template)]
    except ValueError as error:
        raise ConfigError(f"{where}: {template!r}: {error}.") from error
