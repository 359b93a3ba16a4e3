"""A person slides a network over a scene and a photo, in a real browser on a fresh server."""

import re
from pathlib import Path

import pytest
from browser_support import Server
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from playground import runs
from playground.config import from_flat
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)

TINY = {"channels": "4-4", "fc_width": 8, "padding": "0", "batch_size": 16, "images_per_class": 60, "epochs": 2}
PLAIN = {"device": "cpu", "precision": "float32", "threads": 1}


@pytest.fixture(scope="module")
def trained(server: Server) -> RunFolder:
    made = runs.create_run(from_flat(TINY | PLAIN), "small net")
    assert run_worker(made, Slot("cpu", 1)).state == "finished"
    return made


def pictures(page: Page):
    return page.locator(".st-key-segment_pictures figure")


def bars(page: Page):
    return page.locator(".st-key-segment_point_chart [aria-label^='The likeliest classes at']")


def test_a_scene_is_labelled_and_a_point_is_looked_at(page: Page, server: Server, trained: RunFolder):
    page.goto(f"{server.url}/segment?run={trained.id}")
    expect(page.get_by_text(re.compile(r"[\d,]+ regions in \d+\.\d\d s, in one pass a scale\."))).to_be_visible()
    expect(page.get_by_text("of the pixels are right")).to_be_visible()
    expect(pictures(page)).to_have_count(3)
    expect(page.get_by_role("img", name=re.compile("Scene 0. What is there: "))).to_be_visible()
    expect(bars(page)).to_have_attribute("aria-label", re.compile("at row 128, column 128: "))

    # A click in a corner, then the arrow keys: each goes on by one stride.
    button = pictures(page).first.get_by_role("button")
    button.click(position={"x": 20, "y": 280})
    expect(bars(page)).to_have_attribute("aria-label", re.compile("at row 236, column 20: "))
    button.focus()
    page.keyboard.press("ArrowRight")
    expect(bars(page)).to_have_attribute("aria-label", re.compile("at row 236, column 28: "))
    page.keyboard.press("ArrowUp")
    expect(bars(page)).to_have_attribute("aria-label", re.compile("at row 228, column 28: "))
    page.wait_for_function("document.querySelector('.st-key-segment_areas_chart .live-chart')?.data?.[0]?.x?.length")

    # Another scene: other pictures, in the same place.
    before = pictures(page).first.locator("img").get_attribute("src")
    page.get_by_role("button", name="Increment Scene").or_(page.get_by_test_id("stNumberInputStepUp")).first.click()
    expect(pictures(page).first.locator("img")).to_have_attribute("alt", re.compile("^Scene 1. "))
    assert pictures(page).first.locator("img").get_attribute("src") != before


def test_a_photo_is_labelled_and_a_tiny_one_refused(page: Page, server: Server, trained: RunFolder, tmp_path: Path):
    photo = Image.new("RGB", (700, 400), (120, 180, 230))
    ImageDraw.Draw(photo).rectangle((0, 250, 700, 400), fill=(30, 80, 140))
    photo.save(tmp_path / "sea.jpg")
    photo.resize((50, 40)).save(tmp_path / "tiny.png")
    page.goto(f"{server.url}/segment?run={trained.id}")
    page.get_by_role("radio", name=re.compile("Upload")).click()
    page.locator("input[type=file]").set_input_files(tmp_path / "sea.jpg")
    expect(page.get_by_text("Shrunk from 700 × 400 to 512 × 293 pixels.")).to_be_visible()
    expect(pictures(page)).to_have_count(2)
    expect(page.get_by_role("img", name=re.compile("sea.jpg. What the network says: "))).to_be_visible()
    page.locator("input[type=file]").set_input_files(tmp_path / "tiny.png")
    expect(page.get_by_role("alert")).to_have_text(re.compile("The image is 50 × 40 pixels, smaller than a region"))
    expect(page.get_by_role("slider", name="Region size")).to_be_visible()
