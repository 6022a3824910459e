"""A feature's value as a sentence, with numbers as people write them.

A feature says which template fits a value: "{value} active users in the last 28 days; usually {usual}". Here
numbers are written out, and nouns and verbs follow them: "1 user is", "no users are".
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

from lifecycle_ml.matrix.feature import Feature

Value = float | str | None

SHARES: Final = frozenset({"share", "ratio"})
YES_NO: Final = frozenset({"yes/no"})
_MONEY: Final = frozenset({"currency", "money", "arr"})
# "no days late", "no points" and "exported no times" are not English; these keep their zero.
_MEASURED: Final = frozenset({"days", "hours", "points", "times"})

# The words that end the noun phrase a number counts: "3 severe tickets | opened in ..."
_STOP: Final = frozenset(
    [
        "a",
        "about",
        "after",
        "among",
        "an",
        "and",
        "are",
        "as",
        "at",
        "before",
        "behind",
        "between",
        "by",
        "during",
        "each",
        "ever",
        "for",
        "from",
        "had",
        "has",
        "have",
        "in",
        "into",
        "is",
        "late",
        "later",
        "left",
        "more",
        "of",
        "on",
        "open",
        "opened",
        "or",
        "out",
        "over",
        "overdue",
        "past",
        "per",
        "since",
        "than",
        "that",
        "the",
        "this",
        "to",
        "until",
        "was",
        "were",
        "which",
        "who",
        "with",
        "without",
    ]
)
_NOT_PLURAL: Final = frozenset({"previous", "sales", "news", "status", "plus", "less", "business", "nps"})
_SINGULAR_OF: Final = {"people": "person", "companies": "company", "children": "child"}
_VERBS: Final = {"are": "is", "were": "was", "have": "has"}

_FIELD = re.compile(r"\{(value|usual)\}")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


def write_number(value: float, unit: str = "") -> str:
    """Write a number the way a person would: 1,204; 31; 3.5; 0.04; 12%; yes.

    `unit` decides only where it changes the writing: shares become percent, yes/no features become words,
    days and money lose their fractions.
    """
    if unit in YES_NO:
        return "yes" if value else "no"
    if unit in SHARES:
        percent = value * 100
        return f"{percent:,.0f}%" if abs(percent) >= 0.95 else f"{_digits(percent)}%"
    if unit == "days" or unit.lower() in _MONEY:
        return _no_minus_zero(f"{value:,.0f}")
    return _digits(value)


def _digits(value: float) -> str:
    size = abs(value)
    if size >= 9.95 or size < 0.0005:
        text = f"{value:,.0f}"
    elif size >= 0.995:
        text = f"{value:.1f}"
    elif size >= 0.0095:
        # A share of a ticket per seat is lost in one decimal.
        text = f"{value:.2f}"
    else:
        text = f"{value:.3f}"
    return _no_minus_zero(text.rstrip("0").rstrip(".") if "." in text else text)


def _no_minus_zero(text: str) -> str:
    return "0" if text == "-0" else text


@lru_cache(maxsize=1024)
def counts(unit: str) -> bool:
    """Tell whether a unit counts things, so that zero is "no" and a value between 0 and 1 an average."""
    return unit not in SHARES | YES_NO | _MEASURED and unit.lower() not in _MONEY and " per " not in unit


def write_sentence(feature: Feature, value: Value, usual: float | None = None) -> str | None:
    """Say a feature's value; None where it is null and null is not worth saying.

    The sentence starts with a capital and has no full stop, so that it can stand in a list.
    """
    template = feature.sentence(value, usual)
    if template is None:
        return None
    text = fill_template(template, value, usual, feature.unit)
    text = text.replace(" 0 days ago", " today").replace(" 0 days late", " on time")
    return text[:1].upper() + text[1:]


def fill_template(template: str, value: Value, usual: float | None, unit: str) -> str:
    """Put `value` and `usual` into a template; nouns and verbs right after a number agree with it."""
    out, rest = "", template.strip()
    while (parts := _split(rest)) is not None:
        before, field, rest = parts
        out += before
        filled = value if field == "value" else usual
        if isinstance(filled, str):
            out += filled.replace("_", " ")
            continue
        if filled is None or math.isnan(filled):
            raise ValueError(f"{template!r} needs {{{field}}}, which is null")
        number = write_number(filled, unit)
        if field == "usual" and counts(unit) and 0 < filled < 0.95:
            number = "under 1"  # nobody says that there are usually 0.33 meetings
        word, rest = _agree(number, rest, unit)
        out += word
    return out + rest


@lru_cache(maxsize=4096)
def _split(text: str) -> tuple[str, str, str] | None:
    """Split at the first field: what stands before it, its name, and what follows."""
    match = _FIELD.search(text)
    return None if match is None else (text[: match.start()], match[1], text[match.end() :])


# the same numbers come up for account after account
@lru_cache(maxsize=16384)
def _agree(number: str, rest: str, unit: str) -> tuple[str, str]:
    """Make what follows a number agree with it: "1 user", "no users", "none of", "usually none"."""
    noun = _noun(rest)
    if number == "0" and (counts(unit) or " per " in unit):
        follows = _WORD.match(rest.lstrip())
        if noun is None:
            stands_alone = follows is None and not rest.lstrip().startswith(("%", "/", "x"))
            return ("none" if stands_alone or (follows and follows[0] == "of") else "0"), rest
        return ("0" if noun[2] in _MEASURED else "no"), rest
    return number, after_one(rest) if number == "1" else rest


def after_one(rest: str) -> str:
    """Return what follows the number one: its noun, and a verb after that, in the singular."""
    noun = _noun(rest)
    if noun is None:
        return rest
    start, end, _ = noun
    phrase, after = _singular(rest[start:end]), rest[end:]
    verb = re.match(r" (are|were|have)\b", after)
    if verb:
        after = f" {_VERBS[verb[1]]}{after[verb.end() :]}"
    return rest[:start] + phrase + after


@lru_cache(maxsize=1024)
def _noun(rest: str) -> tuple[int, int, str] | None:
    """Find the noun phrase right after a number: start, end, and its last plural word."""
    if not rest.startswith(" "):
        return None
    position, end, head = 1, 0, ""
    while (word := _WORD.match(rest, position)) is not None and word[0].lower() not in _STOP:
        if _singular(word[0]) != word[0]:
            end, head = word.end(), word[0].lower()
        position = word.end() + 1
        if rest[word.end() : position] != " ":
            break
    return (1, end, head) if head else None


@lru_cache(maxsize=1024)
def _singular(phrase: str) -> str:
    return " ".join(_singular_word(word) for word in phrase.split(" "))


def _singular_word(word: str) -> str:
    low = word.lower()
    if low in _SINGULAR_OF:
        return _SINGULAR_OF[low]
    if low in _NOT_PLURAL or not low.endswith("s") or low.endswith(("ss", "us", "is")):
        return word
    if low.endswith("ies"):
        return word[:-3] + "y"
    if low.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1]
