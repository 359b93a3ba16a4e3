"""What a person does, in a real browser on a fresh server."""

import re
import time
from urllib.parse import parse_qs, urlparse

import pytest
from browser_support import SCHEMES, Server, new_page, set_scheme
from playwright.sync_api import Browser, Page, expect

from playground import runs
from playground.presets import PRESETS
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)

POINTS = "() => document.querySelector('.st-key-chart_loss .live-chart')?.data?.[0]?.x?.length ?? 0"


def button(page: Page, name: str):
    """A button of the page; Streamlit's own bar has a "Stop" too while the page is drawn."""
    return page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True)


def points(page: Page) -> int:
    return page.evaluate(POINTS)


def wait_for_points(page: Page, more_than: int) -> None:
    page.wait_for_function(f"({POINTS})() > {more_than}")


def shown_run(page: Page) -> RunFolder:
    return runs.open_run(parse_qs(urlparse(page.url).query)["run"][0])


def wait_for_state(run: RunFolder, *states: str) -> None:
    deadline = time.monotonic() + 60
    while run.status().state not in states:
        assert time.monotonic() < deadline, f"{run.status()} is not in {states}"
        time.sleep(0.05)


def expect_state(page: Page, text: str) -> None:
    expect(page.locator(".st-key-status_line")).to_contain_text(text)


def test_pick_train_close_the_tab_come_back_pause_step_stop(browser: Browser, server: Server, page: Page):
    page.goto(server.url)
    expect(page.get_by_role("heading", name="CNN playground")).to_be_visible()
    page.get_by_test_id("stTopNav").get_by_role("link", name="Train").click()

    # Change a knob: the URL and the layer table follow.
    slider = page.get_by_role("slider", name="Kernel size (px)")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("cell", name="1,216", exact=True)).to_be_visible()
    page.wait_for_url("**/train?kernel_size=5")
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("300")
    epochs.press("Enter")
    page.wait_for_url("**epochs=300**")

    # Play: the bundled run's curves make way, the first point appears, and the curves move.
    expect(page.get_by_text("of the bundled run")).to_have_count(2)
    button(page, "Play").click()
    expect(page.get_by_text("of the bundled run")).to_have_count(0)
    wait_for_points(page, 0)
    expect_state(page, "Running")
    wait_for_points(page, points(page) + 2)
    run = shown_run(page)
    assert run.config.model.kernel_size == 5

    # Close the tab; the run goes on, and a new tab finds it.
    page.close()
    step = run.status().step
    deadline = time.monotonic() + 30
    while run.status().step <= step:
        assert time.monotonic() < deadline, "the run stands still without a tab"
        time.sleep(0.1)
    page = new_page(browser)
    page.goto(f"{server.url}/train")
    wait_for_points(page, 1)
    assert shown_run(page) == run
    expect(page.get_by_role("slider", name="Kernel size (px)")).to_have_value("5")

    # Pause, step, go on, stop.
    button(page, "Pause").click()
    expect_state(page, "Paused")
    wait_for_state(run, "paused")
    step = run.status().step
    button(page, "Batch").click()
    page.wait_for_function(f"() => document.body.innerText.includes('step {step + 1:,}')")
    assert run.status().step == step + 1
    button(page, "Play").click()
    expect_state(page, "Running")
    button(page, "Stop").click()
    wait_for_state(run, "stopped")
    expect_state(page, "Stopped")
    expect(button(page, "Resume")).to_be_visible()
    page.close()


def test_the_chart_keeps_its_node_and_the_zoom_while_it_is_updated(server: Server, page: Page):
    page.goto(f"{server.url}/train?epochs=300&batch_size=16")
    button(page, "Play").click()
    wait_for_points(page, 3)
    chart = page.locator(".st-key-chart_loss .live-chart")
    chart.evaluate("node => { node.marked = true }")
    box = chart.locator(".nsewdrag").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 90, steps=5)
    page.mouse.up()
    zoom = chart.evaluate("node => node.layout.xaxis.range.join()")
    for _ in range(10):
        wait_for_points(page, points(page))
    assert chart.evaluate("node => [node.marked, node.layout.xaxis.range.join()]") == [True, zoom]
    button(page, "Stop").click()
    wait_for_state(shown_run(page), "stopped")


def test_a_live_change_is_drawn_and_a_second_tab_sees_it(browser: Browser, server: Server, page: Page):
    page.goto(f"{server.url}/train?epochs=300&schedule=constant")
    button(page, "Play").click()
    wait_for_points(page, 1)
    slider = page.get_by_role("slider", name="Dropout")
    slider.focus()
    page.keyboard.press("ArrowRight")
    label = "dropout 0 → 0.05"
    expect(page.locator(".st-key-chart_loss").get_by_text(label)).to_be_visible()
    other = new_page(browser)
    other.goto(page.url)
    expect(other.locator(".st-key-chart_loss").get_by_text(label)).to_be_visible()
    other.close()
    button(page, "Stop").click()
    wait_for_state(shown_run(page), "stopped")


