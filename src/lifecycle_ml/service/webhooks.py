"""Telling other systems what happened to actions: signed, retried, in order, and never to the wrong machine.

Headers and signature follow the Standard Webhooks specification, so that its libraries verify them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import random
import socket
import ssl
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from lifecycle_ml.store.document import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lifecycle_ml.settings import Webhook
    from lifecycle_ml.store.outbox import Delivery, Outbox

MOST_ATTEMPTS: Final = 15
"""Attempts until a delivery is given up: after almost three days."""
FIRST_WAIT: Final = timedelta(minutes=1)
LONGEST_WAIT: Final = timedelta(hours=12)
ASKED_WAIT: Final = timedelta(days=1)
"""The longest wait a receiver may ask for."""
CONNECTS_IN: Final = 5.0
ANSWERS_IN: Final = 10.0
GIVES_UP_AFTER: Final = 3
"""Failures in a row after which an address is left alone until the next run."""
BATCH: Final = 50
GONE: Final = 410


class ForbiddenAddressError(Exception):
    """The address leads to this machine or a private network, and nobody allowed that."""


@dataclass(frozen=True)
class Answer:
    """What a receiver answered: its status, and how long it asks to be left alone (None: it does not)."""

    status: int
    wait: timedelta | None = None


@dataclass
class Delivered:
    """What a run of deliveries came to, by address. A failed one is tried again; a dead one was given up."""

    sent: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    errors: dict[str, str] = field(default_factory=dict)
    """The last error of each address that had one."""

    def to_json(self) -> dict[str, Any]:
        """Return the document of `deliver --json`."""
        return {
            "sent": dict(self.sent),
            "failed": dict(self.failed),
            "dead": dict(self.dead),
            "errors": self.errors,
        }


def deliver(
    outbox: Outbox,
    webhooks: Sequence[Webhook],
    clock: Callable[[], datetime],
    *,
    send: Callable[[Webhook, Delivery, datetime], Answer] | None = None,
    jitter: Callable[[], float] = random.random,
) -> Delivered:
    """Take over what happened and send everything that is due; `clock` gives naive UTC.

    What fails is due again after a wait that doubles, with jitter, and is given up after `MOST_ATTEMPTS`, or
    at once where the receiver says it is gone. An address that fails three times in a row is left alone until
    the next run. Two runs beside each other share the work: each delivery is leased to one of them.
    """
    send = send or post
    outbox.take_over([each.name for each in webhooks], clock())
    done = Delivered()
    for webhook in webhooks:
        _deliver_to(webhook, outbox, clock, send, jitter, done)
    return done


def _deliver_to(
    webhook: Webhook,
    outbox: Outbox,
    clock: Callable[[], datetime],
    send: Callable[[Webhook, Delivery, datetime], Answer],
    jitter: Callable[[], float],
    done: Delivered,
) -> None:
    in_a_row = 0
    while claimed := outbox.claim(webhook.name, clock(), BATCH):
        for delivery in claimed:
            if in_a_row >= GIVES_UP_AFTER:
                outbox.put_back(delivery, clock())
                continue
            error, answer = _attempt(webhook, delivery, clock(), send)
            if error is None:
                outbox.sent(delivery, clock())
                done.sent[webhook.name] += 1
                in_a_row = 0
                continue
            again_at = _again_at(delivery, answer, clock(), jitter())
            outbox.failed(delivery, error, clock(), again_at)
            (done.dead if again_at is None else done.failed)[webhook.name] += 1
            done.errors[webhook.name] = error
            in_a_row += 1
        if in_a_row >= GIVES_UP_AFTER:
            return


def _attempt(
    webhook: Webhook,
    delivery: Delivery,
    now: datetime,
    send: Callable[[Webhook, Delivery, datetime], Answer],
) -> tuple[str | None, Answer | None]:
    """Send once; return what went wrong (None: nothing) and the answer, if there was one."""
    try:
        answer = send(webhook, delivery, now)
    except ForbiddenAddressError as error:
        return str(error), None
    except (OSError, http.client.HTTPException) as error:
        # the text of an SSL error or a refused connection names no secret
        return f"{type(error).__name__}: {error}"[:500], None
    if 200 <= answer.status < 300:
        return None, answer
    return f"answered {answer.status}", answer


def _again_at(delivery: Delivery, answer: Answer | None, now: datetime, jitter: float) -> datetime | None:
    if delivery.attempts + 1 >= MOST_ATTEMPTS or (answer is not None and answer.status == GONE):
        return None
    wait: timedelta = min(FIRST_WAIT * 2 ** min(delivery.attempts, 20), LONGEST_WAIT) * (0.5 + jitter)
    if answer is not None and answer.wait is not None:
        wait = max(wait, min(answer.wait, ASKED_WAIT))
    return now + wait


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature header: one HMAC-SHA256 per secret over id, timestamp and body."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    macs = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)


def post(webhook: Webhook, delivery: Delivery, now: datetime) -> Answer:
    """Send one event and return the answer. Redirects are not followed: they count as a refusal.

    The name is resolved once, checked, and connected to as it was checked, so that it cannot come to mean
    another machine in between. Raises: ForbiddenAddressError, OSError, http.client.HTTPException.
    """
    parts = urlsplit(webhook.url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    body = dumps(delivery.document)
    timestamp = int(now.replace(tzinfo=UTC).timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "lifecycle_ml",
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(webhook.secrets, delivery.message_id, timestamp, body),
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _Pinned(
        host, port, resolve(host, port, private=webhook.private), tls=parts.scheme == "https"
    )
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, _asked_wait(answer.getheader("Retry-After")))
    finally:
        connection.close()


def resolve(host: str, port: int, *, private: bool) -> str:
    """Return the IP address to connect to.

    Raises: ForbiddenAddressError if any address of the host lies on this machine or a private network, unless
    `private`; OSError where the name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    for address in addresses:
        if not private and not is_public(address):
            raise ForbiddenAddressError(
                f"{host} leads to {address}, on this machine or a private network; name the webhook in "
                "LIFECYCLE_WEBHOOKS_PRIVATE if that is meant"
            )
    return addresses[0]


_CARRIES_V4: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open Internet, also looking into IPv6 forms that carry an IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _CARRIES_V4:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _asked_wait(header: str | None) -> timedelta | None:
    """Return the wait of a Retry-After header in seconds; a date, or anything else, is no wait."""
    return timedelta(seconds=int(header)) if header and header.isdigit() and len(header) < 8 else None


class _Pinned(http.client.HTTPConnection):
    """A connection to one checked IP address that speaks to, and verifies, the host it was resolved from."""

    def __init__(self, host: str, port: int, address: str, *, tls: bool) -> None:
        super().__init__(host, port, timeout=ANSWERS_IN)
        self._address, self._tls = address, tls
        self.default_port = 443 if tls else 80

    def connect(self) -> None:
        """Connect to the address, with TLS verified against the host's name."""
        plain = socket.create_connection((self._address, self.port), CONNECTS_IN)
        try:
            plain.settimeout(ANSWERS_IN)
            if self._tls:
                self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
            else:
                self.sock = plain
        except BaseException:
            plain.close()
            raise
