"""A person looks into a network while it trains, in a real browser on a fresh server."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browser_support import Server, new_page
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect

from playground import runs
from playground.config import from_flat
from playground.jobs import client
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunFolder

pytestmark = pytest.mark.timeout(300)

TINY = {"channels": "4-4", "fc_width": 8, "device": "cpu", "precision": "float32", "threads": 1, "images_per_class": 20}


@pytest.fixture(scope="module")
def trained(server: Server) -> RunFolder:
    made = runs.create_run(from_flat(TINY | {"epochs": 4, "learning_rate": 0.02}), "looked into")
    assert run_worker(made, Slot("cpu", 1)).state == "finished"
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image = Image.new("RGBA", (640, 420), (120, 180, 230, 255))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 300, 640, 420), fill=(30, 80, 140, 255))
    draw.polygon(((200, 300), (440, 300), (400, 350), (240, 350)), fill=(140, 60, 40, 200))
    image.save(tmp_path / "boat.png")
    return tmp_path / "boat.png"


def view(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).click()


def upload(page: Page, photo: Path) -> None:
    page.get_by_role("button", name="Choose an image").click()
    page.get_by_role("radio", name=re.compile("Upload")).click()
    page.locator("input[type=file]").set_input_files(photo)
    expect(verdict(page)).to_have_attribute("alt", re.compile(r"^boat\.png as the network sees it"))
    page.keyboard.press("Escape")


def verdict(page: Page) -> Locator:
    return page.locator(".st-key-inside_seen img")


def curve(page: Page) -> dict[str, list[float]]:
    """What the chart of the probabilities shows, by class: {"cat": [per cent at each epoch, …], "epochs": […]}."""
    chart = "document.querySelector('.st-key-inside_over_time .live-chart')"
    page.wait_for_function(f"{chart}?.data?.[0]?.y?.length > 1")
    traces = json.loads(page.evaluate(f"JSON.stringify({chart}.data.map(t => [t.name, t.x, t.y]))"))
    return {name: y for name, _, y in traces} | {"epochs": traces[0][1]}


def move(page: Page, key: str, done: Callable[[str], bool]) -> None:
    """Press a key on the slider until the address says so: each new epoch of a live run brings a new slider."""
    for _ in range(15):
        page.get_by_role("slider", name="Epoch").focus()
        page.keyboard.press(key)
        with contextlib.suppress(TimeoutError):
            page.wait_for_url(done, timeout=2000)
            return
    raise AssertionError(f"{key} moves no slider: {page.url}")


def test_a_photo_is_followed_through_the_epochs_of_a_run_that_trains(page: Page, server: Server, photo: Path):
    made = runs.create_run(from_flat(TINY | {"epochs": 1000, "learning_rate": 0.02, "images_per_class": 60}), "at work")
    client.submit_run(made)
    page.goto(f"{server.url}/inside?run={made.id}")
    upload(page, photo)
    view(page, "Over time")
    early = curve(page)
    # The slider's end follows the run, and so does the curve.
    slider = page.get_by_role("slider", name="Epoch")
    first = slider.get_attribute("aria-valuetext") or ""
    # (By their names: how many epochs there are may fall, because a long run keeps every other one.)
    page.wait_for_function(
        "last => document.querySelector('.st-key-inside_over_time .live-chart').data[0].x.at(-1) > last",
        arg=early["epochs"][-1],
    )
    expect(slider).not_to_have_attribute("aria-valuetext", first)
    assert runs.open_run(made.id).status().active

    # Back to the untrained network, while it trains on: what it says of the photo is what it said then.
    move(page, "Home", lambda url: "epoch=0" in url)
    expect(page.locator(".st-key-inside_over_time [aria-label]").first).to_have_attribute(
        "aria-label", re.compile("at epoch 0: ")
    )
    untrained = verdict(page).get_attribute("alt") or ""
    note = page.locator(".st-key-inside_seen small")
    said = note.inner_text()
    probs = {name: shares[0] for name, shares in curve(page).items() if name != "epochs"}
    guess = max(probs, key=lambda name: probs[name])
    assert untrained.endswith(f"predicted as {guess}") and f"{probs[guess]:.1f}" in said
    assert abs(sum(probs.values()) - 100) < 0.5  # of ten classes all are drawn

    # And forward again: the answer has changed.
    move(page, "End", lambda url: "epoch=" not in url)
    expect(note).not_to_have_text(said)
    client.stop_run(made)
    view(page, "Feature maps")
    # input; two blocks of convolution, norm, activation, pooling, dropout; flatten, fc1 with two more, output, softmax
    expect(page.locator(".st-key-inside_network figure")).to_have_count(1 + 2 * 5 + 6)


def test_a_click_and_the_arrow_keys_choose_a_map_and_a_pixel(page: Page, server: Server, trained: RunFolder):
    page.goto(f"{server.url}/inside?run={trained.id}")
    layer = page.locator(".st-key-inside_network figure").filter(has_text="block1.conv1").locator("button")
    layer.scroll_into_view_if_needed()
    box = layer.bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])  # the second of 2 × 2
    enlarged = page.locator(".st-key-inside_map_large img").first
    expect(enlarged).to_have_attribute("alt", re.compile("^Map 1 of block1.conv1, enlarged; row 16, column 16"))
    sums = page.locator("[data-testid=stCode]").first
    before = sums.inner_text()
    page.locator(".st-key-inside_map_large button").first.focus()
    page.keyboard.press("ArrowRight")
    expect(enlarged).to_have_attribute("alt", re.compile("row 16, column 17"))
    expect(sums).not_to_have_text(before)
    expect(page.get_by_role("spinbutton", name=re.compile("^Column"))).to_have_value("17")


def test_the_epochs_play_and_stop_at_the_end(page: Page, server: Server, trained: RunFolder):
    page.goto(f"{server.url}/inside?run={trained.id}")
    expect(verdict(page)).to_be_visible()
    page.get_by_role("button", name="Play").click()
    page.wait_for_url("**epoch=0*")
    page.wait_for_url("**epoch=2*")
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # it has come to the end
    page.wait_for_url(lambda url: "epoch=" not in url)


def test_an_image_of_the_plane_is_shown_and_chosen(page: Page, server: Server, trained: RunFolder):
    page.goto(f"{server.url}/inside?run={trained.id}")
    view(page, "Embedding")
    points = page.locator(".st-key-inside_embedding .scatterlayer .point")
    expect(points).to_have_count(1000)
    box = points.nth(120).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    picture = page.locator(".live-chart-picture")
    expect(picture).to_be_visible()
    assert "assets/test-images/cifar10-mini.webp" in (picture.get_attribute("style") or "")
    row = re.search(r"test image (\d+)", page.locator(".st-key-inside_embedding .hoverlayer").text_content() or "")
    assert row
    page.mouse.down()
    page.mouse.up()
    expect(verdict(page)).to_have_attribute("alt", re.compile(f"^Test image {row[1]} as the network sees it"))


def test_an_edited_kernel_changes_what_is_seen_for_one_person_alone(
    browser: Browser, page: Page, server: Server, trained: RunFolder
):
    other = new_page(browser)
    for tab in (page, other):
        tab.goto(f"{server.url}/inside?run={trained.id}")
        view(tab, "Edit")
        expect(tab.get_by_role("button", name="Blur")).to_be_visible()
    bars = ".st-key-inside_bars_after [aria-label]"
    untouched = other.locator(bars).first.get_attribute("aria-label")
    before = page.locator(bars).first.get_attribute("aria-label")
    page.get_by_role("button", name="Blur").click()
    expect(page.locator(bars).first).not_to_have_attribute("aria-label", before or "")
    other.reload()
    view(other, "Edit")
    expect(other.locator(bars).first).to_have_attribute("aria-label", untouched or "")
    other.close()
