"""How quickly a person looks into the bundled demo network, and what it costs the server.

    python -m benchmarks.inside maps     [--rounds 30]   another image: all maps computed and drawn, on the server
    python -m benchmarks.inside steps    [--rounds 3]    a step of the epoch slider, in each view, on the server
    python -m benchmarks.inside memory   [--steps 500]   the server's resident memory over steps of the slider

The first two draw the page as the server does, without a browser (Streamlit's AppTest); the last needs Chromium.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parent.parent
VIEWS = ("maps", "kernels", "why", "over_time", "exciting", "edit", "embedding")


def open_inside() -> AppTest:
    """Draw the page once, which imports torch and makes all caches."""
    app = AppTest.from_file(str(ROOT / "pages" / "frame.py"), default_timeout=120).run()
    app.switch_page("inside.py")
    return draw(app)


def draw(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception and not app.error, [e.message for e in app.exception]
    return app


def milliseconds(app: AppTest) -> float:
    began = time.perf_counter()
    draw(app)
    return 1000 * (time.perf_counter() - began)


def maps(rounds: int) -> list[float]:
    """Return the milliseconds of one drawing after another, each of an image that was not seen before."""
    app = open_inside()
    waits = []
    for row in range(1, rounds + 1):
        app.session_state["predict_row"] = row
        waits.append(milliseconds(app))
    return waits


def steps(rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return {view: (first visits of an epoch, later visits)} in milliseconds, each round with another image."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    app = open_inside()
    epochs = app.select_slider[0].options
    for view, row in itertools.product(VIEWS, range(rounds)):
        first, later = found.setdefault(view, ([], []))
        app.session_state["predict_row"] = 100 + row
        app.get_by_key("inside_view").set_value(view)  # ty: ignore[missing-union-attribute]
        draw(app)  # at the last epoch, where the slider stands
        for waits in (first, later):
            for epoch in [*epochs[:-1], epochs[-1]]:
                app.select_slider[0].set_value(int(epoch))
                waits.append(milliseconds(app))
    return found


def memory(count: int) -> list[tuple[int, float]]:
    """Return (steps, MB) of the server while a tab moves the slider to and fro, over other images now and then."""
    from playwright.sync_api import expect, sync_playwright

    from benchmarks.browser import FLAGS, chromium, new_page, resident_mb, start_server

    sizes = []
    server = start_server(Path(os.environ["PLAYGROUND_HOME"]), Path(os.environ["PLAYGROUND_HOME"]) / "log")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = new_page(browser)
        page.goto(f"{server.url}/inside")
        for done in range(count + 1):
            if done % 50 == 0:
                sizes.append((done, resident_mb(server.process.pid)))
                print(f"{done:5d} steps  {sizes[-1][1]:7.1f} MB", flush=True)
                page.goto(f"{server.url}/inside")
                page.get_by_role("button", name="Choose an image").click()
                page.locator(".gallery button").nth(done // 50).click()
                page.keyboard.press("Escape")
                slider = page.get_by_role("slider", name="Epoch")
            slider.focus()
            key = "ArrowLeft" if done % 10 < 5 else "ArrowRight"
            now = page.url
            page.keyboard.press(key)
            page.wait_for_function("was => location.href !== was", arg=now)
            expect(page.locator(".st-key-inside_network figure").first).to_be_visible()
        browser.close()
    server.end()
    return sizes


def told(waits: list[float]) -> str:
    return f"median {median(waits):4.0f} ms, from {min(waits):4.0f} to {max(waits):4.0f} ms"


def main() -> None:
    """Measure one of the three and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["maps", "steps", "memory"])
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PLAYGROUND_HOME"] = folder
        measure: dict[str, Callable[[], None]] = {
            "maps": lambda: print("another image:", told(maps(options.rounds or 30))),
            "steps": lambda: _print_steps(steps(options.rounds or 3)),
            "memory": lambda: _print_growth(memory(options.steps)),
        }
        measure[options.what]()


def _print_steps(found: dict[str, tuple[list[float], list[float]]]) -> None:
    for view, (first, later) in found.items():
        print(f"{view:10} first visit of an epoch: {told(first)}; later: {told(later)}")


def _print_growth(sizes: list[tuple[int, float]]) -> None:
    print(f"growth from step 100 to step {sizes[-1][0]}: {sizes[-1][1] - sizes[2][1]:+.1f} MB")


if __name__ == "__main__":
    main()
