"""The glossary holds the words of the house, in order."""

import re

from lifecycle_ml.workspace import standard_root

WORDS = frozenset(
    """
    account as_of happened_at known_at snapshot matrix grace outcome churned contracted flat expanded
    recipe bundle champion challenger gate checkpoint reason health band reading publication playbook
    action trigger signal ledger receipt role share stability context taxonomy evidence unknown
    """.split()  # noqa: SIM905
)


def test_the_glossary_explains_every_word_of_the_house_once_in_order():
    """A word without an entry, or a second entry, starts a synonym."""
    text = (standard_root() / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^\*\*([^*]+)\*\*:", text, flags=re.MULTILINE)

    assert WORDS - set(entries) == set()
    assert entries == sorted(set(entries), key=lambda word: word.replace("_", " "))


def test_every_italic_word_of_the_glossary_has_an_entry():
    """A pointer that leads nowhere is worse than none."""
    text = (standard_root() / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = set(re.findall(r"^\*\*([^*]+)\*\*:", text, flags=re.MULTILINE))
    pointers = {" ".join(word.split()) for word in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)}

    assert {word for word in pointers if word not in entries and word.rstrip("s") not in entries} <= {
        "italics"
    }
