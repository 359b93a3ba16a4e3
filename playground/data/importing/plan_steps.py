"""What the plans of class folders and of masks have in common: sizes, splits, and files that cannot be read."""

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np

from playground.data.catalog import DataError
from playground.data.importing.layout import Item
from playground.data.importing.mask_files import MAX_IN_ONE, MaskLook, look_at, middle_share
from playground.data.importing.plan import Corrections
from playground.data.importing.sources import MAX_TOTAL, File
from playground.images import ImageError
from playground.tasks import TASKS
from playground.zips import ZipError

DAMAGED = "It is damaged or cannot be unpacked"
UNPACKING = (ZipError, OSError)
"""What reading a damaged file raises."""


@dataclass
class Memo:
    """What has been read of a set's files, so that a correction does not read them again."""

    digests: dict[PurePosixPath, bytes | str] = field(default_factory=dict)
    masks: dict[PurePosixPath, MaskLook | str] = field(default_factory=dict)
    shapes: dict[PurePosixPath, tuple[int, int] | str] = field(default_factory=dict)
    pictures: dict[PurePosixPath, bool] = field(default_factory=dict)


def is_mask_like(file: File) -> bool:
    """Say whether a picture has few values, or is black and white but for noise."""
    try:
        look = look_at(file.read())
    except (ImageError, *UNPACKING):
        return False
    return (not look.lossy and look.distinct <= MAX_IN_ONE // 2) or middle_share([look]) is not None


def plural(count: int, word: str) -> str:
    """Write a count: "1 image", "2,000 images"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(names: list[str]) -> str:
    """Write some names: "a, b, c, d and 7 more"."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def image_size(corrections: Corrections, task: str) -> int:
    """Return the (long) side of the images.

    Raises:
        DataError: it is out of its range.
    """
    asked = TASKS[task]
    size = asked.side if corrections.size is None else corrections.size
    low, high = asked.sides
    if not low <= size <= high:
        what = "images with masks" if asked.target == "mask" else "images"
        raise DataError(f"{what} cannot be resized to {size} px; choose {low} to {high}")
    return size


def need_memory(count: int, each: int, size: int) -> None:
    """Make sure that the images fit into memory.

    Raises:
        DataError: they do not.
    """
    if count * each > MAX_TOTAL:
        raise DataError(f"{count:,} images of {size} px are more than fits into memory; choose a smaller size")


def with_validation(items: list[Item], corrections: Corrections) -> list[Item]:
    """Say of validation images what they are for: to test on where there are no others, else as a person wishes."""
    if not any(item.part == "test" for item in items):
        return [replace(item, part="test") if item.part == "val" else item for item in items]
    used = [item for item in items if item.part != "val" or corrections.train_on == "train+val"]
    return [replace(item, part="train") if item.part == "val" else item for item in used]


def hold_back(items: list[Item], corrections: Corrections) -> tuple[list[bool], bool]:
    """Say of each image whether it is tested on, and whether the set says so itself.

    Each class keeps images to learn from, and gives some to test on if it can.

    Raises:
        DataError: no image is left to learn from, or to test on; one line.
    """
    if items[0].part is not None:
        test = np.array([item.part == "test" for item in items])
    else:
        test = np.zeros(len(items), bool)
        random = np.random.default_rng(corrections.seed)
        labels = [item.label for item in items]
        for label in sorted(set(labels)) if labels[0] else [""]:
            rows = random.permutation([k for k, other in enumerate(labels) if other == label])
            test[rows[: min(max(1, round(len(rows) * corrections.test_share)), len(rows) - 1)]] = True
    if test.all() or not test.any():
        left = "to learn from" if test.all() else "to test on"
        raise DataError(f"no image is left {left}; give at least two different images of a class")
    return test.tolist(), items[0].part is not None


def first_error(error: Exception) -> str:
    """Say why a file could not be read."""
    return str(error) if isinstance(error, ImageError) else DAMAGED
