"""Questions over readings and actions: many accounts at once, and lists page by page."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lifecycle_ml.store.cursor import Cursor, CursorError
from lifecycle_ml.store.document import UNFINISHED, instant_text
from lifecycle_ml.store.rows import AccountFilters, ActionFilters, Listed, Page, Publication, Sort
from lifecycle_ml.store.schema import actions, naive_utc, publications, readings, unscored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LISTED = [readings.c[name] for name in Listed.__dataclass_fields__]


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


def add_answers(connection: sa.Connection, found: Answers, ids: list[str]) -> None:
    """Look up some ids and add what there is to `found`."""
    if found.publication is not None:
        here = found.publication.publication_id
        question = sa.select(readings.c.account_id, readings.c.body, readings.c.name).where(
            readings.c.publication_id == here, readings.c.account_id.in_(ids)
        )
        for account_id, body, name in connection.execute(question):
            found.bodies[account_id] = body
            found.names[account_id] = name
        found.actions.update(_unfinished(connection, [each for each in ids if each in found.bodies]))
    missing = [account_id for account_id in ids if account_id not in found.bodies]
    if missing:
        _add_unscored(connection, found, missing)


def _unfinished(connection: sa.Connection, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    question = sa.select(actions).where(actions.c.account_id.in_(ids), actions.c.status.in_(UNFINISHED))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(question).mappings():
        found.setdefault(row["account_id"], []).append(dict(row))
    return found


def _add_unscored(connection: sa.Connection, found: Answers, missing: list[str]) -> None:
    published = publications.c.published_at.is_not(None)
    elsewhere = (
        sa.select(readings.c.account_id, sa.func.max(publications.c.as_of))
        .join(publications, publications.c.publication_id == readings.c.publication_id)
        .where(published, readings.c.account_id.in_(missing))
        .group_by(readings.c.account_id)
    )
    for account_id, as_of in connection.execute(elsewhere):
        found.unscored[account_id] = f"No reading for this as_of; its last one is as of {as_of}."
    noted = (
        sa.select(unscored.c.account_id, unscored.c.why, unscored.c.publication_id)
        .join(publications, publications.c.publication_id == unscored.c.publication_id)
        .where(published, unscored.c.account_id.in_(missing))
        .order_by(unscored.c.publication_id)
    )
    here = found.publication.publication_id if found.publication else None
    for account_id, why, publication_id in connection.execute(noted):
        if publication_id == here:
            found.unscored[account_id] = why
        else:
            found.unscored.setdefault(account_id, "No reading for this as_of.")


def account_page(
    connection: sa.Connection,
    current: Publication | None,
    filters: AccountFilters,
    sort: Sort,
    cursor: str | None,
    limit: int,
    by_id: Callable[[sa.Connection, int], Publication | None],
) -> Page:
    """Return one page of accounts; see `Store.list_accounts`."""
    column = {
        "arr_at_risk": readings.c.arr_at_risk,
        "risk": readings.c.risk,
        "renewal": readings.c.renewal_on,
    }[sort]
    question = (filters, sort)
    publication, after = current, None
    if cursor is not None:
        after = Cursor.read(cursor, question, str if sort == "renewal" else float)
        publication = by_id(connection, after.publication_id)
        if publication is None:
            raise CursorError("The list this cursor belongs to is no longer kept. Start over without it.")
    if publication is None:
        return Page([], None)
    descending = sort != "renewal"
    select = sa.select(*_LISTED, column.label("sorted_by")).where(
        readings.c.publication_id == publication.publication_id, *_account_conditions(filters)
    )
    if after is not None:
        value: Any = after.value
        if sort == "renewal" and isinstance(value, str):
            value = _date(value)
        select = select.where(
            _after(column, value, readings.c.account_id, after.row_id, descending=descending)
        )
    select = select.order_by(*_ordered(column, readings.c.account_id, descending=descending)).limit(limit + 1)
    rows = connection.execute(select).all()
    shown = [Listed(*row[:-1]) for row in rows[:limit]]
    live = _unfinished(connection, [row.account_id for row in shown])
    if len(rows) <= limit:
        return Page(shown, publication, actions=live)
    last = rows[limit - 1]
    value = last.sorted_by.isoformat() if isinstance(last.sorted_by, date) else last.sorted_by
    following = Cursor(publication.publication_id, value, last.account_id)
    return Page(shown, publication, following.write(question), live)


def action_page(connection: sa.Connection, filters: ActionFilters, cursor: str | None, limit: int) -> Page:
    """Return one page of actions; see `Store.list_actions`."""
    column, row_id = actions.c.arr_kept_per_hour, actions.c.action_id
    select = sa.select(actions).where(*_action_conditions(filters))
    if cursor is not None:
        after = Cursor.read(cursor, filters, float)
        select = select.where(_after(column, after.value, row_id, after.row_id, descending=True))
    select = select.order_by(*_ordered(column, row_id, descending=True)).limit(limit + 1)
    rows = connection.execute(select).mappings().all()
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


def _ordered(
    column: sa.ColumnElement[Any], row_id: sa.ColumnElement[Any], *, descending: bool
) -> tuple[sa.ColumnElement[Any], ...]:
    # NULLS LAST is not everywhere; a CASE is
    missing_last = sa.case((column.is_(None), 1), else_=0)
    return missing_last, column.desc() if descending else column.asc(), row_id


def _after(
    column: sa.ColumnElement[Any], value: Any, row_id: sa.ColumnElement[Any], last: str, *, descending: bool
) -> sa.ColumnElement[bool]:
    if value is None:
        return sa.and_(column.is_(None), row_id > last)
    beyond = column < value if descending else column > value
    return sa.or_(beyond, sa.and_(column == value, row_id > last), column.is_(None))


def _account_conditions(filters: AccountFilters) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [
        readings.c[name].in_(getattr(filters, name))
        for name in ("health", "owner", "stage", "segment", "reason")
        if getattr(filters, name)
    ]
    if filters.renewal_from is not None:
        conditions.append(readings.c.renewal_on >= filters.renewal_from)
    if filters.renewal_before is not None:
        conditions.append(readings.c.renewal_on < filters.renewal_before)
    return conditions


def _action_conditions(filters: ActionFilters) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [
        actions.c[name].in_(getattr(filters, name))
        for name in ("status", "owner", "owner_role", "account_id")
        if getattr(filters, name)
    ]
    if filters.due_before is not None:
        conditions.append(actions.c.due_at < naive_utc(filters.due_before))
    return conditions


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CursorError("The cursor is damaged. Use the `next` of an answer unchanged.") from error
