"""A closed-loop client in a process of its own: each connection asks again when it was answered.

    python -m benchmarks.service.client JOB.json

The job says `url`, `bodies` (in turn; null: GET), `headers`, `connections`, `requests` and `warm_up`. Prints
one JSON object: requests a second, p50 and p99 in seconds, statuses, and what each cost `pid` in seconds.
Answers are asked for uncompressed, as the bare route's are.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import psutil


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """Ask `warm_up` times unmeasured, then `requests` times."""
    seconds: list[float] = []
    statuses: Counter[int] = Counter()
    bodies = itertools.cycle([None if body is None else json.dumps(body) for body in job["bodies"]])
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **job["headers"]}
    connector = aiohttp.TCPConnector(limit=job["connections"])
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def ask(turns: list[int]) -> None:
            while turns:
                turns.pop()
                body, began = next(bodies), time.perf_counter()
                method = "GET" if body is None else "POST"
                async with session.request(method, job["url"], data=body) as answer:
                    await answer.read()
                    statuses[answer.status] += 1
                seconds.append(time.perf_counter() - began)

        async def round_of(count: int) -> None:
            turns = list(range(count))
            await asyncio.gather(*(ask(turns) for _ in range(job["connections"])))

        await round_of(job["warm_up"])
        seconds.clear()
        statuses.clear()
        used, began = processor(job["pid"]), time.perf_counter()
        await round_of(job["requests"])
        took = time.perf_counter() - began
    seconds.sort()
    return {
        "rate": len(seconds) / took,
        "p50": seconds[len(seconds) // 2],
        "p99": seconds[int(len(seconds) * 0.99)],
        "processor": (processor(job["pid"]) - used) / len(seconds),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
    }


def processor(pid: int) -> float:
    """Return the processor seconds a process and those it started have used."""
    parent = psutil.Process(pid)
    times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(Path(sys.argv[1]).read_text("utf-8"))))))
