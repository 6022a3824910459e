"""The service in a process of its own is told to stop while a call is on its way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from published_company import KEYS

PROGRAM = str(Path(sys.executable).with_name("lifecycle"))
PATIENCE = 120.0
"""Seconds a loaded machine may take; nothing is decided by it but that the test ends."""


@pytest.mark.slow
def test_a_call_on_its_way_is_answered_when_the_service_is_told_to_stop(tmp_path, published, settings):
    """Half a call was sent, SIGTERM came, nobody new gets in: the other half still gets its answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {
        **os.environ,
        "LIFECYCLE_API_KEYS": f"read:{KEYS['read']}",
        "LIFECYCLE_STORE_URL": settings.store_url,
    }
    command = [PROGRAM, "serve", "--workspace", str(tmp_path), "--port", str(port)]
    (tmp_path / "serving").mkdir()
    service = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    try:
        call = _connected(port, service)
        body = json.dumps({"account_ids": ["A-1042"]}).encode()
        head = f"POST /v1/score HTTP/1.1\r\nHost: here\r\nX-API-Key: {KEYS['read']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        call.sendall(head.encode() + body[:5])
        _served_once(port)
        service.send_signal(signal.SIGTERM)
        _until(lambda: not _listening(port))
        call.sendall(body[5:])
        answer = b""
        while part := call.recv(65_536):
            answer += part
        call.close()
        code = service.wait(PATIENCE)
    finally:
        service.kill()

    status, _, rest = answer.partition(b"\r\n")
    assert status == b"HTTP/1.1 200 OK"
    assert json.loads(rest.partition(b"\r\n\r\n")[2])["results"][0]["status"] == "ok"
    assert code in {0, -signal.SIGTERM}


def _served_once(port):
    """Have another call answered: by then the service has read what the first one sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as other:
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        while other.recv(65_536):
            pass


def _connected(port, service):
    """Wait for the service and connect to it."""
    _until(lambda: service.poll() is not None or _listening(port))
    assert service.poll() is None
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def _listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(happened):
    """Wait until something happened, for as long as a test may take."""
    ends = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < ends
        time.sleep(0.02)
