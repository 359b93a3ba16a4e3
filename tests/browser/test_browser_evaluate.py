"""A person clicks a cell of the confusion matrix, sees its images and opens one, in a real browser."""

import re

import numpy as np
import pytest
from browser_support import Server
from playwright.sync_api import Page, expect

from playground import runs
from playground.config import from_flat
from playground.data.store import open_arrays
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)
CAT, DOG, SHIP = 3, 5, 8
TINY = {"channels": "4-4", "fc_width": 8, "device": "cpu", "precision": "float32", "threads": 1}
TINY |= {"images_per_class": 20, "epochs": 2}


@pytest.fixture(scope="module")
def judged(server: Server) -> RunFolder:
    """A run that takes the first 70 cats for dogs, more surely from one to the next, and gets the rest right."""
    folder, targets = (
        runs.create_run(from_flat(TINY), "cats and dogs"),
        np.array(open_arrays("cifar10-mini").test_targets),
    )
    assert run_worker(folder, Slot("cpu", 1)).state == "finished"
    cats = np.flatnonzero(targets == CAT)[:70]
    for epoch in folder.epochs():
        probs = np.eye(10)[targets] * 0.9 + 0.01
        probs[cats] = 0.01
        share = np.linspace(0.5, 0.9, len(cats))
        probs[cats, DOG], probs[cats, CAT] = share, 0.92 - share
        if epoch < 2:
            probs = np.roll(probs, epoch + 1, axis=1)
        folder.save_epoch(epoch, folder.weights(epoch), probs.astype(np.float16))
    return folder


def shown(page: Page) -> list[int]:
    """The numbers of the test images in the gallery."""
    labels = page.locator(".gallery button").evaluate_all("all => all.map(button => button.ariaLabel)")
    return [int(re.search(r"test image (\d+)", label)[1]) for label in labels]


def click_cell(page: Page, row: int, column: int, key: str = "evaluate_matrix") -> None:
    """Click a cell of a heatmap, by its place in it."""
    chart = page.locator(f".st-key-{key} .live-chart")
    page.wait_for_function(f"document.querySelector('.st-key-{key} .live-chart .nsewdrag')")
    chart.scroll_into_view_if_needed()
    x, y = chart.evaluate(
        """(plot, [row, column]) => {
            const { xaxis, yaxis } = plot._fullLayout, place = plot.getBoundingClientRect()
            return [place.x + xaxis._offset + xaxis.c2p(column), place.y + yaxis._offset + yaxis.c2p(row)]
        }""",
        [row, column],
    )
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def test_a_cell_shows_its_images_and_one_opens_in_predict(page: Page, server: Server, judged: RunFolder):
    page.goto(f"{server.url}/evaluate?run={judged.id}")
    expect(page.get_by_text("1,930 of 2,000")).to_be_visible()
    expect(page.get_by_text("70 images of cat predicted as dog")).to_be_visible()  # the most frequent mistake, unasked

    click_cell(page, SHIP, SHIP)
    expect(page.get_by_text("200 images of ship predicted as ship")).to_be_visible()
    click_cell(page, CAT, DOG)
    expect(page.get_by_text("70 images of cat predicted as dog")).to_be_visible()
    targets = np.array(open_arrays("cifar10-mini").test_targets)
    surest_first = np.flatnonzero(targets == CAT)[:70][::-1].tolist()
    expect(page.locator(".gallery button").first).to_have_attribute("aria-label", re.compile("cat, predicted as dog"))
    assert shown(page) == surest_first[:60]

    page.locator(".gallery button").nth(4).click()
    expect(page.get_by_text(f"Test image {surest_first[4]}", exact=True)).to_be_visible()
    page.get_by_role("button", name="Open in Predict").click()
    page.wait_for_url(f"**/predict?run={judged.id}&epoch=2*")
    alt = f"Test image {surest_first[4]}, cropped and shrunk to 32 by 32 pixels"
    expect(page.get_by_role("img", name=alt)).to_be_visible()


def test_by_keyboard_alone_and_through_the_epochs(page: Page, server: Server, judged: RunFolder):
    page.goto(f"{server.url}/evaluate?run={judged.id}")
    expect(page.get_by_text("70 images of cat predicted as dog")).to_be_visible()
    page.wait_for_function("document.querySelector('.st-key-evaluate_matrix .live-chart')?.data?.length")
    page.evaluate("document.querySelector('.st-key-evaluate_matrix .live-chart').mark = 'same node'")
    picker = page.get_by_role("combobox", name=re.compile("True class"))
    picker.focus()
    page.keyboard.type("ship")
    page.keyboard.press("Enter")
    expect(page.get_by_text("0 images of ship predicted as dog")).to_be_visible()
    slider = page.get_by_role("slider", name="Epoch")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**epoch=1*")
    expect(page.get_by_text("0 images of ship predicted as dog")).to_be_visible()  # the cell stays chosen
    chart = page.locator(".st-key-evaluate_matrix [role=figure]")
    expect(chart).to_have_attribute("aria-label", re.compile("after epoch 1: 2,000 mistakes"))
    assert page.evaluate("document.querySelector('.st-key-evaluate_matrix .live-chart').mark") == "same node"


def test_every_view_draws_its_charts(page: Page, server: Server, judged: RunFolder):
    page.goto(f"{server.url}/evaluate?run={judged.id}")
    for view, charts in {
        "Per class": ["top_k"],
        "Curves": ["roc", "pr"],
        "Calibration": ["reliability"],
        "Hardest images": ["strip", "over_time"],
    }.items():
        page.get_by_role("radio", name=view).click()
        for chart in charts:
            page.wait_for_function(f"document.querySelector('.st-key-evaluate_{chart} .live-chart')?.data?.length")
    expect(page.get_by_text(re.compile("at any of 3 kept epochs"))).to_be_visible()
    name = page.evaluate("document.querySelector('.st-key-evaluate_strip .live-chart').data[0].y[2]")
    click_cell(page, 2, 0, "evaluate_strip")
    expect(page.get_by_text(f"Test image {name.split()[-1]}", exact=True)).to_be_visible()
