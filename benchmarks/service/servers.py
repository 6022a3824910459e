"""Servers in processes of their own, on loopback, each ended when its block ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

KEY = "benchmark-key-0123456789"
PATIENCE = 300.0
"""Seconds a server may take to answer for the first time on a busy machine."""


@dataclass(frozen=True)
class Server:
    """A running server and how long it took to answer for the first time."""

    address: str
    pid: int
    started_in: float

    def load(self, path: str, bodies: Sequence[Any], **job: Any) -> dict[str, Any]:
        """Put a closed loop on one address, from another process; see `client.run`."""
        job = {
            "url": self.address + path,
            "bodies": list(bodies),
            "headers": {"X-API-Key": KEY},
            "pid": self.pid,
            "connections": 16,
            "warm_up": 200,
            **job,
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(job, file)
            file.flush()
            command = [sys.executable, "-m", "benchmarks.service.client", file.name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@contextmanager
def serving(
    command: Sequence[str], port: int, ready: str = "/healthz", environ: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server and wait until it answers at `ready`."""
    address, began = f"http://127.0.0.1:{port}", time.perf_counter()
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        # mlflow looks for uvicorn on the path, and ends without ending it
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            list(command),
            env={**os.environ, "PATH": path, **(environ or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            while True:
                try:
                    if httpx.get(address + ready, timeout=5, headers={"X-API-Key": KEY}).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise RuntimeError(f"{command[0]} does not serve:\n{Path(log.name).read_text()[-2000:]}")
                time.sleep(0.02)
            yield Server(address, process.pid, time.perf_counter() - began)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


@contextmanager
def lifecycle(demo: Path, workspace: Path) -> Iterator[Server]:
    """Serve the demo company as `lifecycle serve` does, until it answers about its accounts."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("lifecycle")), "serve", "--port", str(port)]
    with serving(
        [*command, "--workspace", str(workspace)], port, "/v1/accounts?limit=1", demo_environ(demo)
    ) as server:
        yield server


def demo_environ(demo: Path) -> dict[str, str]:
    """Return the settings of a demo company's folder."""
    return {
        "LIFECYCLE_SOURCE_URL": str(demo / "data"),
        "LIFECYCLE_STORE_URL": f"sqlite:///{demo}/out/lifecycle.db",
        "LIFECYCLE_BUNDLES": str(demo / "out" / "bundles"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{demo}/mlruns/mlflow.db",
        "LIFECYCLE_API_KEYS": f"admin:{KEY}",
    }


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
