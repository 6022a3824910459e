"""A lifecycle review: the accounts that call for a decision one after the other, and what was decided.

A review is its beginning and whom it is about, both in the address: no page keeps anything, so it can be
left, handed on and taken up again. What is decided goes to the store at once, as a decision of the account.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ConfigDict

from lifecycle_ml.actions.account_words import LATEST_DUE, AccountWordError
from lifecycle_ml.actions.action import UNFINISHED
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.service.api.accounts import read_account
from lifecycle_ml.service.api.keys import may
from lifecycle_ml.service.api.problems import ProblemError
from lifecycle_ml.service.api.telling import say
from lifecycle_ml.service.pages import session, words
from lifecycle_ml.service.pages.labels import labels_of
from lifecycle_ml.service.pages.people import word_of
from lifecycle_ml.service.pages.rendering import At, Signed, read_form, render
from lifecycle_ml.store.export import csv_line, harmless
from lifecycle_ml.store.schema import naive_utc
from lifecycle_ml.workspace import Strict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lifecycle_ml.actions.account_words import Said
    from lifecycle_ml.service.key_ring import Caller
    from lifecycle_ml.service.serving import Serving
    from lifecycle_ml.store.reviews import Reviewable
    from lifecycle_ml.workspace import Workspace

Kind = Literal["red", "checkpoint", "trigger"]
KINDS: dict[Kind, str] = {
    "red": "red",
    "checkpoint": "at a checkpoint nobody has closed",
    "trigger": "with a strong sign of growth",
}
"""Why an account calls for a decision, in the order in which a review takes them."""
EARLIER_SHOWN = 3
USUAL_DUE = timedelta(days=14)
CSV_COLUMNS = ("account_id", "name", "decision", "decided_by", "next_step", "due", "by", "at")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Ground:
    """One reason why an account is in a review."""

    kind: Kind
    says: str


@dataclass(frozen=True)
class Candidate:
    """One account of a review: why it is there, and what was decided since the review began."""

    account: Reviewable
    grounds: tuple[Ground, ...]
    decided: tuple[Said, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.account.name or self.account.account_id


@dataclass(frozen=True)
class Review:
    """When a review began (naive UTC), and whose accounts it is about; None: everybody's."""

    since: datetime
    owner: str | None = None
    segment: str | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Review | None:
        """Take a review from an address or a form; None where its beginning is no instant."""
        try:
            since = naive_utc(datetime.fromisoformat(given.get("since", "")))
        except ValueError:
            return None
        return cls(since, given.get("owner") or None, given.get("segment") or None)

    def address(self, page: str, **more: str) -> str:
        """Return the address of one of its pages."""
        asked = {"since": self.since.isoformat(), "owner": self.owner, "segment": self.segment, **more}
        return f"/review/{page}?" + urlencode({name: value for name, value in asked.items() if value})


@router.get("/review")
def start(request: Request, at: At, caller: Signed) -> Response:
    """Say how many accounts call for a decision, and let somebody begin."""
    now = naive_utc(at.clock())
    asked = request.query_params
    review = Review(now, asked.get("owner") or None, asked.get("segment") or None)
    found = candidates(at, request.app.state.workspace, review)
    return render(
        request,
        "review.html",
        caller=caller,
        publication=at.store.publication(),
        review=review,
        candidates=found,
        counts={kind: sum(each.grounds[0].kind == kind for each in found) for kind in KINDS},
        kinds=KINDS,
        choices=at.store.choices(),
        lately=[
            Review(datetime.combine(day, datetime.min.time()))
            for day in sorted(
                {said.at.date() for said in at.store.decisions(now - timedelta(days=31))}, reverse=True
            )[:5]
        ],
    )


@router.get("/review/next")
def step(request: Request, at: At, caller: Signed) -> Response:
    """Show the next account nothing was decided about, after the one named; at the end, the decisions."""
    review = Review.read(request.query_params)
    if review is None:
        return RedirectResponse("/review", status_code=303)
    found = candidates(at, request.app.state.workspace, review)
    ids = [each.account.account_id for each in found]
    after = request.query_params.get("after")
    begin = ids.index(after) + 1 if after in ids else 0
    chosen = next((each for each in found[begin:] if not each.decided), None)
    if chosen is None:
        return RedirectResponse(review.address("decided"), status_code=303)
    typed = {"decided_by": request.query_params.get("decided_by", "")}
    return _show(request, at, caller, review, found, chosen, typed)


@router.post("/review/decide")
async def decide(request: Request, at: At, caller: Signed) -> Response:
    """Keep a decision and go on to the next account; sent twice, it is kept once."""
    form = await read_form(request)
    review = Review.read(form)
    if review is None:
        raise ProblemError("not-found", "This form belongs to no review; begin one at /review.")
    if not session.form_is_ours(request, at, form.get("token", "")):
        raise ProblemError("wrong-role", "The form had expired; go back, load the page again and repeat.")
    if not may(caller.role, "act"):
        raise ProblemError("wrong-role", f"This needs a key of role act; yours has {caller.role}.")
    account_id = form.get("account_id", "")
    try:
        word = word_of("decision", form)
        mark = hashlib.sha256(repr(word).encode()).hexdigest()[:16]
        key = f"{form.get('key', '')[:40]} review {mark}" if form.get("key") else ""
        say(at, caller, account_id, word, None, key)
    except AccountWordError as error:
        found = candidates(at, request.app.state.workspace, review)
        chosen = next((each for each in found if each.account.account_id == account_id), None)
        if chosen is None:
            raise ProblemError("account-conflict", words.sentence(str(error))) from error
        fault = words.sentence(str(error))
        return _show(request, at, caller, review, found, chosen, form, fault=fault, status=409)
    onward = review.address("next", after=account_id, decided_by=form.get("decided_by", ""))
    return RedirectResponse(onward, status_code=303)


