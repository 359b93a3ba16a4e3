"""A person takes in images with masks, and draws shapes, in a real browser on a fresh server."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browser_support import Server
from PIL import Image
from playwright.sync_api import Page, expect

from playground.data import catalog

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Ten pictures, 60 × 40: sky above, road below, and a border that has no class; one mask of another size."""
    random, path = np.random.default_rng(0), tmp_path / "My streets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(10):
            mask = np.zeros((40, 60), np.uint8)
            mask[15 + i :] = 1
            mask[:, :3] = 255
            image = (np.where(mask == 1, 60, 200)[..., None] + random.integers(-40, 40, (40, 60, 3))).astype(np.uint8)
            for kind, pixels in (("images", image), ("masks", mask[:-1] if i == 9 else mask)):
                out = io.BytesIO()
                Image.fromarray(pixels).save(out, "PNG")
                archive.writestr(f"{kind}/street{i}.png", out.getvalue())
        archive.writestr("classes.txt", "sky\nroad\n")
    return path


def test_a_zip_with_masks_is_looked_at_corrected_and_becomes_a_data_set(page: Page, server: Server, streets: Path):
    page.goto(f"{server.url}/data")
    page.get_by_text("Use your own images").click()
    page.locator("input[type=file]").set_input_files(streets)
    expect(
        page.get_by_text("a label for each pixel: 2 classes, 7 images to learn from and 2 to test on")
    ).to_be_visible()
    expect(page.get_by_role("img", name="Samples: images, masks over them, masks")).to_be_visible()
    expect(page.get_by_text("5.0 % of the pixels are ignored")).to_be_visible()
    expect(page.get_by_text("1 file was left out")).to_be_visible()
    page.get_by_role("button", name="Correct it").click()
    page.get_by_role("spinbutton", name="Ignored value").fill("7")
    page.keyboard.press("Tab")
    expect(page.get_by_text("no image has a mask that can be used").first).to_be_visible()
    page.get_by_role("spinbutton", name="Ignored value").fill("255")
    page.keyboard.press("Tab")
    expect(page.get_by_text("5.0 % of the pixels are ignored")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("2 classes, 7 training and 2 test images of 128 × 85 pixels.")).to_be_visible()
    card = page.locator(".st-key-new_card")
    expect(card.get_by_role("img", name="Training images of My streets, each above its mask")).to_be_visible()
    expect(card.get_by_role("note")).to_have_text(re.compile(r"^(sky|road) \d+\.\d % ?(sky|road) \d+\.\d %$"))
    expect(card.get_by_text("grey has no class")).to_be_visible()
    expect(card.get_by_role("link", name="Train on it")).to_be_in_viewport()
    assert catalog.find_info("my-streets").classes == ("sky", "road")


def test_import_waits_for_an_answer(page: Page, server: Server, tmp_path: Path):
    random, path = np.random.default_rng(1), tmp_path / "greys.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            mask = np.full((40, 60), 128, np.uint8)
            mask[: 10 + i], mask[30:] = 0, 255
            for kind, pixels in (("imgs", random.integers(0, 256, (40, 60, 3), np.uint8)), ("labels", mask)):
                out = io.BytesIO()
                Image.fromarray(pixels).save(out, "PNG")
                archive.writestr(f"{kind}/{i}.png", out.getvalue())
    page.goto(f"{server.url}/data")
    page.get_by_text("Use your own images").click()
    page.locator("input[type=file]").set_input_files(path)
    asked = page.get_by_role("button", name="Import", exact=True)
    expect(page.get_by_text("In doubt")).to_be_visible()
    expect(asked).to_be_disabled()
    page.get_by_text("255 is a class").click()
    expect(page.get_by_text("a label for each pixel: 3 classes")).to_be_visible()
    expect(asked).to_be_enabled()
    asked.click()
    expect(page.locator(".st-key-new_card").get_by_role("link", name="Train on it")).to_be_in_viewport()
    assert catalog.find_info("greys").classes == ("class 0", "class 128", "class 255")


def test_shapes_are_drawn_with_the_keyboard(page: Page, server: Server):
    page.goto(f"{server.url}/data")
    page.get_by_text("Draw shapes", exact=True).click()
    image, mask = (page.locator(".st-key-own_shapes").get_by_role("img", name=n) for n in ("The first", "Its mask"))
    expect(mask).to_be_visible()
    before, same = image.get_attribute("src") or "", mask.get_attribute("src") or ""
    page.get_by_role("slider", name="Noise").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(image).not_to_have_attribute("src", before)
    expect(mask).to_have_attribute("src", same)
    page.get_by_role("spinbutton", name="Training images").fill("40")
    page.get_by_role("spinbutton", name="Test images").fill("20")
    page.locator(".st-key-draw_name input").fill("Harder ones")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Draw", exact=True).press("Enter")
    expect(page.get_by_role("img", name="Training images of Harder ones, each above its mask")).to_be_visible()
    made = catalog.find_info("harder-ones")
    assert (made.train_count, made.test_count) == (40, 20) and "noise 0.07" in made.source
