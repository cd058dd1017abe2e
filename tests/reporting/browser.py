"""Headless Chromium, driven over its DevTools protocol: opens a page as a reader would and asks what became of it."""

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--hide-scrollbars", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip
START_TIMEOUT_S, ANSWER_TIMEOUT_S = 60, 60


class Tab:
    """One page in the browser.

    Attributes:
        requests: Addresses that anything on the page asked for, the page itself left out.
        problems: What the page wrote to the console or could not do.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.numbers = itertools.count(1)
        self.requests: list[str] = []
        self.problems: list[str] = []
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(self.connection.recv(timeout=ANSWER_TIMEOUT_S))).get("id") != number:
            self._note(message)
        assert "error" not in message, (method, message["error"])
        return message["result"]

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Log.entryAdded":
                self.problems.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.problems.append(json.dumps(parameters))

    def open(self, page: Path, *, width: int, scheme: str) -> None:
        """Show a page at a width in CSS pixels, to a reader who prefers the `light` or `dark` scheme."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.requests, self.problems = [], []
        self.command("Page.navigate", url=page.as_uri())
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while self.evaluate("document.readyState + location.href") != f"complete{page.as_uri()}":
            assert time.monotonic() < deadline, f"{page} did not load"
            time.sleep(0.01)
        self.requests = [url for url in self.requests if url != page.as_uri() and not url.startswith("data:")]

    def evaluate(self, expression: str) -> Any:
        found = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """A tab of a fresh browser, whose profile lies in `folder`; skips the test where there is no Chromium."""
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip(f"needs a browser to open the page in ({' or '.join(NAMES)}), found none on this machine")
    command = [executable, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_address(folder, process), max_size=None) as connection:
            yield Tab(connection)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _address(folder: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the browser listens: it writes its port when it is ready, and lists its tabs there."""
    port_file = folder / "DevToolsActivePort"
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (port_file.is_file() and port_file.read_text().count("\n") >= 1):
        assert process.poll() is None, f"the browser ended with exit code {process.returncode} before it was ready"
        assert time.monotonic() < deadline, f"the browser was not ready in {START_TIMEOUT_S} s"
        time.sleep(0.01)
    port = port_file.read_text().split("\n")[0]
    while time.monotonic() < deadline:
        tabs = json.load(urlopen(f"http://127.0.0.1:{port}/json"))
        for tab in tabs:
            if tab["type"] == "page":
                return str(tab["webSocketDebuggerUrl"])
        time.sleep(0.01)
    raise AssertionError("the browser opened no tab")
