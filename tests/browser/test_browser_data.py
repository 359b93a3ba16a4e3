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


def test_a_zip_with_masks_becomes_a_data_set(page: Page, server: Server, streets: Path):
    page.goto(f"{server.url}/data")
    page.get_by_text("Use your own images").click()
    expect(page.get_by_role("slider", name="Size of the images (px)").first).to_be_visible()
    page.locator("input[type=file]").set_input_files(streets)
    expect(page.get_by_text("It holds images with masks: a label for each pixel.")).to_be_visible()
    expect(page.get_by_role("slider", name="Long side of the images (px)")).to_be_visible()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("2 classes, 7 training and 2 test images of 128 × 85 pixels.")).to_be_visible()
    expect(page.get_by_text("1 file was left out")).to_be_visible()
    picture = page.get_by_role("img", name="Training images of My streets, each above its mask")
    expect(picture).to_be_visible()
    card = page.locator(".st-key-card_my-streets")
    expect(card.get_by_role("note")).to_have_text(re.compile(r"^(sky|road) \d+\.\d % ?(sky|road) \d+\.\d %$"))
    expect(card.get_by_text("grey has no class")).to_be_visible()
    assert catalog.info("my-streets").classes == ("sky", "road")


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
    made = catalog.info("harder-ones")
    assert (made.train_count, made.test_count) == (40, 20) and "noise 0.07" in made.source
