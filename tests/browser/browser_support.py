"""For the tests in a browser: a server as a person starts it, and a tab."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, ConsoleMessage, Page

from playground.jobs import client

ROOT = Path(__file__).parent.parent.parent
# Nothing that would reach for the net or a GPU.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-component-update "
    "--disable-sync --disable-quic"
).split()
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("dark", "light")
COMPLAINTS = re.compile(r"^\d{4}-\d\d-\d\d |warning|error|traceback|exception|deprecat", re.IGNORECASE)
NOT_OURS = re.compile(r"/_stcore/(health|host-config)$")
"""On a page below the root Streamlit asks for these there first and logs its own 404s."""
NO_GPU = "GL Driver Message"
"""Chromium without a GPU complains of its own WebGL, with which Plotly draws parallel coordinates."""
tabs: list[Page] = []
"""The tabs that the test at hand opened."""
complaints_of_tabs: list[str] = []
"""What the tabs of the test at hand had on their consoles: errors, warnings, uncaught exceptions."""
START_SECONDS = 60.0
PATIENCE = 30_000
"""Milliseconds a test waits for what must come; a machine under load is slow, not wrong."""


def chromium() -> str | None:
    """The browser's path: CHROMIUM, or what Debian and others call it."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return found or shutil.which("google-chrome")


@dataclass
class Server:
    """A running `streamlit run app.py` on a home of its own."""

    url: str
    home: Path
    log: Path
    process: subprocess.Popen[bytes]

    def complaints(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if COMPLAINTS.search(line)]

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(how)
        self.process.wait(timeout=40)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(home: Path, log: Path, base_path: str = "") -> Server:
    """Start the app as the README says, and wait until it answers."""
    port = free_port()
    options = {"server.headless": "true", "server.port": str(port), "server.fileWatcherType": "none"}
    options |= {"server.baseUrlPath": base_path} if base_path else {}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *arguments]
    return await_server(command, ROOT, f"http://127.0.0.1:{port}/{base_path}".rstrip("/"), home, log)


def await_server(command: list[str], folder: Path, url: str, home: Path, log: Path, **environment: str) -> Server:
    """Start a server with this command in this folder, and wait until it answers at the URL."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PLAYGROUND_HOME": str(home)} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(url, home, log, process)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=5):
            return server
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"the server does not answer: {log.read_text()[-2000:]}")


def stop_server(server: Server) -> None:
    """End the server; the job service saves what still runs, and follows."""
    server.end()
    deadline = time.monotonic() + 40
    while client.is_alive() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not client.is_alive(), "the job service outlived its last server"


def new_page(browser: Browser, **options: object) -> Page:
    """Open a tab of its own, as another person would; what its console complains of is kept."""
    page = browser.new_page(**{"viewport": {"width": 1440, "height": 1000}, **options})
    page.set_default_timeout(PATIENCE)
    tabs.append(page)
    page.on("console", _listen)
    page.on("pageerror", lambda error: complaints_of_tabs.append(f"{error} {error.stack}"))
    return page


SETTLED = """scheme => getComputedStyle(document.querySelector("[data-testid=stApp]")).colorScheme === scheme &&
  document.getAnimations().every((each) => !(each instanceof CSSTransition) || each.playState !== "running")"""


def set_scheme(page: Page, scheme: Scheme) -> None:
    """Have the page light or dark, as when the person's system changes, and wait until it is."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(SETTLED, arg=scheme)


def _listen(message: ConsoleMessage) -> None:
    where = message.location["url"]
    if message.type in ("error", "warning") and not NOT_OURS.search(where) and NO_GPU not in message.text:
        complaints_of_tabs.append(f"{message.type}: {message.text} at {where}")
