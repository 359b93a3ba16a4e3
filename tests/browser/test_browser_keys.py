"""Settings moved quickly by keyboard stay where they were moved to, on an idle server and on a busy one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from browser_support import Server
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.timeout(300)

KEYS = 50
BUSY = "import hashlib\nwhile True: hashlib.sha256(bytes(10**6)).digest()"


@pytest.fixture(params=[0, 3], ids=["idle", "busy"])
def load(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes that keep the machine's cores busy meanwhile."""
    with ExitStack() as stack:
        for _ in range(request.param):
            process = subprocess.Popen([sys.executable, "-c", BUSY])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize("delay", [5, 60, 240], ids=lambda ms: f"{ms} ms")
def test_no_key_is_lost(server: Server, page: Page, delay: int):
    page.goto(f"{server.url}/train?learning_rate=1e-06&epochs=7")
    slider = page.get_by_role("slider", name="Learning rate")
    expect(slider).to_have_value("0")
    slider.focus()
    for _ in range(KEYS):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(delay)
    page.wait_for_url("**learning_rate=2.0**")
    page.wait_for_timeout(1500)
    expect(slider).to_have_value(str(KEYS))
    expect(page.get_by_role("spinbutton", name="Epochs")).to_have_value("7")
    assert "learning_rate=2.0" in page.url


@pytest.mark.usefixtures("load")
def test_no_key_is_lost_between_settings(server: Server, page: Page):
    """From one setting to the next, as with the Tab key: none takes the one before with it."""
    page.goto(f"{server.url}/train")
    epochs, kernel = page.get_by_role("spinbutton", name="Epochs"), page.get_by_role("slider", name="Kernel size")
    dropout = page.get_by_role("slider", name="Dropout")
    expect(kernel).to_have_value("3")
    for _ in range(8):
        for control, key in ((kernel, "ArrowRight"), (epochs, "ArrowUp"), (dropout, "ArrowRight")):
            control.focus()
            page.keyboard.press(key)
            page.wait_for_timeout(40)
    page.wait_for_url("**kernel_size=11**")
    page.wait_for_url("**epochs=18**")
    page.wait_for_timeout(1500)
    expect(kernel).to_have_value("11")
    expect(epochs).to_have_value("18")
    expect(dropout).to_have_value("0.4")
    page.wait_for_url("**dropout=0.4&**")
