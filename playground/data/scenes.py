"""Composed scenes: regions with curved boundaries, each filled with images of one class, so the true map is known."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.errors import PlaygroundError

MAX_REGIONS = 16
SEAM = 4
"""Pixels over which two neighbouring images fade into each other."""


class SceneError(PlaygroundError, ValueError):
    """A scene that cannot be composed."""


@dataclass(frozen=True, eq=False)
class Mosaic:
    """A scene.

    Attributes:
        image: (size, size, 3) uint8.
        labels: (size, size) uint8, an index into the data set's classes for each pixel.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def compose_scene(
    images: NDArray[np.uint8], targets: NDArray[np.integer], *, seed: int, regions: int, size: int = 256
) -> Mosaic:
    """Compose a scene; the same arguments give the same scene.

    Args:
        images: (N, C, H, W), such as a data set's test images.
        targets: (N,) in [0, 255); where it has classes enough, no two regions share one.
        seed: of all that is random.
        regions: how many, 1 to `MAX_REGIONS`.
        size: the side in pixels, at least that of an image.

    Raises:
        SceneError: the number of regions or the size is out of bounds, or there are no images or too many classes.
    """
    if not 1 <= regions <= MAX_REGIONS:
        raise SceneError(f"A scene cannot have {regions} regions; it takes 1 to {MAX_REGIONS}")
    if not len(images):
        raise SceneError("There are no images to compose a scene of; choose a run whose data set has test images")
    if size < max(images.shape[2:]):
        raise SceneError(f"A scene of {size} pixels cannot hold an image of {max(images.shape[2:])}; make it larger")
    present = np.unique(targets)
    if present.max() > 254:
        raise SceneError("A scene takes classes 0 to 254; this data set has more")
    random = np.random.default_rng(seed)
    cells = _cells(random, regions, size)
    classes = np.resize(random.permutation(present), regions)
    scene = np.zeros((size, size, 3), np.uint8)
    for cell, label in enumerate(classes):
        inside = cells == cell
        if not inside.any():
            continue
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        filling = _fill(random, images, np.flatnonzero(targets == label), inside[box].shape)
        scene[box][inside[box]] = filling[inside[box]]
    return Mosaic(scene, classes.astype(np.uint8)[cells])


def _cells(random: np.random.Generator, count: int, size: int) -> NDArray[np.intp]:
    """Return (size, size), the number of each pixel's cell: a Voronoi diagram seen through waves."""
    # Mitchell's best candidate: of ten random points the one farthest from all so far, so that no cell is a sliver.
    points = random.uniform(0, size, (1, 2))
    while len(points) < count:
        offered = random.uniform(0, size, (10, 2))
        nearest = np.linalg.norm(offered[:, None] - points[None], axis=2).min(1)
        points = np.concatenate([points, offered[nearest.argmax()][None]])
    place = np.indices((size, size), float).transpose(1, 2, 0)
    warped = place.copy()
    for axis in (0, 1):
        for _ in range(3):
            wave, phase = random.uniform(-3, 3, 2) * 2 * math.pi / size, random.uniform(0, 2 * math.pi)
            warped[..., axis] += size / 24 * np.sin(place @ wave + phase)
    return np.linalg.norm(warped[:, :, None] - points, axis=3).argmin(2)


def _fill(
    random: np.random.Generator, images: NDArray[np.uint8], own: NDArray[np.intp], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Lay random images out side by side, all 1 to 2 times their size, at a random offset: (*shape, 3) uint8.

    Args:
        own: the numbers of the images to choose from.
    """
    side = round(max(images.shape[2:]) * random.uniform(1, 2))
    ramp = np.minimum(np.arange(side) + 1, SEAM + 1) / (SEAM + 1)
    weight = np.outer(ramp * ramp[::-1], ramp * ramp[::-1])[..., None]
    pitch = side - SEAM
    offset = random.integers(0, pitch, 2)
    tall, wide = (math.ceil((n + start) / pitch) for n, start in zip(shape, offset, strict=True))
    canvas = np.zeros((tall * pitch + SEAM, wide * pitch + SEAM, 3))
    weights = np.zeros((*canvas.shape[:2], 1))
    for row, column in np.ndindex(tall, wide):
        tile = images[random.choice(own)]
        tile = np.broadcast_to(tile, (3, *tile.shape[1:])).transpose(1, 2, 0)
        tile = tile[:, ::-1] if random.random() < 0.5 else tile
        large = np.asarray(Image.fromarray(np.ascontiguousarray(tile)).resize((side, side), Image.Resampling.BICUBIC))
        at = np.s_[row * pitch : row * pitch + side, column * pitch : column * pitch + side]
        canvas[at] += weight * large
        weights[at] += weight
    top, left = offset
    part = np.s_[top : top + shape[0], left : left + shape[1]]
    return np.rint(canvas[part] / weights[part]).astype(np.uint8)
