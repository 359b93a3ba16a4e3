"""A person holds runs against each other, in a real browser on a fresh server."""

import re
from urllib.parse import urlparse

import pytest
from browser_support import Server
from playwright.sync_api import Page, expect

from playground import runs
from playground.config import from_flat
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)

TINY = {"channels": "4-4", "fc_width": 8, "device": "cpu", "precision": "float32", "threads": 1, "images_per_class": 20}
HEADER, ROW = 35, 35  # the shelf's table, in pixels
POINTS = "document.querySelector('.st-key-compare_curves .live-chart')?.data?.map(trace => trace.x.length)"


@pytest.fixture(scope="module")
def two(server: Server) -> tuple[RunFolder, RunFolder]:
    """Two trained runs, the newer one last."""
    made = []
    for name, rate in (("slow", 1e-6), ("quick", 0.01)):
        made.append(
            runs.create_run(from_flat(TINY | {"epochs": 2, "learning_rate": rate, "schedule": "constant"}), name)
        )
        assert run_worker(made[-1], Slot("cpu", 1)).state == "finished"
    return made[0], made[1]


def cell(page: Page, text: str):
    """A cell of a table, as a screen reader finds it behind the canvas."""
    return page.get_by_test_id("stDataFrame").locator("td", has_text=text)


def test_runs_ticked_on_the_shelf_are_compared_and_one_image_is_opened(page: Page, server: Server, two):
    page.goto(f"{server.url}/runs")
    expect(cell(page, "quick")).to_be_attached()
    box = page.get_by_test_id("stDataFrame").locator("canvas").first.bounding_box()
    assert box
    for row in (0, 1):
        page.mouse.click(box["x"] + 18, box["y"] + HEADER + ROW * (row + 0.5))
        said = page.get_by_test_id("stCaptionContainer")
        ticked = said.get_by_text("2 runs ticked" if row else re.compile("^(slow|quick) · finished"))
        expect(ticked).to_be_visible()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url(re.compile(r"/compare\?runs="))
    page.wait_for_function(f"{POINTS}?.length === 2")
    expect(cell(page, "Learning rate")).to_be_attached()
    expect(cell(page, "1e-06")).to_be_attached()
    expect(cell(page, "Kernel size")).to_have_count(0)

    # Another axis is drawn in place, and goes to the link.
    page.evaluate("document.querySelector('.st-key-compare_curves .live-chart').mark = 'same node'")
    page.get_by_role("radio", name="Images seen").click()
    page.wait_for_url("**axis=images**")
    page.wait_for_function(
        "document.querySelector('.st-key-compare_curves .live-chart').layout.xaxis.title.text === 'images seen'"
    )
    assert page.evaluate("document.querySelector('.st-key-compare_curves .live-chart').mark") == "same node"

    # An image that one alone gets right, with the keyboard, shown to both.
    expect(page.get_by_text("McNemar's exact test")).to_be_visible()
    page.get_by_role("radio", name=re.compile("^Only B is right")).click()
    images = page.locator(".gallery[aria-label='Only B is right'] button")
    images.nth(1).focus()
    page.keyboard.press("Enter")
    expect(images.nth(1)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Open both in Predict").click()
    page.wait_for_url(re.compile(r"/predict\?run=.*&run2="))
    expect(page.get_by_text("The network says")).to_have_count(2)


def test_a_link_shows_the_diagnosis_and_a_deleted_run_is_one_line(page: Page, server: Server, two):
    page.goto(f"{server.url}/compare?runs={two[0].id},gone&view=diagnosis&measure=train_loss")
    expect(page.get_by_role("alert")).to_contain_text("there is no run 'gone'")
    expect(page.get_by_text("Few steps")).to_be_visible()
    expect(page.get_by_text("It has taken 6 steps so far")).to_be_visible()


def test_what_compare_says_too_late_stays_out_of_the_address_of_runs(page: Page, server: Server, two):
    page.goto(f"{server.url}/compare")
    page.wait_for_url("**/compare?runs=**")
    page.get_by_test_id("stTopNav").get_by_role("link", name="Runs").click()
    page.wait_for_url("**/runs")
    # As Streamlit does with a message that comes when the person has gone on.
    page.evaluate("() => history.replaceState({}, '', location.pathname + '?runs=demo')")
    assert urlparse(page.url).query == ""


def test_it_follows_a_run_that_trains(page: Page, server: Server, two):
    made = runs.create_run(from_flat(TINY | {"epochs": 30}), "at work")
    client.submit_run(made)
    page.goto(f"{server.url}/compare?runs={made.id},{two[1].id}")
    page.wait_for_function(f"{POINTS}?.[0] === 31 && {POINTS}[1] === 3", timeout=90_000)
    expect(cell(page, "Finished").first).to_be_attached()
