"""What every sentence a CS manager reads must hold: words, numbers and units as people use them."""

from __future__ import annotations

import re
from collections.abc import Iterable

COUNTED = (
    *("users", "seats", "tickets", "meetings", "contacts", "champions", "sponsors", "invoices", "milestones"),
    *("features", "teams", "events", "outages", "escalations", "mentions", "trainings", "emails", "gaps"),
    *("invitations", "integrations", "no-shows", "reviews", "days", "weeks", "hours", "months", "contracts"),
)
SINGULAR = re.compile(
    r"(?<![\d.,])1 (?!days? of |hours? of )(?:(?!through|of|in|at|with|from)[a-z]+ ){0,2}?"
    rf"({'|'.join(COUNTED)})\b"
)
"""One of something in the plural."""

AS_STORED = re.compile(
    r"\b(nan|none|null|nat|inf|true|false)\b|[{}<>_]|\d\.\d{4,}|\d{5,}|--|\s\s|\s[,.;:)]|%%|\(\s"
)
"""What programs say and people do not; None as a word of its own in the middle is checked apart."""

JARGON = ("log-odds", "margin", "shap", "probability of", "percentile", "contribution", "horizon")


def faults(sentence: str, names: Iterable[str] = ()) -> list[str]:
    """Return what is wrong with a sentence, in words; nothing where it reads well."""
    found = []
    if not sentence or not (sentence[0].isupper() or sentence[0].isdigit()):
        found.append("starts with neither a capital nor a number")
    if sentence.rstrip().endswith((".", ",", ";", ":", "-")):
        found.append("ends with a mark")
    if match := AS_STORED.search(
        re.sub(r"\b(usually|are|is|has|instead of) none\b|^None of\b", "x", sentence).lower()
    ):
        found.append(f"holds {match[0]!r}")
    if match := SINGULAR.search(sentence):
        found.append(f"one in the plural: {match[0]!r}")
    if match := re.search(r"(?<!last )(?<![\d.,])\b([2-9]|\d\d+) \w+s (is|was|has)\b", sentence):
        found.append(f"several in the singular: {match[0]!r}")
    if match := re.search(r"\b(\w+) \1\b", sentence.lower()):
        found.append(f"says {match[1]!r} twice")
    if jargon := [word for word in JARGON if word in sentence.lower()]:
        found.append(f"jargon: {jargon[0]}")
    found += [f"names the feature {name}" for name in names if "_" in name and name in sentence]
    return found


def unit_is_said(sentence: str, unit: str) -> bool:
    """Tell whether a sentence that quotes a share, days or money says so."""
    if unit in ("share", "ratio"):
        return "%" in sentence
    if unit == "days" and re.search(r"\d", sentence):
        return bool(re.search(r"\b(days?|weeks?|months?|years?|today|yesterday|on time)\b", sentence))
    return True
