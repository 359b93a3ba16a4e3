"""Sheets of test images, served beside the app: a chart shows one of a thousand images without carrying them all."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from playground.data import catalog, store
from playground.data.catalog import DataError
from playground.data.splits import take_turns
from playground.ui.components.live_chart import Pictures

COUNT, COLUMNS = 1000, 40
"""The sheet of a data set holds so many test images, from all classes; so many in a row."""

LARGEST = 256
"""The side of a tile at most, in pixels; of larger images every second pixel is taken, or every third."""


def _written(dataset: str) -> int:
    return (catalog.find_folder(dataset) / "info.json").stat().st_mtime_ns


def pictures(dataset: str) -> Pictures:
    """Return the sheet of a data set; the set must be on this machine."""
    rows = -(-min(COUNT, catalog.find_info(dataset).test_count) // COLUMNS)
    return Pictures(f"assets/test-images/{dataset}.webp?v={_written(dataset)}", COLUMNS, rows)


def list_shown(data: store.Arrays) -> np.ndarray:
    """Return the test images that are on the sheet, (n,), in the order of its tiles."""
    return take_turns(np.asarray(data.test_targets), COUNT)


@lru_cache(maxsize=8)
def make_sheet(dataset: str, written: int) -> bytes:
    """Lay the images side by side, row by row, as a WebP.

    Args:
        dataset: one that is on this machine.
        written: when its arrays were; another time, another sheet.

    Raises:
        DataError: it cannot be read, or has no test images.
    """
    data = store.open_arrays(dataset)
    images = np.asarray(data.test_images[list_shown(data)])  # (N, C, H, W)
    if not len(images):
        raise DataError(f"the data set {dataset} has no test images")
    step = -(-max(images.shape[2:]) // LARGEST)  # a WebP has at most 16,383 pixels a side
    images = images[:, :, ::step, ::step]
    (height, width), side = images.shape[2:], max(images.shape[2:])
    rows, top, left = -(-len(images) // COLUMNS), (side - height) // 2, (side - width) // 2
    tiles = np.zeros((rows * COLUMNS, side, side, 3), np.uint8)  # square ones, whatever the images are
    # A grey image's one channel becomes three.
    tiles[: len(images), top : top + height, left : left + width] = images.transpose(0, 2, 3, 1)
    pixels = tiles.reshape(rows, COLUMNS, side, side, 3).swapaxes(1, 2).reshape(rows * side, COLUMNS * side, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=90)
    return file.getvalue()


async def serve(request: Request) -> Response:
    """Answer with the sheet of the data set that the path names."""
    dataset = request.path_params["dataset"]
    try:
        if not catalog.is_ready(dataset):
            raise DataError(f"there is no data set {dataset[:60]!r} on this machine")
        content = await run_in_threadpool(make_sheet, dataset, _written(dataset))
    except DataError as error:
        return PlainTextResponse(str(error), status_code=404)
    return Response(content, media_type="image/webp", headers={"Cache-Control": "public, max-age=31536000, immutable"})


ROUTES = (Route("/assets/test-images/{dataset}.webp", serve),)
