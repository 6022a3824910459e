"""Questions over readings and actions: many accounts at once, and lists page by page.

Statements are built once per shape of a question and kept: building one costs more than running it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import sqlalchemy as sa

from lifecycle_ml.actions.action import LIVE
from lifecycle_ml.store import said
from lifecycle_ml.store.cursor import Cursor, CursorError
from lifecycle_ml.store.document import instant_text
from lifecycle_ml.store.publishing import by_id, of_row
from lifecycle_ml.store.rows import (
    AccountFilters,
    ActionFilters,
    Listed,
    Mix,
    Page,
    Past,
    Publication,
    Sort,
    Words,
    live_of,
)
from lifecycle_ml.store.schema import (
    actions,
    listings,
    onboarding_starts,
    publications,
    readings,
    unscored,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lifecycle_ml.store.document import Live

Only = Literal["all", "renewing", "triggered"]
CHOICES = ("owner", "segment", "stage", "reason", "expansion_band")
"""Columns whose values a person picks from."""

_SORTED_BY: dict[Sort, tuple[sa.ColumnElement[Any], bool]] = {
    "arr_at_risk": (listings.c.arr_at_risk, True),
    "risk": (listings.c.risk, True),
    "renewal": (listings.c.renewal_on, False),
    "name": (listings.c.called, False),
    "arr": (listings.c.arr, True),
}
"""What each order goes by, and whether it naturally starts with the highest."""
_COLUMNS = {"renewal_json": "renewal", "triggers_json": "triggers"}
_FOUND_BY = [name for name in Listed.__dataclass_fields__ if name != "body"]
_LISTED = [listings.c[_COLUMNS.get(name, name)] for name in _FOUND_BY]
_HERE = listings.c.publication_id == sa.bindparam("here")
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)

_BODIES = sa.select(readings.c.account_id, readings.c.body).where(
    readings.c.publication_id == sa.bindparam("here"), readings.c.account_id.in_(_IDS)
)
_NAMES = sa.select(listings.c.account_id, listings.c.name).where(_HERE, listings.c.account_id.in_(_IDS))
_UNFINISHED = sa.select(actions).where(actions.c.account_id.in_(_IDS), actions.c.status.in_(LIVE))
_ACTION = tuple(actions.c.keys())
_ELSEWHERE = (
    sa.select(readings.c.account_id, sa.func.max(publications.c.as_of))
    .join(publications, publications.c.publication_id == readings.c.publication_id)
    .where(publications.c.published_at.is_not(None), readings.c.account_id.in_(_IDS))
    .group_by(readings.c.account_id)
)
_NOTED = (
    sa.select(unscored.c.account_id, unscored.c.why, unscored.c.publication_id)
    .join(publications, publications.c.publication_id == unscored.c.publication_id)
    .where(publications.c.published_at.is_not(None), unscored.c.account_id.in_(_IDS))
    .order_by(unscored.c.publication_id)
)


@dataclass
class Answers:
    """What the store knows about some accounts at one moment; filled by `add_answers`.

    `unscored` has accounts the store has seen but that have no reading here, each with the reason.
    Accounts in neither are unknown.
    """

    publication: Publication | None
    bodies: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    actions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    words: dict[str, Words] = field(default_factory=dict)

    def live(self, account_id: str, now: datetime) -> Live:
        """Return what is joined with an account's reading on reading it."""
        return live_of(self, account_id, now)


def add_answers(connection: sa.Connection, found: Answers, ids: list[str]) -> None:
    """Look up some ids and add what there is to `found`."""
    if found.publication is not None:
        here = found.publication.publication_id
        found.bodies.update(_bodies(connection, here, ids))
        for account_id, name in connection.execute(_NAMES, {"here": here, "ids": ids}):
            found.names[account_id] = name
        here_too = [each for each in ids if each in found.bodies]
        found.actions.update(unfinished(connection, here_too))
        found.words.update(said.standing(connection, here_too))
    missing = [account_id for account_id in ids if account_id not in found.bodies]
    if missing:
        _add_unscored(connection, found, missing)


