"""The one way to the database: a transaction to read in, and one to write in."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from lifecycle_ml.store.engine import say_store_error, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import sqlalchemy as sa

ASKED: Final = 500
"""Ids per IN list."""


class Access:
    """An open database. What is kept in it is said by the classes made of this one."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with say_store_error(self._engine), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with say_store_error(self._engine), writing(self._engine) as connection:
            yield connection


def in_parts(ids: Iterable[str]) -> Iterator[list[str]]:
    """Give ids in lists that an IN takes."""
    rest = iter(ids)
    while part := list(islice(rest, ASKED)):
        yield part
