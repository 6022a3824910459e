"""Everything that can go wrong, as one tree.

LifecycleError            exit 1   a fault of ours or of the machine
├── BundleError           exit 1   a saved model is damaged, half written or tampered with
├── StoreError            exit 1   the store does not answer or holds what it should not
└── UserError             exit 2   something the user can mend; printed without a traceback
    ├── ConfigError                a TOML file or an environment variable
    ├── TableError                 a source table or column
    ├── DefinitionError            a feature definition
    └── ConditionError             a rule's SQL expression
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class LifecycleError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class BundleError(LifecycleError):
    """A saved model that must not be served."""


class StoreError(LifecycleError):
    """The store of publications, readings and actions failed."""


class UserError(LifecycleError):
    """A mistake the user can mend: the message says what, where, and what to do."""

    exit_code = 2


class ConfigError(UserError):
    """A wrong key, value or file of the configuration."""


class TableError(UserError):
    """A source table that breaks the data contract."""


class DefinitionError(UserError):
    """A feature definition that cannot exist."""


class ConditionError(UserError):
    """A rule's expression that is not a condition over the table it is given."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known word, else the known words; starts with a blank."""
    words = sorted(set(known))
    near = difflib.get_close_matches(wrong, words, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    shown = ", ".join(words[:12]) + (", …" if len(words) > 12 else "")
    return f" Known: {shown}." if words else ""


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless it is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
