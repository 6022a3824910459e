"""The service killed among writes that are then repeated, and two workers asked by many at once.

`LIFECYCLE_TEST_WRITES=1000 pytest tests/functional/test_service_killed.py` does it at full size.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event, Lock

import httpx
import pytest

from lifecycle_ml.actions.action import Action, ActionEvent
from lifecycle_ml.store.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("service_killed")]

WRITES = int(os.environ.pop("LIFECYCLE_TEST_WRITES", "200"))
CLIENTS = 50
NOW = datetime(2026, 6, 30, 2)
KEY = "k" * 24


def fill(url: str, actions: int) -> None:
    """Publish open actions, act-0 and so on."""
    opened = [
        Action(
            action_id=f"act-{number}",
            account_id=f"A-{number % 7}",
            playbook="red.unknown",
            step="call",
            title="Call",
            owner_role="csm",
            owner=None,
            opened_at=NOW,
            due_at=NOW + timedelta(days=2),
            why="it is red",
            escalates_to=None,
            escalates_at=None,
            status="open",
            arr_kept_per_hour=float(number),
        )
        for number in range(actions)
    ]
    with closing(Store.open(url)) as store:
        publication = store.begin(as_of=date(2026, 6, 30), known_at=NOW, now=NOW)
        store.publish(publication, [ActionEvent("opened", NOW, each) for each in opened])


def ledger(url: str) -> list[dict]:
    """What happened after the actions were opened."""
    with closing(Store.open(url)) as store:
        lines = [line for number in range(7) for line in store.ledger(f"A-{number}")]
    return [line for line in lines if line["kind"] != "opened"]


class Worker:
    """`lifecycle serve` in a process of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        (folder / "serving").mkdir(exist_ok=True)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [str(Path(sys.executable).with_name("lifecycle")), "serve", "--port", str(port)]
        environ = os.environ | {"LIFECYCLE_STORE_URL": url, "LIFECYCLE_API_KEYS": f"act:{KEY}"}
        with (folder / f"{port}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--workspace", str(folder)], env=environ, stdout=log, stderr=subprocess.STDOUT
            )
        for _ in range(1_200):
            try:
                if httpx.get(f"{self.address}/healthz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, (folder / f"{port}.log").read_text()
                time.sleep(0.1)
        self.kill()
        raise AssertionError("the service did not start")

    def kill(self) -> None:
        """End it as a lost machine would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)


def complete(client: httpx.Client, address: str, number: int) -> httpx.Response:
    """Complete an action under a key of its own."""
    return client.post(
        f"{address}/v1/actions/act-{number}/complete",
        json={"note": f"note {number}"},
        headers={"X-API-Key": KEY, "Idempotency-Key": f"write-{number}"},
        timeout=60,
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_every_write_counts_once_though_the_service_is_killed_among_them(tmp_path, new_store_url, kind):
    """Half are answered when it dies, eight are under way; sent again, all have the answers they had."""
    url = new_store_url(kind)
    fill(url, WRITES)
    worker = Worker(tmp_path, url)
    answered: dict[int, dict] = {}
    lost: list[int] = []
    lock, half = Lock(), Event()

    def write(number: int) -> None:
        try:
            answer = complete(client, worker.address, number)
        except httpx.TransportError:
            with lock:
                lost.append(number)
            return
        assert answer.status_code == 200
        with lock:
            answered[number] = answer.json() | {"request_id": None}
            if len(answered) >= WRITES // 2:
                half.set()

    with httpx.Client() as client, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(write, number) for number in range(WRITES)]
        assert half.wait(600)
        worker.kill()
        for each in asked:
            each.result()
    assert lost
    assert len(answered) >= WRITES // 2

    again = Worker(tmp_path, url)
    try:
        with httpx.Client() as client:
            for number in range(WRITES):
                answer = complete(client, again.address, number)
                assert answer.status_code == 200
                said = answer.json() | {"request_id": None}
                assert answered.get(number, said) == said
    finally:
        again.kill()
    done = Counter(line["action_id"] for line in ledger(url))
    assert done == {f"act-{number}": 1 for number in range(WRITES)}
    with closing(Store.open(url)) as store:
        assert store.open_actions() == []
        assert Counter(entry.target for entry in store.audit_log(limit=10 * WRITES)) == done


def test_two_workers_and_fifty_clients_on_one_queue(tmp_path, new_store_url):
    """Each client wants every action: one gets it, the others are told; no assignment is lost."""
    url, queue = new_store_url("postgres"), max(6, WRITES // 20)
    fill(url, queue + 1)
    shared = f"act-{queue}"
    workers = [Worker(tmp_path, url) for _ in range(2)]
    try:
        with httpx.Client() as client, ThreadPoolExecutor(CLIENTS) as pool:

            def work(number: int) -> Counter[tuple[str, int]]:
                found: Counter[tuple[str, int]] = Counter()
                for action in [f"act-{(number + step) % queue}" for step in range(queue)] + [shared]:
                    verb, body = (
                        ("assign", {"owner": f"client {number}"}) if action == shared else ("complete", {})
                    )
                    answer = client.post(
                        f"{workers[number % 2].address}/v1/actions/{action}/{verb}",
                        json=body,
                        headers={"X-API-Key": KEY, "Idempotency-Key": f"{number} {action}"},
                        timeout=120,
                    )
                    found[action, answer.status_code] += 1
                return found

            told = sum(pool.map(work, range(CLIENTS)), Counter())
    finally:
        for worker in workers:
            worker.kill()
    for number in range(queue):
        assert told[f"act-{number}", 200] == 1
        assert told[f"act-{number}", 409] == CLIENTS - 1
    assert told[shared, 200] == CLIENTS
    kinds = Counter((line["action_id"], line["kind"]) for line in ledger(url))
    assert kinds == {(f"act-{number}", "done"): 1 for number in range(queue)} | {
        (shared, "assigned"): CLIENTS
    }
    last = max(
        (line for line in ledger(url) if line["kind"] == "assigned"), key=lambda line: line["event_id"]
    )
    with closing(Store.open(url)) as store:
        assert [each.owner for each in store.open_actions()] == [last["action"]["owner"]]
