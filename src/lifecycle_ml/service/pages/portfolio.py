"""The portfolio: the accounts as a list to filter, sort and take away as CSV."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from lifecycle_ml.actions.next_hour import next_hours
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.pages import charts, words
from lifecycle_ml.service.pages.labels import labels_of
from lifecycle_ml.service.pages.question import WINDOWS, Question
from lifecycle_ml.service.pages.rendering import At, Signed, render
from lifecycle_ml.store.cursor import CursorError
from lifecycle_ml.store.document import join_live
from lifecycle_ml.store.export import csv_line, harmless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from lifecycle_ml.actions.next_hour import NextHour
    from lifecycle_ml.service.serving import Serving
    from lifecycle_ml.store.rows import Listed, Mix, Page

PER_PAGE = 100
PER_PART = 500
"""Accounts of a CSV file read at a time."""
CSV_COLUMNS = (
    "account_id",
    "name",
    "segment",
    "stage",
    "owner",
    "health",
    "health_since",
    "arr",
    "arr_at_risk",
    "churn_probability",
    "churn_horizon_days",
    "churn_band",
    "churn_source",
    "reason",
    "expansion_band",
    "triggers",
    "renewal_on",
    "next_action",
    "next_action_owner",
    "next_action_due_at",
    "escalation_status",
    "as_of",
)

router = APIRouter(include_in_schema=False)


@router.get("/")
@router.get("/accounts")
def accounts(request: Request, at: At, caller: Signed) -> Response:
    """Show the accounts; the address says which, in what order and from where on."""
    question = Question.read(request.query_params)
    publication = at.store.publication()
    if publication is None:
        return render(request, "accounts.html", caller=caller, publication=None)
    page, moved_on = _page(at, question, publication.as_of)
    assert page.publication is not None
    mix = at.store.mix(replace(question.filters(publication.as_of), health=()))
    shown = [color for color in words.COLORS if not question.health or color in question.health]
    return render(
        request,
        "accounts.html",
        caller=caller,
        publication=page.publication,
        question=question,
        choices=at.store.choices(),
        labels=labels_of(request.app.state.workspace),
        windows=WINDOWS,
        rows=[_row(row, page, at) for row in page.rows],
        mix=mix,
        whole=_sum(mix, list(words.COLORS)),
        listed=_sum(mix, shown),
        bars=[
            ("Accounts", charts.stacked({color: each.accounts for color, each in mix.items()})),
            ("ARR", charts.stacked({color: each.arr for color, each in mix.items()})),
        ],
        more=question.address(cursor=page.next) if page.next else None,
        next_hour=_next_hour(at, question),
        continued=question.cursor is not None and not moved_on,
        moved_on=moved_on,
    )


@router.get("/accounts.csv")
def download(request: Request, at: At, _caller: Signed) -> Response:
    """Give exactly the filtered list, in its order, as CSV."""
    question = replace(Question.read(request.query_params), cursor=None)
    publication = at.store.publication()
    if publication is None:
        raise ProblemError("nothing-published", "There is no publication to list.")
    name = f"accounts-{publication.as_of}.csv"
    return StreamingResponse(
        _csv(at, question, publication.as_of),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _page(at: Serving, question: Question, as_of: date) -> tuple[Page, bool]:
    """Return a page of the list; where its place no longer exists, the first page and True.

    A renewal window moves on with every publication, and its cursors with it.
    """
    filters = question.filters(as_of)

    read = partial(at.store.list_accounts, filters, question.sort, descending=question.descending)
    try:
        return read(cursor=question.cursor, limit=PER_PAGE), False
    except CursorError:
        return read(limit=PER_PAGE), True


def _next_hour(at: Serving, question: Question) -> NextHour | None:
    """Return where one more hour would keep most, of the owners asked for; None where all work has hours."""
    beyond = next_hours(at.store.waiting())
    return next((each for each in beyond if each.concerns(question.owner)), None)


def _csv(at: Serving, question: Question, as_of: date) -> Iterator[bytes]:
    # a byte order mark: without it Excel takes UTF-8 for something else
    yield b"\xef\xbb\xbf" + csv_line(CSV_COLUMNS).encode()
    filters, cursor = question.filters(as_of), None
    while True:
        page = at.store.list_accounts(
            filters, question.sort, cursor, PER_PART, descending=question.descending
        )
        yield "".join(csv_line(_cells(_row(row, page, at))) for row in page.rows).encode()
        if (cursor := page.next) is None:
            return


def _cells(row: dict[str, Any]) -> list[Any]:
    return [harmless(row[name]) for name in CSV_COLUMNS]


def _row(row: Listed, page: Page, at: Serving) -> dict[str, Any]:
    document = join_live(row.body, page.live(row.account_id, at.clock()))
    churn, reasons = document["churn"], document["reasons"]
    actions = [action for action in document["actions"] if action["status"] != "held_out"]
    says = document["scorecard"]["next_action"]
    first = next((each for each in actions if each["title"] == says), actions[0] if actions else None)
    return {
        "account_id": row.account_id,
        "name": row.name or row.account_id,
        "segment": row.segment,
        "stage": row.stage,
        "owner": row.owner,
        "health": row.health,
        "health_since": document["health"]["since"],
        "arr": row.arr,
        "arr_at_risk": row.arr_at_risk,
        "churn_probability": churn["probability"],
        "churn_horizon_days": churn["horizon_days"],
        "churn_band": churn["band"],
        "churn_source": churn["source"],
        "reason": reasons[0]["label"] if reasons else None,
        "expansion_band": row.expansion_band,
        "triggers": "; ".join(each["says"] for each in row.triggers),
        "signs": len(row.triggers),
        "renewal_on": row.renewal_on,
        "next_action": says or (first["title"] if first else None),
        "next_action_owner": first["owner"] if first else None,
        "next_action_due_at": first["due_at"] if first else None,
        "escalation_status": document["scorecard"]["escalation_status"],
        "as_of": document["as_of"],
    }


def _sum(mix: dict[str, Mix], colors: list[str]) -> dict[str, float]:
    chosen = [mix[color] for color in colors if color in mix]
    return {name: sum(getattr(each, name) for each in chosen) for name in ("accounts", "arr", "arr_at_risk")}
