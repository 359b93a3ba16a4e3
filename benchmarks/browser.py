"""What a person waits for, in a real browser on a server of its own; and the server's memory.

    python -m benchmarks.browser open     [--rounds 5]    a fresh server answers → the Train page is usable
    python -m benchmarks.browser play     [--rounds 10]   Play pressed → the first point is on the curve
    python -m benchmarks.browser memory   [--ticks 1000]  the server's resident memory while a tab watches a run

Chromium must be there (CHROMIUM names it if it is not on the PATH).
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, expect, sync_playwright

sys.path.append(str(Path(__file__).parent.parent / "tests" / "browser"))
from browser_support import FLAGS, Server, chromium, new_page, start_server

from benchmarks.memory import resident_mb

POINTS = "document.querySelector('.st-key-chart_loss .live-chart')?.data?.some(trace => trace.x?.length) ?? false"
WATCH = f"""() => {{
    window.seconds = undefined
    document.querySelector('.st-key-play').addEventListener('click', () => {{
        const began = performance.now()
        const look = () => {POINTS} ? (window.seconds = (performance.now() - began) / 1000) : setTimeout(look, 5)
        look()
    }}, {{ once: true }})
}}"""


def with_server(home: Path, use: Callable[[Server], float]) -> float:
    """Start a server on a home, use it, end it."""
    server = start_server(home, home / "server.log")
    try:
        return use(server)
    finally:
        server.end()


def wait_usable(page: Page) -> None:
    """Wait until Play can be pressed and the layer table stands."""
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled()
    page.get_by_text("Parameters").first.wait_for()


def open_page(browser: Browser, home: Path) -> float:
    """Return seconds from the server's first answer to a usable page."""

    def use(server: Server) -> float:
        page = new_page(browser)
        began = time.perf_counter()
        page.goto(f"{server.url}/train")
        wait_usable(page)
        waited = time.perf_counter() - began
        page.close()
        return waited

    return with_server(home, use)


def press_play(page: Page) -> float:
    """Return seconds from the click to the first point; the run is stopped and cleared afterwards."""
    page.evaluate(WATCH)
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("window.seconds !== undefined")
    seconds = float(page.evaluate("window.seconds"))
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_function(f"!({POINTS})")
    page.wait_for_timeout(1500)
    return seconds


def play(browser: Browser, home: Path, rounds: int) -> list[float]:
    """Return the waits of some rounds on one warm server; the first is not counted."""
    waits: list[float] = []

    def use(server: Server) -> float:
        page = new_page(browser)
        page.goto(f"{server.url}/train")
        wait_usable(page)
        page.wait_for_timeout(8000)  # the job service imports torch meanwhile
        waits.extend(press_play(page) for _ in range(rounds + 1))
        return 0.0

    with_server(home, use)
    return waits[1:]


def memory(browser: Browser, home: Path, ticks: int) -> list[tuple[int, float]]:
    """Return (ticks, MB) of the server while one tab follows a run that goes on and on."""
    sizes: list[tuple[int, float]] = []

    def use(server: Server) -> float:
        page = new_page(browser)
        page.goto(f"{server.url}/train?images_per_class=100&epochs=1000&threads=1")
        wait_usable(page)
        page.get_by_role("button", name="Play", exact=True).click()
        page.wait_for_function(POINTS)
        tick = 0.3  # pages/train.py draws this often while a run is active
        for done in range(0, ticks + 1, 50):
            sizes.append((done, resident_mb(server.process.pid)))
            print(f"{done:5d} ticks  {sizes[-1][1]:7.1f} MB", flush=True)
            page.wait_for_timeout(50 * tick * 1000)
        page.get_by_role("button", name="Stop", exact=True).click()
        page.wait_for_timeout(1000)
        return 0.0

    with_server(home, use)
    return sizes


def main() -> None:
    """Measure one of the three and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["open", "play", "memory"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        home = Path(folder)
        os.environ["PLAYGROUND_HOME"] = folder
        if options.what == "memory":
            sizes = memory(browser, home, options.ticks)
            print(f"growth from tick 100 to tick {sizes[-1][0]}: {sizes[-1][1] - sizes[2][1]:+.1f} MB")
            return
        if options.what == "play":
            waits = play(browser, home, options.rounds)
        else:
            waits = [open_page(browser, home) for _ in range(options.rounds)]
        print(f"{options.what}: median {median(waits):.2f} s, from {min(waits):.2f} to {max(waits):.2f} s")


if __name__ == "__main__":
    main()
