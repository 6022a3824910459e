"""What names an account: in rows by its id, in texts by its id and its name where these are unmistakable."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FORGOTTEN: Final = "[forgotten]"
"""What stands in a sentence where the account was named."""
ROWS_OF: Final = frozenset({"account_id", "account"})
"""Columns and keys that say whose a row is: the whole row goes."""


_GONE: Final = object()
"""Stands for a value that was nothing but the account's."""


def names_accounts(name: str) -> bool:
    """Whether a column or key holds ids of accounts: `account_id`, `parent_account_id`, `account_ids`."""
    return name in ROWS_OF or name.endswith(("account_id", "account_ids"))


@dataclass(frozen=True)
class Traces:
    """One account, as rows and texts may name it. `names`: what it was called, in any publication."""

    account_id: str
    names: tuple[str, ...] = ()

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Return the id and names that texts are searched for, the longest first: each unmistakable.

        Six characters or more, with a letter among them, and no word in lower case: `100000` is a number
        and `quiet` an adjective, wherever else they stand.
        """
        every = {self.account_id, *self.names}
        return tuple(sorted(filter(_unmistakable, every), key=lambda word: (-len(word), word)))

    @property
    def searched(self) -> bool:
        """Whether texts are searched for the id at all."""
        return self.account_id in self.words

    def is_it(self, value: object, column: str) -> bool:
        """Whether a value is the account's id: in a column of ids, or anywhere if unmistakable."""
        if str(value) != self.account_id or isinstance(value, bool | float):
            return False
        return names_accounts(column) or (self.searched and isinstance(value, str))

    def reword(self, text: str) -> str:
        """Return a text without the account."""
        return text if self._pattern is None else self._pattern.sub(FORGOTTEN, text)

    def may_be_in(self, content: bytes) -> bool:
        """Whether bytes can name the account: none of those without it is worth reading as what they are."""
        return any(each in content for each in self._bytes)

    def is_in(self, content: bytes) -> bool:
        """Whether bytes of an unknown kind name the account unmistakably."""
        return any(_as_token(each).search(content) for each in self._unmistakable_bytes)

    def without(self, document: Any) -> tuple[Any, int]:
        """Return a JSON document without the account, None where nothing is left, and how much went."""
        return scrub(document, self.is_it, self.reword)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        if not self.words:
            return None
        return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, self.words))})(?![\w-])")

    @cached_property
    def _bytes(self) -> tuple[bytes, ...]:
        return _encoded((self.account_id, *self.words))

    @cached_property
    def _unmistakable_bytes(self) -> tuple[bytes, ...]:
        return _encoded(self.words)


def scrub(
    document: Any, is_it: Callable[[object, str], bool], reword: Callable[[str], str] = str
) -> tuple[Any, int]:
    """Return a JSON document without an account, None where nothing is left, and how much went.

    `is_it` is asked of a value and the key it stands under (of a list's items: the list's). An object with
    the account's `account_id` goes whole; `reword` is put to every other text.
    """
    left, gone = _scrub(document, "", is_it, reword)
    return (None, max(gone, 1)) if left is _GONE else (left, gone)


def _scrub(
    value: Any, key: str, is_it: Callable[[object, str], bool], reword: Callable[[str], str]
) -> tuple[Any, int]:
    total = 0
    if key == "accounts" and isinstance(value, dict | list):
        key = "account_ids"  # a number under `accounts` is how many
    if isinstance(value, dict):
        if any(is_it(value[name], name) for name in ROWS_OF & value.keys()):
            return _GONE, 1
        left: dict[str, Any] = {}
        for name, each in value.items():
            if is_it(name, key):
                total += 1
                continue
            kept, gone = _scrub(each, name, is_it, reword)
            left[reword(name)] = None if kept is _GONE else kept
            total += gone
        return left, total
    if isinstance(value, list):
        found = [_scrub(each, key, is_it, reword) for each in value]
        return [kept for kept, _ in found if kept is not _GONE], sum(gone for _, gone in found)
    if is_it(value, key):
        return _GONE, 1
    if isinstance(value, str) and (reworded := reword(value)) != value:
        return reworded, 1
    return value, 0


def _unmistakable(word: str) -> bool:
    return len(word) >= 6 and any(map(str.isalpha, word)) and not re.fullmatch(r"[a-z_]+", word)


def _encoded(words: tuple[str, ...]) -> tuple[bytes, ...]:
    found = {word.encode() for word in words} | {json.dumps(word)[1:-1].encode() for word in words}
    return tuple(sorted(found))


def _as_token(word: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"(?<![\w-])" + re.escape(word) + rb"(?![\w-])")
