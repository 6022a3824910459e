"""The command that tells other systems what happened to actions: deliver."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lifecycle_ml.cli.screen import say, say_json, show_table
from lifecycle_ml.errors import ConfigError

if TYPE_CHECKING:
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.store.outbox import Outbox


def deliver(settings: Settings, *, dead: bool, retry: str | None, as_json: bool) -> None:
    """Send what is due, or list what was given up, or make one of those due again.

    Raises: ConfigError where no webhook is set, NoSuchDeliveryError where there is nothing to retry.
    """
    from lifecycle_ml.service.webhooks import deliver as send_due
    from lifecycle_ml.store.outbox import Outbox

    with closing(Outbox.open(settings.store_url)) as outbox:
        if retry is not None:
            count = outbox.retry(retry, _now())
            times = "one address" if count == 1 else f"{count} addresses"
            say(f"{retry} is due again for {times}; `lifecycle deliver` sends it.")
        if dead:
            _show_dead(outbox, as_json=as_json)
        if dead or retry is not None:
            return
        if not settings.webhooks:
            raise ConfigError(
                "no webhook is set: LIFECYCLE_WEBHOOKS names the addresses, LIFECYCLE_WEBHOOK_SECRETS what "
                "they are signed with (docs/how-to/send-webhooks.md)."
            )
        done = send_due(outbox, settings.webhooks, _now)
        waiting = outbox.waiting()
    if as_json:
        say_json(done.to_json() | {"waiting": waiting})
        return
    for webhook in settings.webhooks:
        name = webhook.name
        failed, given_up = done.failed[name], done.dead[name]
        told = f"{name}: {done.sent[name]:,} sent"
        told += f", {failed:,} failed and due again later" if failed else ""
        told += f", {given_up:,} given up (`lifecycle deliver --dead`)" if given_up else ""
        told += f", {waiting[name]:,} waiting" if waiting.get(name) else ""
        say(told + "." + (f" Last error: {done.errors[name]}." if name in done.errors else ""))


def _show_dead(outbox: Outbox, *, as_json: bool) -> None:
    given_up = outbox.dead()
    rows = [
        {
            "id": each.message_id,
            "endpoint": each.endpoint,
            "account_id": each.account_id,
            "type": each.document["type"],
            "attempts": each.attempts,
            "last_error": each.error,
            "last_tried_at": f"{each.changed_at:%Y-%m-%d %H:%M}",
        }
        for each in given_up
    ]
    if as_json:
        say_json(rows)
    elif not rows:
        say("Nothing was given up.")
    else:
        show_table(
            "Given up", [name.replace("_", " ") for name in rows[0]], [[*row.values()] for row in rows]
        )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
