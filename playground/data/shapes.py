"""Pictures of textured shapes with an exact label for each pixel, drawn from a seed: as many as one likes.

A shape's colour and texture say nothing about its class; only its outline does. So a network has to look at form.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from playground.data.catalog import CATALOG, DataError, DatasetInfo
from playground.data.progress import Progress, Report

CLASSES = ("background", "disc", "square", "triangle", "star", "cross")
LIMITS: dict[str, tuple[int, int] | tuple[float, float]] = {
    "train": (10, 50_000),
    "test": (10, 10_000),
    "size": (32, 256),
    "shapes": (1, 12),
    "occlusion": (0.0, 1.0),
    "noise": (0.0, 0.5),
    "contrast": (0.1, 1.0),
    "seed": (0, 2**31 - 1),
}
"""The lowest and the highest value of whatever can be asked for; whole numbers where the limits are."""
MAX_BYTES = 4 * 2**30
"""The most memory that a set's images and masks may take."""
_TRIES = 20
_TEST_SEED = 2**31
"""What is added to a set's seed for its test images."""

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Difficulty:
    """What makes it harder.

    Attributes:
        shapes: an image holds 1 to this many.
        occlusion: 0 keeps the shapes apart; up to 1, they cover each other, and bars that are background cover them.
        noise: standard deviation of what is added to each pixel, pixels in [0, 1].
        contrast: how far colours lie apart, from 0.1 (hard to see) to 1.
    """

    shapes: int = 4
    occlusion: float = 0.25
    noise: float = 0.04
    contrast: float = 1.0


def _disc(x: Field, y: Field) -> NDArray[np.bool_]:
    return x**2 + y**2 <= 0.85


def _square(x: Field, y: Field) -> NDArray[np.bool_]:
    return np.maximum(np.abs(x), np.abs(y)) <= 0.8


def _triangle(x: Field, y: Field) -> NDArray[np.bool_]:
    return (y <= 0.6) & (y >= 1.9 * abs(x) - 1.1)


def _star(x: Field, y: Field) -> NDArray[np.bool_]:
    turn = np.arctan2(x, -y) * 5 / (2 * np.pi)
    return np.hypot(x, y) <= 0.45 + 0.6 * (2 * abs(turn - np.round(turn)) - 1) ** 2


def _cross(x: Field, y: Field) -> NDArray[np.bool_]:
    x, y = abs(x), abs(y)
    return (np.minimum(x, y) <= 0.27) & (np.maximum(x, y) <= 1)


OUTLINES: tuple[Callable[[Field, Field], NDArray[np.bool_]], ...] = (_disc, _square, _triangle, _star, _cross)
"""Whether a point belongs to a shape of radius 1 about the origin; in the order of the classes after the background."""


