"""A real Chromium without a window, driven over its DevTools protocol as a person would: by clicks and keys.

Nothing here runs a script in the page: elements are found, clicked and read through the DOM of the protocol,
so pages can be driven with scripts switched off.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
NEEDS = "the package chromium"
PATIENCE = 120.0
"""Seconds until a browser that does not answer counts as stuck; a full machine is slow."""


def program() -> str | None:
    """The browser's program, None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@contextmanager
def running(browser: str, folder: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile in `folder`, and end it afterwards."""
    process = subprocess.Popen(
        [
            browser,
            "--headless=new",
            "--no-sandbox",  # tests may run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(process, folder / "DevToolsActivePort")
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            address = json.load(answer)["webSocketDebuggerUrl"]
        with connect(address, max_size=None, proxy=None) as connection:
            yield Browser(connection)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _port(process: subprocess.Popen[bytes], told: Path) -> int:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the browser ended at once with status {process.returncode}")
        lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
        if lines:
            return int(lines[0])
        time.sleep(0.05)
    raise TimeoutError("the browser did not say where it listens")


class Browser:
    """One tab."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._events: list[dict[str, Any]] = []
        for domain in ("Page", "DOM", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": values}))
        while True:
            message = json.loads(self._connection.recv(timeout=PATIENCE))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result
            self._events.append(message)

    def go(self, address: str) -> None:
        """Load a page and wait until it is there."""
        self._events.clear()
        self.call("Page.navigate", url=address)
        self._await_load()

    def click(self, selector: str, *, loads: bool = False) -> None:
        """Click in the middle of the first element; `loads`: wait for the page this leads to."""
        node = self._node(selector)
        self.call("DOM.scrollIntoViewIfNeeded", nodeId=node)
        quad = self.call("DOM.getContentQuads", nodeId=node)["quads"][0]
        x, y = sum(quad[0::2]) / 4, sum(quad[1::2]) / 4
        self._events.clear()
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        if loads:
            self._await_load()

    def write(self, selector: str, text: str) -> None:
        """Write into a field as keys would."""
        self.call("DOM.focus", nodeId=self._node(selector))
        self.call("Input.insertText", text=text)

    def has(self, selector: str) -> bool:
        """Whether the page has such an element."""
        return self._found(selector) != 0

    def text(self, selector: str = "main") -> str:
        """The text of the first such element, its blanks folded."""
        html = self.call("DOM.getOuterHTML", nodeId=self._node(selector))["outerHTML"]
        return " ".join(_Text(html).said.split())

    def attribute(self, selector: str, name: str) -> str | None:
        """An attribute of the first such element, None where it lacks it."""
        flat = self.call("DOM.getAttributes", nodeId=self._node(selector))["attributes"]
        return dict(zip(flat[0::2], flat[1::2], strict=True)).get(name)

    def picture(self, file: Path, width: int = 1280, height: int = 0, *, dark: bool = False) -> None:
        """Keep a picture of the whole page, or of its top `height` pixels, at a width."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height or 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=not height)
        file.write_bytes(base64.b64decode(taken["data"]))

    def _await_load(self) -> None:
        while not any(each.get("method") == "Page.loadEventFired" for each in self._events):
            self._events.append(json.loads(self._connection.recv(timeout=PATIENCE)))

    def _found(self, selector: str) -> int:
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        node: int = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        return node

    def _node(self, selector: str) -> int:
        node = self._found(selector)
        if not node:
            raise AssertionError(f"the page has no {selector}; it says: {self.text()[:400]}")
        return node


class _Text(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.said = ""
        self.feed(html)

    def handle_starttag(self, tag: str, _attrs: Any) -> None:
        self.said += " " if tag in {"td", "th", "dd", "dt", "li", "p", "h1", "h2", "h3", "div"} else ""

    def handle_data(self, data: str) -> None:
        self.said += data