def onboarding_start(
    connection: sa.Connection, seen: Publication | None, account_id: str
) -> list[dict[str, Any]]:
    """Return the criteria of one account in a publication."""
    question = sa.select(onboarding_starts.c.criteria).where(
        onboarding_starts.c.publication_id == (-1 if seen is None else seen.publication_id),
        onboarding_starts.c.account_id == account_id,
    )
    return connection.execute(question).scalar() or []


def _bodies(connection: sa.Connection, here: int, ids: list[str]) -> dict[str, bytes]:
    if not ids:
        return {}
    rows = connection.execute(_BODIES, {"here": here, "ids": ids}).all()
    return {row.account_id: row.body for row in rows}


def unfinished(connection: sa.Connection, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the unfinished actions of some accounts, as rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    if ids:
        for row in connection.execute(_UNFINISHED, {"ids": ids}).all():
            action = dict(zip(_ACTION, row, strict=True))
            found.setdefault(action["account_id"], []).append(action)
    return found


def _add_unscored(connection: sa.Connection, found: Answers, missing: list[str]) -> None:
    for account_id, as_of in connection.execute(_ELSEWHERE, {"ids": missing}):
        found.unscored[account_id] = f"No reading for this as_of; its last one is as of {as_of}."
    here = found.publication.publication_id if found.publication else None
    for account_id, why, publication_id in connection.execute(_NOTED, {"ids": missing}):
        if publication_id == here:
            found.unscored[account_id] = why
        else:
            found.unscored.setdefault(account_id, "No reading for this as_of.")


def history(connection: sa.Connection, account_id: str, limit: int, before: date | None) -> list[Past]:
    """Return an account's readings, the newest first; see `Store.history`."""
    asked = {"account_id": account_id, "limit": limit}
    if before is None:
        rows = connection.execute(_history_select(bounded=False), asked)
    else:
        rows = connection.execute(_history_select(bounded=True), asked | {"before": before})
    return [Past(of_row(row), row.body, row.receipt) for row in rows]


@lru_cache
def _history_select(*, bounded: bool) -> sa.Select[Any]:
    its_own = readings.c.account_id == sa.bindparam("account_id")
    latest = (
        sa.select(publications.c.as_of, sa.func.max(publications.c.publication_id).label("publication_id"))
        .join(readings, readings.c.publication_id == publications.c.publication_id)
        .where(publications.c.published_at.is_not(None), its_own)
        .group_by(publications.c.as_of)
        .subquery()
    )
    select = (
        sa.select(publications, readings.c.body, readings.c.receipt)
        .join(latest, latest.c.publication_id == publications.c.publication_id)
        .join(readings, readings.c.publication_id == publications.c.publication_id)
        .where(its_own)
        .order_by(publications.c.as_of.desc())
        .limit(sa.bindparam("limit", type_=sa.Integer()))
    )
    return select.where(publications.c.as_of < sa.bindparam("before")) if bounded else select


class Order(NamedTuple):
    """In which order a list comes, and of which accounts."""

    sort: Sort
    descending: bool
    only: Only = "all"

    @classmethod
    def of(cls, sort: Sort, descending: bool | None, only: Only = "all") -> Order:
        """Take the direction that is natural for the column where none is asked for."""
        return cls(sort, _SORTED_BY[sort][1] if descending is None else descending, only)


def account_page(
    connection: sa.Connection,
    current: Publication | None,
    filters: AccountFilters,
    order: Order,
    cursor: str | None,
    limit: int,
    *,
    with_actions: bool = True,
) -> Page:
    """Return one page of accounts; see `Store.list_accounts`."""
    question = (filters, *order)
    publication, after = current, None
    if cursor is not None:
        after = Cursor.read(cursor, question, str if order.sort in {"renewal", "name"} else float)
        publication = by_id(connection, after.publication_id)
        if publication is None:
            raise CursorError("The list this cursor belongs to is no longer kept. Start over without it.")
    if publication is None:
        return Page([], None)
    kinds, values = _conditions(filters)
    goes_on: Literal["start", "value", "null"] = "start"
    if after is not None:
        value: Any = after.value
        if order.sort == "renewal" and isinstance(value, str):
            value = _date(value)
        goes_on = "null" if value is None else "value"
        values |= {"last_id": after.row_id} | ({} if value is None else {"last_value": value})
    select = _account_select(kinds, order, goes_on)
    here = publication.publication_id
    rows = connection.execute(select, {"here": here, "limit": limit + 1, **values}).all()
    ids = [row.account_id for row in rows[:limit]]
    bodies = _bodies(connection, here, ids)
    shown = [
        Listed(**dict(zip(_FOUND_BY, row, strict=False)), body=bodies[row.account_id]) for row in rows[:limit]
    ]
    live = unfinished(connection, ids) if with_actions else {}
    words = said.standing(connection, ids) if with_actions else {}
    if len(rows) <= limit:
        return Page(shown, publication, actions=live, words=words)
    last = rows[limit - 1]
    value = last.sorted_by.isoformat() if isinstance(last.sorted_by, date) else last.sorted_by
    return Page(shown, publication, Cursor(here, value, last.account_id).write(question), live, words)


def color_mix(connection: sa.Connection, here: int, filters: AccountFilters) -> dict[str, Mix]:
    """Return accounts, ARR and ARR at risk by colour; see `Store.mix`."""
    kinds, values = _conditions(filters)
    rows = connection.execute(_mix_select(kinds), {"here": here, **values})
    return {color: Mix(*numbers) for color, *numbers in rows}


def choices(connection: sa.Connection, here: int) -> dict[str, list[str]]:
    """Return the values each column of `CHOICES` has in a publication, in order."""
    found = {}
    for name in CHOICES:
        column = listings.c[name]
        question = sa.select(column).where(_HERE, column.is_not(None)).distinct().order_by(column)
        found[name] = list(connection.execute(question, {"here": here}).scalars())
    return found


def action_page(connection: sa.Connection, filters: ActionFilters, cursor: str | None, limit: int) -> Page:
    """Return one page of actions; see `Store.list_actions`."""
    values: dict[str, Any] = {
        kind: getattr(filters, kind)
        for kind in _ACTION_CONDITIONS
        if getattr(filters, kind) not in (None, ())
    }
    kinds = tuple(values)
    goes_on: Literal["start", "value", "null"] = "start"
    if cursor is not None:
        after = Cursor.read(cursor, filters, float)
        goes_on = "null" if after.value is None else "value"
        values |= {"last_id": after.row_id} | ({} if after.value is None else {"last_value": after.value})
    rows = connection.execute(_action_select(kinds, goes_on), {"limit": limit + 1, **values}).mappings().all()
    shown = [dict(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(shown, None)
    last = shown[-1]
    return Page(shown, None, Cursor(0, last["arr_kept_per_hour"], last["action_id"]).write(filters))


def plain(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action with its instants as text, ready for JSON."""
    return {
        key: instant_text(value) if isinstance(value, datetime) else value for key, value in action.items()
    }


@lru_cache(maxsize=512)
def _account_select(
    kinds: tuple[str, ...], order: Order, goes_on: Literal["start", "value", "null"]
) -> sa.Select[Any]:
    column, _ = _SORTED_BY[order.sort]
    select = sa.select(*_LISTED, column.label("sorted_by")).where(
        _HERE, *(_CONDITIONS[kind] for kind in kinds)
    )
    if order.only == "renewing":
        select = select.where(listings.c.renewal_on.is_not(None))
    if order.only == "triggered":
        select = select.where(listings.c.triggers.is_not(None))
    row_id = listings.c.account_id
    if goes_on != "start":
        value = None if goes_on == "null" else sa.bindparam("last_value", type_=column.type)
        last = sa.bindparam("last_id", type_=sa.Text())
        select = select.where(_after(column, value, row_id, last, descending=order.descending))
    ordered = _ordered(column, row_id, descending=order.descending)
    return select.order_by(*ordered).limit(sa.bindparam("limit", type_=sa.Integer()))


@lru_cache(maxsize=512)
def _mix_select(kinds: tuple[str, ...]) -> sa.Select[Any]:
    return (
        sa.select(
            listings.c.health,
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(listings.c.arr), 0.0),
            sa.func.coalesce(sa.func.sum(listings.c.arr_at_risk), 0.0),
        )
        .where(_HERE, *(_CONDITIONS[kind] for kind in kinds))
        .group_by(listings.c.health)
    )


def _ordered(
    column: sa.ColumnElement[Any], row_id: sa.ColumnElement[Any], *, descending: bool
) -> tuple[sa.ColumnElement[Any], ...]:
    # NULLS LAST is not everywhere; a CASE is
    missing_last = sa.case((column.is_(None), 1), else_=0)
    return missing_last, column.desc() if descending else column.asc(), row_id


def _after(
    column: sa.ColumnElement[Any], value: Any, row_id: sa.ColumnElement[Any], last: Any, *, descending: bool
) -> sa.ColumnElement[bool]:
    if value is None:
        return sa.and_(column.is_(None), row_id > last)
    beyond = column < value if descending else column > value
    return sa.or_(beyond, sa.and_(column == value, row_id > last), column.is_(None))


_CONDITIONS: dict[str, sa.ColumnElement[bool]] = {
    **{
        name: listings.c[name].in_(sa.bindparam(name, expanding=True))
        for name in ("health", "owner", "stage", "segment", "reason", "expansion_band")
    },
    "renewal_from": listings.c.renewal_on >= sa.bindparam("renewal_from"),
    "renewal_before": listings.c.renewal_on < sa.bindparam("renewal_before"),
    "text": listings.c.called.like(sa.bindparam("text"), escape="/"),
}


def _conditions(filters: AccountFilters) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return which conditions the filters call for, and the values to bind."""
    asked: dict[str, Any] = {kind: getattr(filters, kind) for kind in _CONDITIONS}
    values = {kind: value for kind, value in asked.items() if value is not None and value != ()}
    if "text" in values:
        values["text"] = _contains(values["text"])
    return tuple(values), values


def _contains(text: str) -> str:
    for special in "/%_":
        text = text.replace(special, "/" + special)
    return f"%{text.casefold()}%"


_ACTION_CONDITIONS: dict[str, sa.ColumnElement[bool]] = {
    **{
        name: actions.c[name].in_(sa.bindparam(name, expanding=True))
        for name in ("status", "owner", "owner_role", "account_id")
    },
    "due_before": actions.c.due_at < sa.bindparam("due_before"),
}


@lru_cache(maxsize=512)
def _action_select(kinds: tuple[str, ...], goes_on: Literal["start", "value", "null"]) -> sa.Select[Any]:
    column, row_id = actions.c.arr_kept_per_hour, actions.c.action_id
    select = sa.select(actions).where(*(_ACTION_CONDITIONS[kind] for kind in kinds))
    if goes_on != "start":
        value = None if goes_on == "null" else sa.bindparam("last_value", type_=column.type)
        last = sa.bindparam("last_id", type_=sa.Text())
        select = select.where(_after(column, value, row_id, last, descending=True))
    return select.order_by(*_ordered(column, row_id, descending=True)).limit(
        sa.bindparam("limit", type_=sa.Integer())
    )


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CursorError("The cursor is damaged. Use the `next` of an answer unchanged.") from error