@router.get("/review/decided")
def decided(request: Request, at: At, caller: Signed) -> Response:
    """List what was decided since the review began, and what was left; made to be printed."""
    review = Review.read(request.query_params)
    if review is None:
        return RedirectResponse("/review", status_code=303)
    found = candidates(at, request.app.state.workspace, review)
    kept = at.store.decisions(review.since)
    return render(
        request,
        "review_decided.html",
        caller=caller,
        review=review,
        decisions=kept,
        names=at.store.answers([said.account_id for said in kept]).names,
        left=[each for each in found if not each.decided],
        now=naive_utc(at.clock()),
    )


@router.get("/review/decided.csv")
def download(request: Request, at: At, _caller: Signed) -> Response:
    """Give the same decisions as CSV."""
    review = Review.read(request.query_params)
    if review is None:
        return RedirectResponse("/review", status_code=303)
    kept = at.store.decisions(review.since)
    names = at.store.answers([said.account_id for said in kept]).names
    lines = [csv_line(CSV_COLUMNS)]
    for said in kept:
        told = {**said.details, "account_id": said.account_id, "name": names.get(said.account_id)}
        told |= {"by": said.by, "at": f"{said.at.isoformat()}Z"}
        lines.append(csv_line(harmless(told[name]) for name in CSV_COLUMNS))
    return Response(
        "".join(lines),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="decisions-{review.since:%Y-%m-%d}.csv"'},
    )


def candidates(at: Serving, workspace: Workspace, review: Review) -> list[Candidate]:
    """Return the accounts that call for a decision, in the order in which a review takes them.

    Red ones first, most ARR at risk first; then those at a checkpoint without an outcome, the soonest renewal
    first; then those with a strong sign of growth (one whose path is a task, while the expansion band is high
    or not known), most ARR first. Colours are the model's.
    """
    published = at.store.reviewable(review.owner, review.segment)
    told = at.store.renewals_as_told(
        {row.account_id: row.renewal for row in published if row.renewal and _reached(row.renewal)}
    )
    rows = [replace(row, renewal=told.get(row.account_id)) for row in published]
    paths, labels = _trigger_paths(workspace), labels_of(workspace)
    since: dict[str, list[Said]] = {}
    for said in at.store.decisions(review.since):
        since.setdefault(said.account_id, []).append(said)
    found = (
        Candidate(row, tuple(_grounds(row, paths, labels)), tuple(since.get(row.account_id, ())))
        for row in rows
    )
    return sorted((each for each in found if each.grounds), key=_order)


def _reached(renewal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in renewal["checkpoints"] if one["state"] == "now"]


def _grounds(row: Reviewable, paths: Mapping[str, _Trigger], labels: Mapping[str, str]) -> Iterable[Ground]:
    if row.health == "red":
        label = labels.get(row.reason or "")
        yield Ground("red", "Its health is red" if label is None else f"Red: {label[0].lower()}{label[1:]}")
    for one in _reached(row.renewal) if row.renewal else ():
        if one["outcome"] is None:
            yield Ground(
                "checkpoint",
                f"Its {one['checkpoint']}-day checkpoint fell on {words.day(one['falls_on'])}; "
                f"it renews on {words.day(row.renewal_on)}",
            )
    if row.expansion_band in {"high", None}:
        for trigger in row.triggers:
            known = paths.get(trigger["trigger"])
            if known is not None and known.path == "task":
                yield Ground("trigger", words.sentence(trigger["says"]))


def _order(each: Candidate) -> tuple[int, float | str, str]:
    row, kind = each.account, each.grounds[0].kind
    rank = list(KINDS).index(kind)
    if kind == "checkpoint":
        return rank, str(row.renewal_on or "9999"), row.account_id
    return rank, -((row.arr_at_risk if kind == "red" else row.arr) or 0.0), row.account_id


def _show(
    request: Request,
    at: Serving,
    caller: Caller,
    review: Review,
    found: list[Candidate],
    chosen: Candidate,
    typed: Mapping[str, str],
    *,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    account_id = chosen.account.account_id
    today = naive_utc(at.clock()).date()
    document = json.loads(read_account(at, account_id))
    actions = at.store.actions([account_id])[account_id]
    return render(
        request,
        "review_account.html",
        caller=caller,
        status=status,
        review=review,
        chosen=chosen,
        account=document,
        place=found.index(chosen) + 1,
        of=len(found),
        decided=sum(bool(each.decided) for each in found),
        todo=sorted(
            (each for each in actions if each.status in UNFINISHED), key=attrgetter("opened_at", "action_id")
        ),
        earlier=[each for each in at.store.said(account_id) if each.kind == "decision"][:EARLIER_SHOWN],
        people=at.store.choices()["owner"],
        typed=typed,
        due=typed.get("due") or str(today + USUAL_DUE),
        days=(today, today + LATEST_DUE),
        key=secrets.token_urlsafe(12),
        fault=fault,
    )


class _Trigger(Strict):
    model_config = ConfigDict(extra="ignore")

    path: str


class _Triggers(Strict):
    model_config = ConfigDict(extra="ignore")

    triggers: dict[str, _Trigger]


def _trigger_paths(workspace: Workspace) -> Mapping[str, _Trigger]:
    """Return the triggers of the workspace; none where they cannot be read: a page only quotes them."""
    try:
        return workspace.load("serving", "triggers.toml", _Triggers).triggers
    except ConfigError:
        return {}
