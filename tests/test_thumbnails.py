"""The sheet of test images that charts show under the pointer."""

import asyncio
import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from playground.data import catalog, store
from playground.data.catalog import DatasetInfo
from playground.ui.components import thumbnails


def get(name: str) -> Response:
    """Ask for the sheet of a data set, as the server's routes do."""
    request = Request({"type": "http", "path_params": {"dataset": name}})
    with ThreadPoolExecutor() as elsewhere:  # another test's browser may have a loop of its own in this thread
        return elsewhere.submit(lambda: asyncio.run(thumbnails.serve(request))).result()


def test_each_tile_is_its_image(home):
    data = store.open_arrays("cifar10-mini")
    rows = thumbnails.list_shown(data)
    assert np.bincount(data.test_targets[rows]).tolist() == [100] * 10  # from all classes
    images = data.test_images[rows]
    made = thumbnails.pictures("cifar10-mini")
    assert (made.columns, made.rows) == (40, 25)
    assert made.path.startswith("assets/test-images/cifar10-mini.webp?v=")
    answer = get("cifar10-mini")
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    sheet = np.asarray(Image.open(io.BytesIO(answer.body)).convert("RGB"), float)
    assert sheet.shape == (25 * 32, 40 * 32, 3)
    for row in (0, 39, 40, 999):
        top, left = 32 * (row // 40), 32 * (row % 40)
        tile = sheet[top : top + 32, left : left + 32].transpose(2, 0, 1)
        errors = [np.abs(tile - images[other]).mean() for other in (row, row - 1, (row + 1) % 1000)]
        assert errors[0] < 8 and errors[0] == min(errors)  # WebP loses a little


def test_grey_and_few_images(home, monkeypatch):
    pixels = np.arange(3 * 28 * 28, dtype=np.uint32).reshape(3, 1, 28, 28).astype(np.uint8)
    info = DatasetInfo("grey", "Grey", ("a", "b"), 1, 28, 3, 3, "", "", "", mean=(0.5,), std=(0.2,))
    made = store.Arrays(info, pixels, np.zeros(3, np.int64), pixels, np.zeros(3, np.int64))
    monkeypatch.setattr(store, "open_arrays", lambda name: made)
    sheet = Image.open(io.BytesIO(thumbnails.make_sheet("grey", 1)))
    assert sheet.size == (40 * 28, 28)
    assert np.asarray(sheet.convert("RGB"))[:, 4 * 28 :].max() < 8  # where there is no image it is black


@pytest.mark.parametrize(
    ("shape", "side", "inside"),
    [((20, 30), 30, np.s_[5:25, 0:30]), ((30, 20), 30, np.s_[0:30, 5:25]), ((300, 512), 256, np.s_[53:203, 0:256])],
)
def test_images_that_are_not_square_stand_in_the_middle_of_square_tiles(home, shape, side, inside):
    pixels = np.full((2, 3, *shape), 200, np.uint8)
    entry = DatasetInfo("wide", "Wide", ("a", "b"), 3, shape[1], 2, 2, "", "", "", height=shape[0])
    store.write_arrays(entry, pixels, np.array([0, 1]), pixels, np.array([0, 1]))
    answer = get("wide")
    assert answer.status_code == 200
    sheet = np.asarray(Image.open(io.BytesIO(answer.body)).convert("L"))
    assert sheet.shape == (side, 40 * side)
    expected = np.zeros((side, side))
    expected[inside] = 200
    assert np.abs(sheet[:, side : 2 * side] - expected).mean() < 4


def test_a_set_without_test_images_is_one_line(home):
    pixels, targets = np.zeros((2, 3, 8, 8), np.uint8), np.array([0, 1])
    entry = DatasetInfo("none", "None", ("a", "b"), 3, 8, 2, 0, "", "", "")
    store.write_arrays(entry, pixels, targets, pixels[:0], targets[:0])
    assert get("none").status_code == 404


@pytest.mark.parametrize("name", ["nothing-here", "../../etc", "UPPER"])
def test_an_unknown_data_set_is_one_line(home, name):
    answer = get(name)
    assert answer.status_code == 404
    assert b"\n" not in bytes(answer.body)


def test_the_path_changes_when_the_images_do(home):
    store.open_arrays("cifar10-mini")
    before = thumbnails.pictures("cifar10-mini").path
    info = catalog.find_folder("cifar10-mini") / "info.json"
    stamp = info.stat().st_mtime_ns
    try:
        os.utime(info, ns=(stamp + 10**9, stamp + 10**9))
        assert thumbnails.pictures("cifar10-mini").path != before
    finally:
        os.utime(info, ns=(stamp, stamp))
