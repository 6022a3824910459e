"""Webhooks: signed as the specification says, in order, at least once, and only to the outside."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from published_company import AS_OF, NOW, action, company

from lifecycle_ml.actions.action import ActionEvent
from lifecycle_ml.actions.ledger import Complete
from lifecycle_ml.service import webhooks
from lifecycle_ml.service.webhooks import (
    MOST_ATTEMPTS,
    Answer,
    ForbiddenAddressError,
    deliver,
    is_public,
    post,
    resolve,
    sign,
)
from lifecycle_ml.settings import Webhook
from lifecycle_ml.store.outbox import LEASE, Delivery, NoSuchDeliveryError, Outbox

SECRET = b"a secret of twenty-four bytes and more"
CRM = Webhook("crm", "https://crm.example/hooks", (SECRET,))


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent; answers what it was told to, then 204."""

    answers: ClassVar[list[tuple[int, dict[str, str]]]] = []
    taken: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
        status, headers = type(self).answers.pop(0) if type(self).answers else (204, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def receiver():
    """A receiver on this machine."""
    Receiver.answers, Receiver.taken = [], []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Webhook("crm", f"http://127.0.0.1:{server.server_port}/hooks?of=us", (SECRET,), private=True)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["sqlite", "postgres"])
def settings(settings, request, store_url):
    """The outbox is part of the store: whatever uses it is tested on both databases."""
    return replace(settings, store_url=store_url(request.param))


@pytest.fixture
def outbox(published, settings):
    """The outbox of the published company: three actions of two accounts were opened at NOW."""
    opened = Outbox.open(settings.store_url)
    yield opened
    opened.close()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, at=NOW):
        self.at = at

    def __call__(self):
        return self.at

    def later(self, **by):
        self.at += timedelta(**by)
        return self


class Taker:
    """Stands in for the network: takes everything, or answers as it was told."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.taken = []

    def __call__(self, _webhook, delivery, _now):
        answer = self.answers.pop(0) if self.answers else Answer(204)
        self.taken.append(delivery)
        if isinstance(answer, Exception):
            raise answer
        return answer


def run(outbox, clock, taker, *hooks):
    """One run of deliveries, waits without jitter."""
    return deliver(outbox, hooks or (CRM,), clock, send=taker, jitter=lambda: 0.5)


def test_the_signature_is_that_of_the_specification():
    """The example of the Standard Webhooks specification."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    header = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_happened_is_sent_signed_and_once(outbox, receiver):
    """Each event of the ledger, verified by the receiver; a second run sends nothing."""
    done = deliver(outbox, [receiver], Clock())

    assert done.sent == {"crm": 3}
    for headers, body in Receiver.taken:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{mac}"
        document = json.loads(body)
        assert (document["type"], document["timestamp"]) == ("action.opened", "2026-06-30T02:00:00Z")
    assert len({headers["webhook-id"] for headers, _ in Receiver.taken}) == 3
    assert deliver(outbox, [receiver], Clock()).sent == {}
    assert len(Receiver.taken) == 3


