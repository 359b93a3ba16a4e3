"""A person's own images: a zip of class folders, or a folder of them; and sets of shapes drawn to their wishes.

Everything in it is untrusted: `playground.data.sources` checks what it says about itself before anything is read, and
`playground.images` decodes the images, one at a time.
"""

import hashlib
import re
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from playground.data import shapes, store
from playground.data.catalog import CATALOG, NAME, DataError, DatasetInfo, is_ready
from playground.data.shapes import Difficulty
from playground.data.sources import MAX_TOTAL, File, Skipped, Source, opened
from playground.data.store import Progress, Report
from playground.images import EXTENSIONS, ImageError, fit_to, read_image
from playground.zips import ZipError

MAX_CLASSES = 1000
SIZES = (16, 256)
"""The smallest and the largest side that images can be resized to, in pixels."""

TRAIN, VAL, TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
"""What the folders of a split are called."""
DAMAGED = "It is damaged or cannot be unpacked"
UNPACKING = (ZipError, OSError)
"""What reading a damaged file raises."""


@dataclass(frozen=True)
class ImportReport:
    """What became of an import.

    Attributes:
        info: the new data set.
        skipped: (path, reason) of each file that was left out.
        duplicates: how many images were left out because another one is the same, pixel by pixel, once resized.
    """

    info: DatasetInfo
    skipped: Skipped
    duplicates: int


@dataclass(frozen=True)
class _Image:
    """A file with its place in the set; `test` is None where the set leaves it to us."""

    file: File
    label: str
    test: bool | None


def slug(name: str) -> str:
    """Make a data set's name of what a person typed: "My cats!" becomes "my-cats".

    Raises:
        DataError: nothing is left of it, or a data set of that name exists.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9_]+", "-", plain).lstrip("-_")[:64].rstrip("-")
    if not NAME.fullmatch(made):
        raise DataError(f"{name[:60]!r} cannot be a data set's name; use some of the letters a to z and digits")
    if made in CATALOG or is_ready(made):
        raise DataError(f"there is a data set {made} already; choose another name")
    return made


@contextmanager
def claimed(name: str) -> Generator[None]:
    """Hold the lock of a new data set while it is written.

    Raises:
        DataError: there is one of that name by now.
    """
    with store.locked(name):
        if is_ready(name):
            raise DataError(f"there is a data set {name} already; choose another name")
        yield


def describe(name: str, title: str, classes: tuple[str, ...], size: int) -> DatasetInfo:
    """Return the entry of a person's own images, as far as it is known before they are written."""
    return DatasetInfo(
        name=name,
        title=" ".join(title.split())[:80],
        classes=classes,
        channels=3,
        size=size,
        train_count=0,
        test_count=0,
        licence="Your own images",
        source="Imported on this computer",
        citation="",
    )


def draw_shapes(
    name: str,
    train: int = 2000,
    test: int = 500,
    size: int = 64,
    difficulty: Difficulty | None = None,
    seed: int = 0,
    progress: Report | None = None,
) -> DatasetInfo:
    """Draw a data set of shapes, with a label for each pixel, as easy or hard as one likes.

    Args:
        name: what the person calls it.
        train, test: how many images; size: their side in pixels; seed: which. `shapes.LIMITS` bounds them.
        progress: told of the images; raise in it to cancel.

    Raises:
        DataError: a data set of that name exists, or a number is out of its limits; one line.
    """
    made, difficulty = slug(name), difficulty or Difficulty()
    knobs = ", ".join(f"{knob} {value:g}" for knob, value in asdict(difficulty).items())
    entry = replace(
        CATALOG["shapes"],
        name=made,
        title=" ".join(name.split())[:80],
        train_count=train,
        test_count=test,
        size=size,
        bundled=False,
        source=f"Drawn on this computer by playground/data/shapes.py: {knobs}, seed {seed}",
    )
    with claimed(made):
        return shapes.make(entry, seed, difficulty, progress)


def import_zip(
    source: Source,
    name: str,
    size: int = 64,
    test_share: float = 0.2,
    seed: int = 0,
    progress: Report | None = None,
) -> ImportReport:
    """Make a data set of a zip, or a folder, with one folder of images for each class.

    The class folders may lie in one folder around them, and in train/ and test/ (or val/) inside it; then that split
    is kept (val/ counts as training images where there is a test/ as well).

    Args:
        source: the zip, as a path or an open file, or the path of a folder.
        name: what the person calls it.
        size: the side of the images in pixels; each is cropped to its centred square and resized.
        test_share: the part of each class that is held back to test on, unless the set has a split of its own.
        seed: which images these are.
        progress: told of each image; raise in it to cancel.

    Raises:
        DataError: the zip is unsafe, damaged or not one, or no data set can be made of what is in it; one line.
    """
    made = slug(name)
    if not SIZES[0] <= size <= SIZES[1]:
        raise DataError(f"images cannot be resized to {size} px; choose {SIZES[0]} to {SIZES[1]}")
    if not 0 < test_share <= 0.9:
        raise DataError(f"the test share cannot be {test_share:g}; it is a part from 0.01 to 0.9")
    with opened(source) as (files, skipped):
        return _import(files, skipped, made, name, size, test_share, seed, progress)


