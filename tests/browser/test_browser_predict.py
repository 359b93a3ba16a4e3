"""A person shows photos to a network, in a real browser on a fresh server."""

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

TINY = {"channels": "4-4", "fc_width": 8, "device": "cpu", "precision": "float32", "threads": 1, "images_per_class": 20}


@pytest.fixture(scope="module")
def trained(server: Server) -> RunFolder:
    made = runs.create_run(from_flat(TINY | {"epochs": 2}), "small net")
    assert run_worker(made, Slot("cpu", 1)).state == "finished"
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A ship at sea, as a phone lays it down: turned, with a note that says so."""
    upright = Image.new("RGB", (600, 900), (120, 180, 230))
    draw = ImageDraw.Draw(upright)
    draw.rectangle((0, 600, 600, 900), fill=(30, 80, 140))
    draw.polygon(((150, 600), (450, 600), (400, 680), (200, 680)), fill=(140, 60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "ship.jpg", exif=exif, quality=92)
    return tmp_path / "ship.jpg"


def upload(page: Page, *paths: Path) -> None:
    page.get_by_role("radio", name=re.compile("Upload")).click()
    page.locator("input[type=file]").set_input_files(list(paths))


def bars(page: Page, side: str = ""):
    return page.locator(f".st-key-predict_bars{side} [aria-label^='The likeliest classes']")


def test_a_photo_is_shown_cropped_and_judged(page: Page, server: Server, trained: RunFolder, photo: Path):
    page.goto(f"{server.url}/predict?run={trained.id}")
    expect(page.get_by_text("The network says")).to_be_visible()
    upload(page, photo)
    # Turned upright: wider files are taller photos.
    expect(page.get_by_text("ship.jpg, 600 × 900 pixels; the network sees the square")).to_be_visible()
    expect(page.get_by_text("The network sees 32 × 32 pixels")).to_be_visible()
    expect(
        page.get_by_role("img", name="ship.jpg, with the centred square that the network sees outlined")
    ).to_be_visible()
    expect(bars(page)).to_have_attribute("aria-label", re.compile(r"after epoch 2: (\w+ \d+\.\d %(, )?){5}$"))
    page.wait_for_function("document.querySelector('.st-key-predict_bars .live-chart')?.data?.[0]?.x?.length === 5")

    # Another epoch: the chart stays where it is and says something else.
    before = bars(page).get_attribute("aria-label")
    page.evaluate("document.querySelector('.st-key-predict_bars .live-chart').mark = 'same node'")
    slider = page.get_by_role("slider", name="Epoch")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**epoch=1*")
    expect(bars(page)).not_to_have_attribute("aria-label", before or "")
    assert page.evaluate("document.querySelector('.st-key-predict_bars .live-chart').mark") == "same node"


def test_a_file_that_is_no_photo_is_one_line(page: Page, server: Server, trained: RunFolder, tmp_path: Path):
    page.goto(f"{server.url}/predict?run={trained.id}")
    (tmp_path / "notes.txt").write_text("a cat, in words")
    upload(page, tmp_path / "notes.txt")
    expect(page.get_by_role("alert")).to_have_text(re.compile("This is a text file, not a photo that can be read"))
    expect(page.get_by_role("combobox", name=re.compile("^Selected small net|Run"))).to_be_visible()


def test_a_test_image_is_chosen_with_the_keyboard(page: Page, server: Server, trained: RunFolder):
    page.goto(f"{server.url}/predict?run={trained.id}")
    images = page.locator(".gallery button")
    expect(images).to_have_count(60)
    expect(images.first).to_have_attribute("aria-pressed", "true")
    images.nth(7).focus()
    page.keyboard.press("Enter")
    expect(images.nth(7)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("img", name="Test image 7, cropped and shrunk to 32 by 32 pixels")).to_be_visible()


def test_it_follows_a_run_that_trains_and_rests_when_it_is_over(page: Page, server: Server, trained: RunFolder):
    from playground.jobs import client

    made = runs.create_run(from_flat(TINY | {"epochs": 40}), "at work")
    client.submit_run(made)
    page.goto(f"{server.url}/predict?run={made.id}&run2={trained.id}&epoch2=1")
    expect(bars(page)).to_have_attribute("aria-label", re.compile("after epoch"))
    expect(bars(page)).to_have_attribute("aria-label", re.compile("after epoch 40:"), timeout=90_000)
    assert "after epoch 1:" in (bars(page, "2").get_attribute("aria-label") or "")
    assert f"run={made.id}&run2={trained.id}&epoch2=1" in page.url  # it follows: no epoch in the link
    expect(page.get_by_role("combobox").first).to_be_visible()