def draw(random: Generator, size: int, difficulty: Difficulty) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one image, uint8 (3, size, size), and its mask, uint8 (size, size)."""
    y, x = np.mgrid[:size, :size].astype(np.float32) + 0.5
    image, mask = _texture(random, x, y, size, difficulty), np.zeros((size, size), np.uint8)
    taken: list[tuple[float, float, float]] = []
    for _ in range(random.integers(1, difficulty.shapes + 1)):
        overlaps = random.random() < difficulty.occlusion
        place = _place(random, size, [] if overlaps else taken)
        if place is None:  # there is no room left
            continue
        taken.append(place)
        centre_x, centre_y, radius = place
        angle = random.uniform(0, 2 * np.pi)
        cos, sin = np.cos(angle) / radius, np.sin(angle) / radius
        across, down = x - centre_x, y - centre_y
        kind = int(random.integers(len(OUTLINES)))
        inside = OUTLINES[kind](across * cos + down * sin, down * cos - across * sin)
        image[:, inside] = _texture(random, x, y, size, difficulty)[:, inside]
        mask[inside] = kind + 1
    if random.random() < difficulty.occlusion:
        inside = _bar(random, x, y, size)
        image[:, inside] = _texture(random, x, y, size, difficulty)[:, inside]
        mask[inside] = 0
    image += random.normal(0, difficulty.noise, image.shape).astype(np.float32)
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8), mask


def _place(random: Generator, size: int, taken: list[tuple[float, float, float]]) -> tuple[float, float, float] | None:
    """Return (x, y, radius) of a shape that keeps clear of those that are there."""
    for _ in range(_TRIES):
        radius = random.uniform(0.16, 0.32) * size
        x, y = random.uniform(0.5 * radius, size - 0.5 * radius, 2)
        if all(np.hypot(x - a, y - b) > radius + r for a, b, r in taken):
            return float(x), float(y), float(radius)
    return None


def _bar(random: Generator, x: Field, y: Field, size: int) -> NDArray[np.bool_]:
    angle, width = random.uniform(0, np.pi), random.uniform(0.03, 0.08) * size
    through = random.uniform(0.3, 0.7, 2) * size
    return abs((x - through[0]) * np.cos(angle) + (y - through[1]) * np.sin(angle)) <= width


def _texture(random: Generator, x: Field, y: Field, size: int, difficulty: Difficulty) -> Field:
    """Fill the picture with two colours in stripes, checks, blotches or a gradient: (3, size, size) in [0, 1]."""
    middle = random.uniform(0, 1, 3)
    colours = 0.5 + difficulty.contrast * (np.stack([middle, middle + random.uniform(-0.35, 0.35, 3)]) - 0.5)
    angle, waves = random.uniform(0, np.pi), random.uniform(2, 7) * 2 * np.pi / size
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    match random.integers(4):
        case 0:
            share = 0.5 + 0.5 * np.sin(along * waves)
        case 1:
            share = (np.sin(along * waves) * np.sin(across * waves) > 0).astype(np.float32)
        case 2:
            coarse = random.random((5, 5)).astype(np.float32)
            at = np.linspace(0, 3.999, size)
            cell, rest = at.astype(int), (at % 1).astype(np.float32)
            rows = coarse[cell] * (1 - rest)[:, None] + coarse[cell + 1] * rest[:, None]
            share = rows[:, cell] * (1 - rest) + rows[:, cell + 1] * rest
        case _:
            share = (along - along.min()) / max(float(np.ptp(along)), 1e-6)
    low, high = colours[0].astype(np.float32), colours[1].astype(np.float32)
    return (low[:, None, None] + (high - low)[:, None, None] * share.astype(np.float32)[None]).clip(0, 1)


def generate(
    count: int, size: int, seed: int, difficulty: Difficulty, report: Report | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw images (count, 3, size, size) and masks (count, size, size). The same seed draws the same, in any number."""
    images, masks = np.empty((count, 3, size, size), np.uint8), np.empty((count, size, size), np.uint8)
    for i in range(count):
        images[i], masks[i] = draw(np.random.default_rng((seed, i)), size, difficulty)
        if report and i % 100 == 0:
            report(Progress(i, count, "Drawing shapes"))
    return images, masks


def first_test_images(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw the first test images of the bundled set, and their masks, without drawing the whole set."""
    return generate(count, CATALOG["shapes"].size, _TEST_SEED, Difficulty())


def draw_parts(
    entry: DatasetInfo, seed: int = 0, difficulty: Difficulty | None = None, report: Report | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a data set of `entry.train_count` and `entry.test_count` images.

    Returns:
        The images and masks to train with, then those to test with, as `generate` draws them.

    Raises:
        DataError: a number is out of its limits; one line.
    """
    difficulty = difficulty or Difficulty()
    asked = {"train": entry.train_count, "test": entry.test_count, "size": entry.size, "seed": seed}
    for name, value in (asked | asdict(difficulty)).items():
        low, high = LIMITS[name]
        if not low <= value <= high:
            kind = "whole number" if isinstance(low, int) else "number"
            raise DataError(f"{name} cannot be {value}; it takes a {kind} from {low:g} to {high:,}")
    if (entry.train_count + entry.test_count) * 4 * entry.size**2 > MAX_BYTES:
        raise DataError(f"images of {entry.size} px are too many; draw fewer, or smaller ones")
    train = generate(entry.train_count, entry.size, seed, difficulty, report)
    test = generate(entry.test_count, entry.size, seed + _TEST_SEED, difficulty, report)
    return *train, *test