def delete(name: str) -> None:
    """Delete a data set that a person imported.

    Raises:
        DataError: it is none of theirs, or there is none of that name.
    """
    if name in CATALOG:
        raise DataError(f"{name} is part of the playground; only imported data sets can be deleted")
    if not is_ready(name):
        raise DataError(f"there is no data set {name}")
    store.remove(name)


def _import(
    files: list[File],
    skipped: Skipped,
    name: str,
    title: str,
    size: int,
    test_share: float,
    seed: int,
    progress: Report | None,
) -> ImportReport:
    found, outside = _arrange(files)
    skipped = skipped + outside
    _need_two({image.label for image in found}, skipped)
    if len(found) * 3 * size**2 > MAX_TOTAL:
        raise DataError(f"{len(found):,} images of {size} px are more than fits into memory; choose a smaller size")
    kept, pixels, damaged = _decode(found, size, progress)
    skipped += damaged
    classes = sorted({image.label for image in kept}, key=str.casefold)
    _need_two(set(classes), skipped)
    targets = np.array([classes.index(image.label) for image in kept])
    test = _split(kept, targets, classes, test_share, seed)
    info = describe(name, title, tuple(classes), size)
    with claimed(name):
        info = store.write(info, pixels[~test], targets[~test], pixels[test], targets[test])
    return ImportReport(info, skipped, len(found) - len(kept) - len(damaged))


def _decode(
    images: list[_Image], size: int, progress: Report | None
) -> tuple[list[_Image], NDArray[np.uint8], Skipped]:
    """Read and resize images; return those that are kept, their pixels (N, 3, size, size), and those that are damaged.

    Of images that are the same, pixel by pixel, only the first is kept, so that no test image is a training image.
    """
    kept: list[_Image] = []
    pixels = np.empty((len(images), 3, size, size), dtype=np.uint8)
    damaged: Skipped = []
    seen: set[bytes] = set()
    for k, image in enumerate(images):
        if progress:
            progress(Progress(k, len(images), "Reading images"))
        try:
            array = fit_to(read_image(image.file.read()), size, 3)
        except ImageError as error:
            damaged.append((str(image.file.path), str(error)))
            continue
        except UNPACKING:
            damaged.append((str(image.file.path), DAMAGED))
            continue
        digest = hashlib.blake2b(array.tobytes()).digest()
        if digest not in seen:
            seen.add(digest)
            pixels[len(kept)] = array
            kept.append(image)
    return kept, pixels[: len(kept)], damaged


def _need_two(classes: set[str], skipped: Skipped) -> None:
    if len(classes) < 2:
        found = f"only the class {next(iter(classes))}" if classes else "no class"
        why = f" ({len(skipped)} files were left out; {skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise DataError(
            f"{found} has images that can be read{why}; put the images of each class in a folder of its own"
        )
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{len(classes):,} classes are too many; {MAX_CLASSES:,} is the most")


def _split(
    images: list[_Image], targets: NDArray[np.int64], classes: list[str], test_share: float, seed: int
) -> NDArray[np.bool_]:
    """Say which images are for testing: (N,) bool. Each class keeps images to learn from, and gives some if it can."""
    if images[0].test is not None:
        test = np.array([bool(image.test) for image in images])
    else:
        test = np.zeros(len(images), dtype=bool)
        random = np.random.default_rng(seed)
        for c in range(len(classes)):
            rows = random.permutation(np.flatnonzero(targets == c))
            test[rows[: min(max(1, round(len(rows) * test_share)), len(rows) - 1)]] = True
    if missing := [c for k, c in enumerate(classes) if not (targets[~test] == k).any()]:
        raise DataError(f"the class {missing[0]} has no image to learn from; put some into its training folder")
    if not test.any():
        raise DataError("no image is left to test on; give at least two different images of a class")
    return test


def _arrange(files: list[File]) -> tuple[list[_Image], Skipped]:
    """Tell each image's class, and its split if there is one, by its path; also list what has no place."""
    skipped, found = [], []
    for file in sorted(files, key=lambda file: file.path):
        if file.path.suffix.lower().removeprefix(".") in EXTENSIONS:
            found.append((file, file.path.parts))
        else:
            skipped.append((str(file.path), "Its name is not an image's"))
    while found and all(len(parts) >= 3 and parts[0] == found[0][1][0] for _, parts in found):
        found = [(file, parts[1:]) for file, parts in found]  # One folder around everything.
    tops = {parts[0].lower() for _, parts in found if len(parts) >= 3}
    splits = bool(tops.intersection(TRAIN)) and bool(tops.intersection(VAL + TEST))
    testing = TEST if tops.intersection(TEST) else VAL
    spelling: dict[str, str] = {}  # "Cat" in train/ and "cat" in test/ are one class.
    images = []
    for file, parts in found:
        if splits and (len(parts) < 3 or parts[0].lower() not in TRAIN + VAL + TEST):
            skipped.append((str(file.path), "It is in no class folder of the training or test images"))
        elif len(parts) < 2:
            skipped.append((str(file.path), "It is in no class folder"))
        else:
            label = unicodedata.normalize("NFC", " ".join(parts[1 if splits else 0].split()))[:60]
            label = spelling.setdefault(label.casefold(), label)
            images.append(_Image(file, label, parts[0].lower() in testing if splits else None))
    # Training images first, so that of two equal ones the test image is the one that goes.
    return sorted(images, key=lambda image: bool(image.test)), skipped