def test_a_receiver_that_fails_gets_the_same_event_again_later(outbox, receiver):
    """Same id and body, a new timestamp and signature; nothing before its time."""
    Receiver.answers = [(500, {}), (503, {})]
    clock = Clock()
    assert deliver(outbox, [receiver], clock).failed == {"crm": 2}
    assert deliver(outbox, [receiver], clock).sent == {}
    assert len(Receiver.taken) == 2

    assert deliver(outbox, [receiver], clock.later(hours=1)).sent == {"crm": 3}
    (first, body), (again, body_again) = (
        each for each in Receiver.taken if each[0]["webhook-id"] == Receiver.taken[0][0]["webhook-id"]
    )
    assert body == body_again
    assert int(again["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600
    assert again["webhook-signature"] != first["webhook-signature"]


def test_a_redirect_is_not_followed(outbox, receiver):
    """Where it leads nobody has checked: one request for each of the two accounts, and both failed."""
    Receiver.answers = [(302, {"Location": receiver.url})] * 2
    done = deliver(outbox, [receiver], Clock())

    assert (done.sent, done.failed, done.errors) == ({}, {"crm": 2}, {"crm": "answered 302"})
    assert len(Receiver.taken) == 2


def test_an_account_is_told_in_order(outbox, store):
    """While its first event waits, its second does; other accounts go on."""
    store.tell("act-1", Complete(), "Maya", NOW + timedelta(hours=1))
    clock, taker = Clock(NOW + timedelta(hours=2)), Taker(Answer(500))
    run(outbox, clock, taker)
    first = taker.taken[0]
    told = [(each.account_id, each.event_id) for each in taker.taken]
    assert [account for account, _ in told].count(first.account_id) == 1

    run(outbox, clock.later(hours=1), taker)
    mine = [each.event_id for each in taker.taken if each.account_id == first.account_id]
    assert mine == sorted(mine)
    assert mine[0] == mine[1] == first.event_id
    assert len(set(mine)) == len(mine) - 1


def test_exactly_what_the_ledger_says_is_sent(outbox, store):
    """Opened, escalated and ended; not what people do in between."""
    store.tell("act-1", Complete("agreed"), "Maya", NOW)
    late = action("act-2", escalates_to="vp_cs", escalates_at=None)
    publication = store.begin(AS_OF + timedelta(days=1), NOW, NOW + timedelta(days=1))
    store.write_readings(publication, company())
    store.publish(publication, [ActionEvent("escalated", NOW, late, "past due: told cs_lead")])
    taker = Taker()
    run(outbox, Clock(NOW + timedelta(hours=1)), taker)

    told = sorted(
        (each.document["type"], each.document["data"]["action"]["action_id"]) for each in taker.taken
    )
    assert told == [
        ("action.closed", "act-1"),
        ("action.escalated", "act-2"),
        ("action.opened", "act-1"),
        ("action.opened", "act-2"),
        ("action.opened", "act-3"),
    ]
    closed = next(each.document["data"] for each in taker.taken if each.document["type"] == "action.closed")
    assert (closed["event"], closed["because"], closed["by"]) == ("done", "agreed", "Maya")


def test_what_always_fails_is_given_up_listed_and_sent_again_when_asked(outbox):
    """After fifteen attempts; then only by its id."""
    clock, taker = Clock(), Taker(*[OSError("connection refused")] * 1000)
    for _ in range(100):
        run(outbox, clock, taker)
        clock.later(hours=12)
    dead = outbox.dead()

    assert len(dead) == 3
    assert len(taker.taken) == 3 * MOST_ATTEMPTS
    assert {(each.attempts, each.error) for each in dead} == {(MOST_ATTEMPTS, "OSError: connection refused")}
    taker.answers = []
    assert run(outbox, clock, taker).sent == {}
    assert outbox.retry(dead[0].message_id, clock.at) == 1
    assert run(outbox, clock, taker).sent == {"crm": 1}
    with pytest.raises(NoSuchDeliveryError, match="lifecycle deliver --dead"):
        outbox.retry(dead[0].message_id, clock.at)


def test_the_wait_grows_and_heeds_what_the_receiver_asks():
    """Doubling from a minute, jitter from half to half as much again, Retry-After at most a day."""
    waits = [webhooks._again_at(failed(at), None, NOW, 0.5) - NOW for at in range(MOST_ATTEMPTS - 1)]

    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert waits[-1] == timedelta(hours=12)
    assert webhooks._again_at(failed(0), None, NOW, 0.0) - NOW == timedelta(seconds=30)
    assert webhooks._again_at(failed(0), Answer(429, timedelta(hours=3)), NOW, 0.5) == NOW + timedelta(
        hours=3
    )
    assert webhooks._again_at(failed(0), Answer(429, timedelta(days=9)), NOW, 0.5) == NOW + timedelta(days=1)
    assert webhooks._again_at(failed(0), Answer(410), NOW, 0.5) is None
    assert webhooks._again_at(failed(MOST_ATTEMPTS - 1), None, NOW, 0.5) is None


def failed(attempts):
    """A delivery after so many attempts."""
    return Delivery("crm", 1, "evt_1", "A", attempts, {"type": "action.opened"}, NOW, None)


def test_an_address_that_is_down_is_left_alone_for_the_run(outbox, store):
    """Three failures in a row, not one time-out for each of a thousand accounts."""
    many = [action(f"more-{at}", f"B-{at}") for at in range(9)]
    publication = store.begin(AS_OF + timedelta(days=1), NOW, NOW)
    store.publish(publication, [ActionEvent("opened", NOW, each) for each in many])
    taker = Taker(*[OSError("down")] * 100)
    run(outbox, Clock(), taker)

    assert len(taker.taken) == 3
    assert sum(outbox.waiting().values()) == 12


def test_a_run_that_was_killed_loses_nothing(outbox):
    """What it had taken in hand is due again after its lease, and not before."""
    outbox.take_over(["crm"], NOW)
    first = outbox.claim("crm", NOW, 10)
    assert outbox.claim("crm", NOW, 10) == []

    again = outbox.claim("crm", NOW + LEASE, 10)
    assert [each.message_id for each in again] == [each.message_id for each in first]


def test_a_new_address_gets_the_last_day_and_every_address_all(outbox):
    """Not the whole past; and one that is added later has a place of its own."""
    taker = Taker()
    run(outbox, Clock(NOW + timedelta(hours=23)), taker)
    assert len(taker.taken) == 3

    other = Webhook("data", "https://data.example/", (SECRET,))
    run(outbox, Clock(NOW + timedelta(hours=23)), taker, CRM, other)
    assert [each.endpoint for each in taker.taken[3:]] == ["data"] * 3
    assert {each.message_id for each in taker.taken[3:]} == {each.message_id for each in taker.taken[:3]}
    late = Webhook("late", "https://late.example/", (SECRET,))
    run(outbox, Clock(NOW + timedelta(days=2)), taker, late)
    assert len(taker.taken) == 6


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.9.9",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_are_not_public(address):
    """Also where IPv6 carries them."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are(address):
    """Everything else."""
    assert is_public(address)


def test_a_name_that_leads_inside_is_not_connected_to(monkeypatch):
    """Not even if only one of its addresses does; unless it is said to be meant."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.216.34", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)

    with pytest.raises(ForbiddenAddressError, match=r"crm\.example leads to 10\.0\.0\.1"):
        resolve("crm.example", 443, private=False)
    assert resolve("crm.example", 443, private=True) == "93.184.216.34"


def test_what_leads_inside_counts_as_failed(outbox, receiver):
    """It is said with what to do, and tried again like anything else."""
    inside = Webhook("crm", receiver.url, (SECRET,), private=False)
    done = deliver(outbox, [inside], Clock())

    assert "LIFECYCLE_WEBHOOKS_PRIVATE" in done.errors["crm"]
    assert Receiver.taken == []


def test_tls_is_verified(receiver, tmp_path):
    """Who cannot prove to be the host is told nothing: here a certificate nobody trusts."""
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(
        [*made, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.handle_error = lambda *_: None
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        over_tls = Webhook("crm", f"https://127.0.0.1:{server.server_port}/", (SECRET,), private=True)
        with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
            post(over_tls, failed(0), NOW)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert Receiver.taken == []


def test_two_runs_beside_each_other_send_each_event_once(outbox, settings):
    """What one has taken in hand the other leaves alone."""
    beside = Outbox.open(settings.store_url)
    mine, other = Taker(), Taker()

    def both(webhook, delivery, now):
        deliver(beside, [CRM], Clock(), send=other, jitter=lambda: 0.5)
        return mine(webhook, delivery, now)

    deliver(outbox, [CRM], Clock(), send=both, jitter=lambda: 0.5)
    beside.close()
    ids = [each.message_id for each in (*mine.taken, *other.taken)]

    assert len(ids) == len(set(ids)) == 3
