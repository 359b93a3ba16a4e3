"""A person trains a network on drawn shapes, watches its masks get better, and has it label a photo of their own."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from browser_support import Server
from PIL import Image
from playwright.sync_api import Page, expect

from playground import runs
from playground.data.shapes import Difficulty, draw

pytestmark = pytest.mark.timeout(300)

KNOBS = (
    "dataset=shapes&images_per_class=800&channels=8-16-32-64&batch_norm=true&class_weights=true&batch_size=8"
    "&optimizer=muon&learning_rate=0.02&epochs=5&validation_share=0&device=cpu&threads=1"
)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image, _ = draw(np.random.default_rng(3), 96, Difficulty(shapes=3, occlusion=0.0))
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "shapes.png")
    return tmp_path / "shapes.png"


IOU_BELOW = """(most) => [...document.querySelectorAll('[data-testid="stMetric"]')].some((metric) =>
    metric.innerText.includes("Mean IoU") &&
    parseFloat(metric.querySelector('[data-testid="stMetricValue"]').innerText) < most)"""


def mean_iou(page: Page) -> float:
    """Read the figure that the page shows, in per cent."""
    value = page.get_by_test_id("stMetric").filter(has_text="Mean IoU").get_by_test_id("stMetricValue")
    return float(value.inner_text().split()[0])


def test_masks_improve_while_it_trains_and_a_photo_is_labelled(page: Page, server: Server, photo: Path):
    page.goto(f"{server.url}/train?{KNOBS}")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_url("**run=*")
    # The strip of test images shows the truth above and the prediction below, and how much of it is right.
    strip = page.locator(".st-key-strip img").first
    expect(strip).to_have_attribute("alt", re.compile(r"the predicted one below: \d+ % of the pixels are right"))
    run = runs.open_run(parse_qs(urlparse(page.url).query)["run"][0])

    page.goto(f"{server.url}/segment?run={run.id}")
    expect(page.locator(".st-key-segment_strip figure")).to_have_count(24)
    page.wait_for_function("!document.body.innerText.includes('Epoch 0, the only one so far')")
    slider = page.get_by_role("slider", name="Epoch")
    expect(slider).to_have_attribute("max", "5", timeout=120_000)  # the end follows the run
    expect(page.get_by_text("Test images after epoch 5")).to_be_visible()
    last = mean_iou(page)
    picture = page.locator(".st-key-segment_large img").nth(2).get_attribute("src")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("Test images after epoch 0")).to_be_visible()
    expect(page.locator(".st-key-segment_large img").nth(2)).not_to_have_attribute("src", picture or "")
    page.wait_for_function(IOU_BELOW, arg=last - 15)  # the figures follow the picture

    # Another image by a click, and by the keyboard.
    page.locator(".st-key-segment_strip button").nth(3).click()
    expect(page.locator(".st-key-segment_strip img").nth(3)).to_be_visible()
    slider.focus()
    page.keyboard.press("End")
    expect(page.get_by_text("Test images after epoch 5")).to_be_visible()

    page.get_by_role("radio", name="Your photo").click()
    page.locator("input[type=file]").set_input_files(photo)
    mask = page.get_by_role("img", name=re.compile(r"^shapes\.png with its mask: \w+ covers"))
    expect(mask).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Mask as PNG").click()
    saved = Image.open(download.value.path())
    assert saved.mode == "P" and saved.size == (96, 96)
    assert len(np.unique(np.asarray(saved))) > 1 and np.asarray(saved).max() < 6
