"""Take the pictures in docs/ from the running app: `python -m scripts.screenshots`, with Chromium installed.

A server starts on an empty home, two short runs are trained and a third is caught in the middle.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.append(str(Path(__file__).parent.parent / "tests" / "browser"))
from browser_support import FLAGS, ROOT, chromium, new_page, start_server

DOCS = ROOT / "docs"
SHOTS = {  # name: (page, theme, width, height)
    "home-light": ("", "light", 1440, 860),
    "home-dark": ("", "dark", 1440, 860),
    "runs-light": ("runs", "light", 1440, 560),
    "predict-light": ("predict", "light", 1440, 660),
    "inside-light": ("inside?run=demo", "light", 1440, 1000),
    "evaluate-dark": ("evaluate?run=demo", "dark", 1440, 760),
    "segment-light": ("segment?run=demo-segmentation", "light", 1440, 1000),
    "compare-light": ("compare", "light", 1440, 760),
    "data-light": ("data", "light", 1440, 860),
    "train-narrow-light": ("train", "light", 800, 1000),
}


def press(page: Page, name: str) -> None:
    """Press a button by its name."""
    page.get_by_role("button", name=name, exact=True).click()


def main() -> None:
    """Write all pictures."""
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        server = start_server(home, home / "server.log")
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            page = new_page(browser, color_scheme="light")
            for query in ("?epochs=6", "?optimizer=momentum&learning_rate=0.03&epochs=6&batch_size=128"):
                page.goto(f"{server.url}/train{query}")
                press(page, "Play")
                page.get_by_text("Finished").first.wait_for(timeout=120_000)
            page.goto(f"{server.url}/train?epochs=30&flip=true&shift=2&dropout=0.2")
            press(page, "Play")
            page.get_by_text("Running").first.wait_for()
            page.mouse.move(1400, 900)  # away from the button, whose tooltip would hide the navigation
            page.wait_for_timeout(25_000)
            page.screenshot(path=DOCS / "train-light.png")
            dark = new_page(browser, color_scheme="dark")
            dark.goto(page.url)
            dark.wait_for_timeout(8_000)
            dark.screenshot(path=DOCS / "train-dark.png")
            for name, (where, theme, width, height) in SHOTS.items():
                shot = new_page(browser, color_scheme=theme, viewport={"width": width, "height": height})
                shot.goto(f"{server.url}/{where}")
                shot.wait_for_timeout(14_000)
                shot.screenshot(path=DOCS / f"{name}.png")
                shot.close()
            press(page, "Stop")
            page.get_by_text("Stopped").first.wait_for()
        finally:
            browser.close()
            server.end()


if __name__ == "__main__":
    main()
