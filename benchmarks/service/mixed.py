"""Mixed load while a nightly run publishes and a champion is promoted; nothing may break, tear or grow.

    python -m benchmarks.service --part mixed --seconds 600

Four clients ask in turn for scores (one and 200), lists, the queue and what-ifs, and complete actions, on a
copy of the demo company. Meanwhile `lifecycle score` publishes again and again: with the same bag promoted
under another digest, with a broken bundle promoted (the champion before it serves), and with the first one.
Each publication is asked about before the next one is made. `tests/functional/test_service_under_load.py`
puts the same load on for some seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

import httpx
import psutil
from benchmarks.one_scan.measuring import Report
from benchmarks.service.servers import KEY, Server, demo_environ, lifecycle

from lifecycle_ml.models.bundle import load
from lifecycle_ml.workspace import standard_root

CLIENTS = 4
KINDS = 8
"""Kinds of calls a client makes in turn."""
PATIENCE = 120.0
PUBLISHED = "published"
SETTLES = 0.34
"""Share of the time after which memory should grow no more: caches are full, libraries loaded."""


@dataclass
class Seen:
    """What the clients saw."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    torn: list[str] = field(default_factory=list)
    models: dict[int, set[str]] = field(default_factory=dict)
    """By publication the digests its accounts were scored with: one each."""
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the start, and bytes the service holds."""
    runs: Counter[str] = field(default_factory=Counter)
    """What became of the runs meanwhile: published, or why not."""
    lock: Lock = field(default_factory=Lock)

    @property
    def broken(self) -> dict[str, int]:
        """Return how many calls of each kind met a fault of ours."""
        return {f"{path} {status}": n for (path, status), n in self.statuses.items() if status >= 500}

    def growth(self, seconds: float) -> float:
        """Return how much larger the median of the last third is than that of the second."""
        middle = [size for at, size in self.memory if SETTLES * seconds <= at < 2 * SETTLES * seconds]
        last = [size for at, size in self.memory if at >= 2 * SETTLES * seconds]
        if not middle or not last:
            return 0.0
        return sorted(last)[len(last) // 2] / sorted(middle)[len(middle) // 2] - 1


def mixed(demo: Path, report: Report, seconds: float) -> Seen:
    """Run the load and say what was seen."""
    with copy_of(demo) as company, lifecycle(company, standard_root()) as server:
        seen = put_load(server, company, seconds, score_again)
    found = {
        "part": "mixed",
        "seconds": seconds,
        "calls": seen.statuses.total(),
        "statuses": {f"{path} {status}": count for (path, status), count in sorted(seen.statuses.items())},
        "broken": seen.broken,
        "torn": seen.torn[:5],
        "publications": len(seen.models),
        "digests": len(set().union(*seen.models.values())) if seen.models else 0,
        "runs": dict(seen.runs),
        "memory_mib": [round(size / 2**20) for _, size in seen.memory[:: max(1, len(seen.memory) // 10)]],
        "growth": round(seen.growth(seconds), 4),
        "load": os.getloadavg()[0],
    }
    report.keep(found)
    print(json.dumps(found, indent=1))
    met = not seen.broken and not seen.torn and seen.growth(seconds) < 0.05 and set(seen.runs) == {PUBLISHED}
    print(f"mixed    no 5xx, no torn answer, memory flat: {'reached' if met else 'MISSED'}")
    return seen


def put_load(
    server: Server,
    company: Path,
    seconds: float,
    publish: Callable[[Path], str],
    turns: int | None = None,
) -> Seen:
    """Ask from several threads, promote and publish, and watch memory, for so many seconds.

    `publish` makes a publication with the champion there is, and returns PUBLISHED or why it did not.
    `turns`: all ends when so many were made, if that is earlier.
    """
    seen, done = Seen(), Event()
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        began = time.perf_counter()
        asking = [pool.submit(_ask, server, number, seen, done) for number in range(CLIENTS)]
        publishing = pool.submit(_publish, company, seen, done, publish, turns)
        process = psutil.Process(server.pid)
        while time.perf_counter() - began < seconds and not publishing.done():
            seen.memory.append((time.perf_counter() - began, process.memory_info().rss))
            time.sleep(min(1.0, seconds / 30))
        done.set()
        for each in (*asking, publishing):
            each.result()
    return seen


def _ask(server: Server, number: int, seen: Seen, done: Event) -> None:
    with httpx.Client(base_url=server.address, headers={"X-API-Key": KEY}, timeout=PATIENCE) as client:
        ids = [each["account_id"] for each in client.get("/v1/accounts?limit=200").json()["accounts"]]
        turn = number
        while not done.is_set():
            turn += 1
            kind = turn % KINDS
            if kind == 7:
                _complete(client, f"{number}-{turn}", seen)
            elif kind == 6:
                changes = [{"feature": "active_users_28d", "value": turn % 40}]
                answer = client.post("/v1/what-if", json={"account_id": ids[0], "changes": changes})
                _told(answer, seen)
                if answer.status_code == 200:
                    _one_model(
                        answer.json()["publication_id"], {answer.json()["model"]["churn"]["digest"]}, seen
                    )
            elif kind in (4, 5):
                path = "/v1/accounts?limit=50" if kind == 4 else "/v1/actions?limit=50"
                _told(client.get(path), seen)
            else:
                asked = ids if kind == 3 else ids[turn % 200 :][:1]
                answer = client.post("/v1/score", json={"account_ids": asked})
                _told(answer, seen)
                if answer.status_code == 200:
                    _whole(answer.json(), seen)


def _complete(client: httpx.Client, key: str, seen: Seen) -> None:
    queue = client.get("/v1/actions?limit=20")
    _told(queue, seen)
    waiting = [each["action_id"] for each in queue.json().get("actions", [])]
    if waiting:
        action = waiting[hash(key) % len(waiting)]
        answer = client.post(f"/v1/actions/{action}/complete", json={"idempotency_key": key})
        _told(answer, seen, "/v1/actions/{id}/complete")


def _told(answer: httpx.Response, seen: Seen, path: str | None = None) -> None:
    with seen.lock:
        seen.statuses[path or answer.request.url.path, answer.status_code] += 1


def _whole(answer: dict[str, Any], seen: Seen) -> None:
    """Hold an answer against itself: one publication, one moment, one model."""
    accounts = [each["account"] for each in answer["results"] if each["status"] == "ok"]
    moments = {(each["as_of"], each["scored_at"]) for each in accounts} - {
        (answer["as_of"], answer["scored_at"])
    }
    if moments:
        with seen.lock:
            seen.torn.append(f"publication {answer['publication_id']}: {sorted(moments)}")
    _one_model(answer["publication_id"], {each["model"]["churn"]["digest"] for each in accounts}, seen)


def _one_model(publication: int, digests: set[str], seen: Seen) -> None:
    """Note where answers of one publication come from several models."""
    with seen.lock:
        known = seen.models.setdefault(publication, set())
        known |= digests
        if len(known) > 1:
            seen.torn.append(f"publication {publication}: {sorted(known)}")


def _publish(
    company: Path, seen: Seen, done: Event, publish: Callable[[Path], str], turns: int | None
) -> None:
    """Promote and publish in turn, and let every client ask everything in between."""
    bundles = company / "out" / "bundles"
    pointer = bundles / "churn.json"
    first = json.loads(pointer.read_text("utf-8"))
    second = {"digest": twin(bundles, first["digest"], 2), "version": "2", "previous": first}
    third = {"digest": twin(bundles, first["digest"], 3), "version": "3", "previous": second}
    (bundles / third["digest"].removeprefix("sha256:") / "member-00.txt").write_text("half a mem")
    champions = (second, third, first)
    turn = 0
    while not done.is_set() and turn != turns:
        point_to(pointer, champions[turn % 3])
        turn += 1
        seen.runs[publish(company)] += 1
        asked = seen.statuses.total()
        while seen.statuses.total() < asked + CLIENTS * KINDS and not done.wait(0.05):
            pass


def score_again(company: Path) -> str:
    """Publish as a nightly run does; return PUBLISHED, or what it said."""
    command = [str(Path(sys.executable).with_name("lifecycle")), "score", "--as-of", "2026-07-01"]
    command += ["--workspace", str(standard_root())]
    environ = {**os.environ, **demo_environ(company)}
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return f"{run.returncode}: {run.stderr[-300:]}" if run.returncode else PUBLISHED


def twin(bundles: Path, digest: str, number: int) -> str:
    """Save the same model under another digest, as a promotion exports it; return that."""
    bundle = load(bundles / digest.removeprefix("sha256:"), digest)
    copied = replace(bundle, data={**bundle.data, "copy": number})
    copied.save(bundles / copied.digest.removeprefix("sha256:"))
    return copied.digest


def point_to(pointer: Path, champion: dict[str, Any]) -> None:
    """Make a bundle the champion in one step, as a promotion does."""
    fresh = pointer.with_suffix(".fresh")
    fresh.write_text(json.dumps(champion), encoding="utf-8")
    fresh.replace(pointer)


@contextmanager
def copy_of(demo: Path) -> Iterator[Path]:
    """Copy what a run writes of a demo company; its tables are only read, and linked."""
    with tempfile.TemporaryDirectory() as folder:
        company = Path(folder)
        (company / "data").symlink_to(demo / "data")
        for part in ("out", "mlruns"):
            shutil.copytree(demo / part, company / part)
        yield company
