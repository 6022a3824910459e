"""Commands that read what was published: explain, actions, and who needs someone today."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import Any

from lifecycle_ml.actions.action import LIVE, UNFINISHED
from lifecycle_ml.actions.next_hour import next_hours
from lifecycle_ml.cli.clock import run_clock
from lifecycle_ml.cli.queue import show_next_hours
from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError
from lifecycle_ml.settings import Settings
from lifecycle_ml.store.document import join_live
from lifecycle_ml.store.rows import AccountFilters, ActionFilters, Listed
from lifecycle_ml.store.store import Store

NEED_SOMEONE = AccountFilters(health=("red", "yellow"))


def explain(settings: Settings, account: str, as_of: date | None, *, as_json: bool) -> None:
    """Show one scored account. Raises: ConfigError where it has no reading."""
    with closing(Store.open(settings.store_url)) as store:
        answers = store.answers([account], as_of)
        renewal, starts = store.renewal(account, as_of), store.onboarding_start(account, as_of)
        latest = store.current()
        stranger = account not in answers.bodies and account not in answers.unscored
        meant = store.meant_by(account) if stranger else ""
    if latest is None:
        raise ConfigError("nothing is published; run `lifecycle run` first.")
    if answers.publication is None:
        raise ConfigError(
            f"nothing is published as of {as_of}; the last publication is of {latest.as_of}. "
            f"`lifecycle run --as-of {as_of}` makes one of that day."
        )
    if account not in answers.bodies:
        why = answers.unscored.get(account, "no account of that id is known.")
        raise ConfigError(
            f"account {account!r} has no reading as of {answers.publication.as_of}: {why}{meant}"
        )
    now = run_clock(None, answers.publication.as_of)
    document = join_live(answers.bodies[account], answers.live(account, now))
    if as_json:
        say_json(document)
    else:
        _tell(document, answers.names.get(account), renewal, starts)


def _tell(
    document: dict[str, Any],
    name: str | None,
    renewal: dict[str, Any] | None,
    starts: list[dict[str, Any]],
) -> None:
    """Say the account in the order a reader asks: how is it, why, what to do, what is missing."""
    health = document["health"]
    before = f", before that {health['previous']}" if health["previous"] else ""
    say(
        f"{name or document['account_id']} ({document['account_id']}) is {health['color'].upper()} "
        f"since {health['since']}{before}"
    )
    if health["override"] is not None:
        own = health["override"]
        say(f"{own['by']} sees it {own['color'].upper()} until {own['until']}: {own['reason']}")
    if health["sentiment"] is not None:
        felt = health["sentiment"]
        say(f"Feels {felt['value']} to {felt['by']} ({felt['at'][:10]})")
    say(f"Stage: {document['stage'].replace('_', '-')}")
    say(f"Churn risk: {_odds(document['churn'])}")
    if document["expansion"]["band"] is not None:
        say(f"Expansion: {_odds(document['expansion'])}")
    say("")
    say("Why")
    for reason in document["reasons"]:
        share = "" if reason["share"] is None else f" ({reason['share']:.0%} likely)"
        say(f"  {reason['label']}{share}, owned by {reason['owner_role']}")
        for item in reason["evidence"]:
            say(f"    - {item['says']}")
    if document["in_favour"]:
        say("In its favour")
        for item in document["in_favour"]:
            say(f"  - {item['says']}")
    if document["triggers"]:
        say("Signs of expansion")
        for trigger in document["triggers"]:
            say(f"  - {trigger['says']} ({trigger['owner_role']})")
    if document["actions"]:
        say("What to do")
        following = document["scorecard"]["next_action"]
        if following not in (None, *(action["title"] for action in document["actions"])):
            say(f"  {following}")
        for action in document["actions"]:
            say(
                f"  - {action['title']}: {action['owner'] or action['owner_role']}, "
                f"due {action['due_at'][:10]}; {_escalation(action)}"
                if action["status"] != "held_out"
                else f"  - {action['title']}"
            )
    if starts:
        say("Before onboarding starts")
        for one in starts:
            met = {True: "yes", False: f"no. {one['says']}", None: "cannot tell"}[one["met"]]
            say(f"  - {one['label']}: {met}")
    if renewal is not None and renewal["checkpoints"]:
        _tell_renewal(renewal)
    if health["recovers_when"]:
        say("Back to green when")
        for item in health["recovers_when"]:
            mark = "met" if item["met"] else "not met"
            now, needed = _figure(item["now"]), _figure(item["needed"])
            say(f"  - {item['criterion']}: now {now}, needed {needed} ({mark})")
    if health["what_would_help"]:
        say("What would bring the risk down, as the model sees it")
        for item in health["what_would_help"]:
            say(f"  - {_help(item)}")
    say("")
    say(f"as of {document['as_of']}, receipt {document['receipt']}")


def _tell_renewal(renewal: dict[str, Any]) -> None:
    """Say what each checkpoint wants to be true, and whether it is."""
    say(f"On the way to the renewal on {renewal['renewal_on']}")
    for each in renewal["checkpoints"]:
        done = f", done {each['done_on']}" if each["done_on"] else ""
        say(f"  - {each['checkpoint']} days ({each['falls_on']}, {each['state']}{done}){_wanted(each)}")


def _wanted(checkpoint: dict[str, Any]) -> str:
    said = []
    for one in checkpoint["evidence"]:
        if one["there"]:
            said.append(f"{one['label']} ({one['seen_in']}, {one['on']})")
        elif one["there"] is None:
            said.append(f"cannot tell: {one['label']}")
        else:
            said.append(f"{'to come' if checkpoint['state'] == 'ahead' else 'missing'}: {one['label']}")
    return f": {'; '.join(said)}" if said else ""


def _odds(score: dict[str, Any]) -> str:
    if score["probability"] is None:
        return f"{score['band']} (from rules)"
    odds = ", ".join(f"{item['probability']:.0%} in {item['days']} days" for item in score["by_horizon"])
    return f"{score['band']}; {odds}; {score['lift']:.1f} times the average"


def _escalation(action: dict[str, Any]) -> str:
    if action["escalates_at"] is None:
        return "nobody else is told"
    return f"else {action['escalates_to']} hears of it on {action['escalates_at'][:10]}"


def _help(item: dict[str, Any]) -> str:
    chance = item["probability"]
    risk = "" if chance is None else f": risk {chance:.0%}" if chance >= 0.0995 else f": risk {chance:.1%}"
    step = "" if item["step"] is None else f" ({item['step']})"
    return f"{item['change']}{risk}{step}"


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.4g}"


def actions(settings: Settings, owner: str | None, *, as_json: bool) -> None:
    """List unfinished actions, most ARR kept per hour first, and what one more hour would bring."""
    filters = ActionFilters(status=LIVE, owner=(owner,) if owner else ())
    with closing(Store.open(settings.store_url)) as store:
        if store.current() is None:
            raise ConfigError("nothing is published; run `lifecycle run` first.")
        page = store.list_actions(filters, limit=100_000 if as_json else 50)
        beyond = [each for each in next_hours(store.waiting()) if each.concerns((owner,) if owner else ())]
    if as_json:
        say_json({"actions": page.rows, "next_hour": [each.to_json() for each in beyond]})
        return
    if not page.rows:
        say("No unfinished actions." if owner is None else f"No unfinished actions of {owner!r}.")
        return
    show_table(
        "Unfinished actions",
        ["account", "action", "owner", "due", "escalates to", "on", "status"],
        [
            [
                row["account_id"],
                row["title"],
                row["owner"] or row["owner_role"],
                f"{row['due_at']:%Y-%m-%d}" if row["due_at"] else None,
                row["escalates_to"],
                f"{row['escalates_at']:%Y-%m-%d}" if row["escalates_at"] else None,
                row["status"],
            ]
            for row in page.rows
        ],
    )
    show_next_hours(beyond)


def show_today(settings: Settings, most: int) -> None:
    """Show the accounts that need someone today: red before yellow, most ARR at risk first."""
    with closing(Store.open(settings.store_url)) as store:
        page = store.list_accounts(NEED_SOMEONE, limit=500)
        if all(row.arr_at_risk is None for row in page.rows):  # no contracts, so no ARR to order by
            page = store.list_accounts(NEED_SOMEONE, "risk", limit=500)
    if not page.rows:
        say("No account is red or yellow.")
        return
    first = sorted(page.rows, key=lambda row: row.health != "red")[:most]
    rows = [_row(row, page.actions.get(row.account_id, [])) for row in first]
    show_table(
        f"The {len(rows)} accounts that need someone today",
        ["account", "health", "at risk", "reason", "action", "owner", "due"],
        rows,
        right=["at risk"],
    )


def _row(listed: Listed, live: list[dict[str, Any]]) -> list[object]:
    todo = [action for action in live if action["status"] in UNFINISHED]
    step = min(todo, key=lambda action: action["due_at"]) if todo else None
    # the reason the work was opened for: what is seen today may already be another one
    reason = step["playbook"].rsplit("_", 1)[0] if step else (listed.reason or "unknown")
    return [
        f"{listed.account_id} {listed.name or ''}".strip(),
        listed.health,
        None if listed.arr_at_risk is None else f"{listed.arr_at_risk:,.0f}",
        reason.replace("_", " "),
        step and step["title"],
        step and (step["owner"] or step["owner_role"]),
        step and f"{step['due_at']:%Y-%m-%d}",
    ]


def first_account(settings: Settings) -> str:
    """Return the account with most ARR at risk, for examples."""
    with closing(Store.open(settings.store_url)) as store:
        page = store.list_accounts(limit=1)
    account_id: str = page.rows[0].account_id
    return account_id