def test_a_preset_clicked_during_a_run_changes_nothing_of_it(server: Server, page: Page):
    page.goto(f"{server.url}/train?epochs=300&batch_size=16&schedule=constant")
    button(page, "Play").click()
    wait_for_points(page, 1)
    run = shown_run(page)
    for name in ("article", "good", "fastest", "article"):
        page.locator(f".st-key-preset_{name}").get_by_role("button").click()
    page.wait_for_url(re.compile(r"batch_size=4(&|$)"))
    for _ in range(5):  # while the page is drawn again and again
        wait_for_points(page, points(page))
    rate = page.get_by_role("slider", name="Learning rate").get_attribute("aria-valuetext")
    assert float(rate or 0) == PRESETS["article"].knobs["learning_rate"]
    told = run.path / "control.jsonl"
    assert not told.exists() or told.read_text() == ""
    button(page, "Stop").click()
    wait_for_state(run, "stopped")


CUT_OFF = """list => [...list.querySelectorAll(".guess, .truth")].filter((caption) => {
  const words = caption.classList.contains("guess") && caption.firstElementChild
  const broken = words && words.offsetHeight > 1.5 * parseFloat(getComputedStyle(words).lineHeight)
  return broken || caption.scrollWidth > caption.clientWidth || caption.scrollHeight > caption.clientHeight
}).map((caption) => caption.textContent)"""


@pytest.mark.parametrize("width", [1440, 800, 390])
def test_nothing_is_cut_off(browser: Browser, server: Server, width: int):
    page = new_page(browser, viewport={"width": width, "height": 1000}, color_scheme=SCHEMES[0])
    for path, caption in (("/", ".guess"), ("/train?run=demo", ".guess"), ("/train?kernel_size=5", ".truth")):
        page.goto(server.url + path)
        expect(page.locator(f".strip {caption}", has_text="automobile").first).to_be_visible()
        for scheme in SCHEMES:
            set_scheme(page, scheme)
            assert page.locator(".strip").evaluate(CUT_OFF) == [], (path, scheme)
            overflow = page.evaluate(
                "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert overflow <= 0, (path, scheme)
            nameless = page.evaluate(
                "() => [...document.querySelectorAll('img')].filter(i => !i.hasAttribute('alt')).length"
            )
            assert nameless == 0, (path, scheme)
    page.close()


def test_the_focus_stays_on_the_button_that_was_pressed(server: Server, page: Page):
    page.goto(f"{server.url}/train?epochs=300")
    button(page, "Play").focus()
    page.keyboard.press("Enter")
    expect(button(page, "Pause")).to_be_focused()
    expect_state(page, "Running")
    page.keyboard.press("Enter")
    expect_state(page, "Paused")
    expect(button(page, "Play")).to_be_focused()
    button(page, "Stop").focus()
    page.keyboard.press("Enter")
    expect(button(page, "Resume")).to_be_focused()


SLOW_DRAWING = """() => {
  const { react, purge } = window.Plotly
  window.told = []
  window.Plotly.react = (plot, ...rest) => react(plot, ...rest).then(async () => {
    await new Promise((done) => setTimeout(done, 1500))
    window.told.push(plot._fullLayout ? "drawn" : "drawn after it was purged")
  })
  window.Plotly.purge = (plot) => (purge(plot), window.told.push("purged"))
}"""


def test_a_chart_is_drawn_to_its_end_before_it_is_purged(server: Server, page: Page):
    page.goto(f"{server.url}/train")
    page.wait_for_function("() => document.querySelectorAll('.live-chart .main-svg').length >= 4")
    page.evaluate(SLOW_DRAWING)
    page.get_by_text("Log scale").click()
    page.wait_for_function("() => document.querySelector('.live-chart').layout.yaxis.type === 'log'")
    page.get_by_test_id("stTopNav").get_by_role("link", name="Data").click()
    page.wait_for_function("() => window.told.length >= 8")  # four charts are drawn and purged
    assert "drawn after it was purged" not in page.evaluate("() => window.told")


def test_going_back_undoes_a_knob(server: Server, page: Page):
    page.goto(f"{server.url}/train?epochs=7")
    toggle = page.get_by_role("switch", name="Random flip").or_(page.get_by_role("checkbox", name="Random flip"))
    expect(toggle).to_be_checked()
    page.get_by_text("Random flip").first.click()
    page.wait_for_url("**flip=false**")
    page.go_back()
    page.wait_for_url("**/train?epochs=7")
    expect(toggle.last).to_be_checked()  # the old widget and the new one may both be there for a moment
    expect(toggle).to_have_count(1)
