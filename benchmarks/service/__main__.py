"""How fast does the service answer?

    python -m benchmarks.service --out out/service.jsonl

On the demo company (made in out/demo if it is not there), on loopback, the client in a process of its own.
Ratios are of one run, contenders in turn; processor time beside them, which a busy machine sways less. Parts:

- stored: `POST /v1/score` for one stored account at 16 connections, beside a bare FastAPI route that returns
  the same bytes, written as a coroutine and as a function; and 200 accounts per call at 4 connections.
- what-if: `POST /v1/what-if` beside `mlflow models serve` on the same bag wrapped as a pyfunc that returns
  the probability and each feature's contribution.
- refresh: 200 accounts computed from the source.
- start: from the command to the first answer about an account, three times.
- mixed (only when asked for): see `mixed.py`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from benchmarks.one_scan.measuring import Report
from benchmarks.service.mixed import mixed
from benchmarks.service.servers import KEY, Server, free_port, lifecycle, serving

from lifecycle_ml.workspace import standard_root

ROUNDS = 3
HEADERS = {"X-API-Key": KEY}
CHANGE = {"feature": "active_users_28d", "value": 20}


def accounts_of(server: Server, count: int = 200) -> list[str]:
    """Return ids of the published accounts, those with most at risk first."""
    answer = httpx.get(f"{server.address}/v1/accounts?limit={count}", headers=HEADERS, timeout=60)
    return [each["account_id"] for each in answer.json()["accounts"]]


def stored(demo: Path, report: Report, requests: int) -> None:
    """Compare stored accounts with a bare route."""
    with tempfile.TemporaryDirectory() as folder, lifecycle(demo, standard_root()) as server:
        ids = accounts_of(server)
        question = {"account_ids": ids[:1]}
        body = httpx.post(f"{server.address}/v1/score", json=question, headers=HEADERS, timeout=60).content
        file, port = Path(folder) / "body", free_port()
        file.write_bytes(body)
        command = [sys.executable, "-m", "benchmarks.service.bare", str(file), str(port)]
        with serving(command, port) as bare:
            contenders: dict[str, Callable[[], dict[str, Any]]] = {
                "bare coroutine": lambda: bare.load("/coroutine", [question], requests=requests),
                "bare function": lambda: bare.load("/function", [question], requests=requests),
                "POST /v1/score": lambda: server.load("/v1/score", [question], requests=requests),
            }
            found = take_turns(contenders)
        ours = found["POST /v1/score"]
        for name in contenders:
            say(report, "stored", f"{name}, {len(body):,} bytes", found[name])
        for name in ("bare coroutine", "bare function"):
            ratio, busy = ours["rate"] / found[name]["rate"], found[name]["processor"] / ours["processor"]
            said = f"{ratio:.0%} of the requests/s of the {name}; by processor time {busy:.0%}"
            verdict(report, "stored", said, "40%", met=ratio >= 0.4)
        p99 = ours["p99"] * 1e3
        verdict(report, "stored", f"p99 {p99:.1f} ms at 16 connections", "20 ms", met=p99 < 20)
        many = server.load("/v1/score", [{"account_ids": ids}], requests=200, connections=4, warm_up=8)
        say(report, "stored", f"POST /v1/score, {len(ids)} accounts", many)
        p99 = many["p99"] * 1e3
        verdict(report, "stored", f"p99 {p99:.1f} ms, {len(ids)} accounts a call", "150 ms", met=p99 < 150)


def what_if(demo: Path, report: Report, requests: int) -> None:
    """Compare what-ifs with `mlflow models serve`."""
    import json

    import pandas as pd
    from benchmarks.service.pyfunc import as_split, wrap

    from lifecycle_ml.matrix.build import build_matrix, customers
    from lifecycle_ml.matrix.load import load_features
    from lifecycle_ml.models.bundle import load
    from lifecycle_ml.settings import Settings
    from lifecycle_ml.tables.source import read_tables
    from lifecycle_ml.workspace import load_workspace

    requests //= 10
    workspace = load_workspace(standard_root())
    settings = Settings.read(demo, environ={})
    pointer = json.loads((settings.bundles / "churn.json").read_text("utf-8"))
    bundle = settings.bundles / pointer["digest"].removeprefix("sha256:")
    with lifecycle(demo, standard_root()) as server, tempfile.TemporaryDirectory() as folder:
        account = accounts_of(server, 1)[0]
        answer = httpx.get(f"{server.address}/v1/accounts/{account}", headers=HEADERS, timeout=60).json()
        tables = read_tables(workspace, settings)
        spine = customers(tables, [pd.Timestamp(answer["as_of"]).date()])
        matrix = build_matrix(
            tables, load_features(workspace).available(tables), spine[spine["account_id"] == account]
        )
        row = matrix[["account_id", "as_of", *load(bundle).features]]
        wrap(bundle, Path(folder) / "model")
        port = free_port()
        command = [str(Path(sys.executable).with_name("mlflow")), "models", "serve", "--env-manager", "local"]
        command += ["-m", str(Path(folder) / "model"), "-p", str(port), "-w", "1"]
        question = {"account_id": account, "changes": [CHANGE]}
        with serving(command, port, "/health") as mlflow:
            contenders: dict[str, Callable[[], dict[str, Any]]] = {
                "mlflow models serve": lambda: mlflow.load(
                    "/invocations", [as_split(row)], requests=requests, connections=4, warm_up=8
                ),
                "POST /v1/what-if": lambda: server.load(
                    "/v1/what-if", [question], requests=requests, connections=4, warm_up=8
                ),
            }
            found = take_turns(contenders)
    for name in contenders:
        say(report, "what-if", name, found[name])
    ours, theirs = found["POST /v1/what-if"], found["mlflow models serve"]
    ratio, busy = ours["rate"] / theirs["rate"], theirs["processor"] / ours["processor"]
    said = f"{ratio:.2f} times the requests/s of mlflow models serve; by processor time {busy:.2f}"
    verdict(report, "what-if", said, "10 times", met=ratio >= 10)


def refresh(demo: Path, report: Report) -> None:
    """Compute 200 accounts from the source, the first and the following time."""
    with lifecycle(demo, standard_root()) as server:
        question = {"account_ids": accounts_of(server), "refresh": True}
        as_of = httpx.get(f"{server.address}/v1/models", headers=HEADERS, timeout=60).json()["as_of"]
        job = {"connections": 1, "warm_up": 0, "requests": 1}
        found = [server.load("/v1/score", [question | {"as_of": as_of}], **job) for _ in range(1 + ROUNDS)]
    say(report, "refresh", "200 accounts, the first time", found[0])
    took = median(each["p50"] for each in found[1:])
    busy = median(each["processor"] for each in found[1:])
    first = found[0]["p50"]
    said = f"200 accounts in {took:.2f} s, {busy:.2f} s of processor time; the first time {first:.2f} s"
    verdict(report, "refresh", said, "3 s", met=took < 3)


def start(demo: Path, report: Report) -> None:
    """Time from the command to the first answer about an account."""
    seconds = []
    for _ in range(ROUNDS):
        with lifecycle(demo, standard_root()) as server:
            seconds.append(server.started_in)
    took = median(seconds)
    verdict(report, "start", f"first answer after {took:.2f} s", "3 s", met=took < 3, seconds=seconds)


def take_turns(contenders: dict[str, Callable[[], dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Load each in turn, several rounds; return the round with the median rate of each."""
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            rounds[name].append(run())
    return {name: sorted(each, key=lambda one: one["rate"])[len(each) // 2] for name, each in rounds.items()}


def say(report: Report, part: str, contender: str, found: dict[str, Any]) -> None:
    """Keep and print what a load came to."""
    if set(found["statuses"]) != {"200"}:
        raise RuntimeError(f"{contender}: {found['statuses']}")
    report.keep({"part": part, "contender": contender, **found})
    print(
        f"{part:8} {contender:34} {found['rate']:8.1f} requests/s  p50 {found['p50'] * 1e3:8.1f} ms  "
        f"p99 {found['p99'] * 1e3:8.1f} ms  processor {found['processor'] * 1e3:8.2f} ms each",
        flush=True,
    )


def verdict(report: Report, part: str, said: str, target: str, *, met: bool, **more: Any) -> None:
    """Keep and print whether a target is reached, with the load of the machine."""
    load = os.getloadavg()[0]
    report.keep({"part": part, "said": said, "target": target, "met": met, "load": load, **more})
    print(f"{part:8} {said}; asked {target}: {'reached' if met else 'MISSED'} (load {load:.1f})", flush=True)


def make_demo(folder: Path) -> None:
    """Make the demo company where it is not there."""
    if not (folder / "out" / "lifecycle.db").exists():
        command = [str(Path(sys.executable).with_name("lifecycle")), "demo", "--no-serve", "--as-of"]
        subprocess.run([*command, "2026-07-01", "--folder", str(folder)], check=True)


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--part", choices=["all", "stored", "what-if", "refresh", "start", "mixed"], default="all"
    )
    parser.add_argument("--demo", type=Path, default=Path("out/demo"))
    parser.add_argument("--requests", type=int, default=4_000, help="of each load of stored accounts")
    parser.add_argument("--seconds", type=float, default=600.0, help="of mixed load")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    demo, report = chosen.demo.resolve(), Report(chosen.out)
    make_demo(demo)
    began = time.perf_counter()
    parts: dict[str, Callable[[], None]] = {
        "stored": lambda: stored(demo, report, chosen.requests),
        "what-if": lambda: what_if(demo, report, chosen.requests),
        "refresh": lambda: refresh(demo, report),
        "start": lambda: start(demo, report),
        "mixed": lambda: mixed(demo, report, chosen.seconds),
    }
    for name, run in parts.items():
        if chosen.part == name or (chosen.part == "all" and name != "mixed"):
            run()
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
