"""Images on this disk, as arrays that are mapped into memory rather than read."""

import dataclasses
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground import locks
from playground.data import shapes
from playground.data.catalog import CATALOG, DataError, DatasetInfo, find_folder, find_info, is_ready
from playground.data.progress import Progress, Report
from playground.home import HomeError, check_writable, home
from playground.metrics import IGNORE
from playground.tasks import TASKS

BUNDLED = Path(__file__).parent / "bundled"
_PARTS = ("train_images", "train_targets", "test_images", "test_targets")


@dataclass(frozen=True)
class Arrays:
    """A data set, ready to use; the arrays are mapped from disk, and changes to them stay in this process.

    Attributes:
        info: with mean and std.
        train_images, test_images: (N, C, H, W) uint8.
        train_targets, test_targets: (N,) int64, an index into `info.classes`; where each pixel has a label,
            (N, H, W) uint8, an index or `IGNORE`.
    """

    info: DatasetInfo
    train_images: NDArray[np.uint8]
    train_targets: NDArray[np.int64] | NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_targets: NDArray[np.int64] | NDArray[np.uint8]


def open_arrays(name: str) -> Arrays:
    """Map a data set's arrays; the bundled one is unpacked the first time.

    Raises:
        DataError: there is no such set, it is not on this disk, or what is there is damaged.
    """
    entry = find_info(name)
    if not is_ready(name):
        if not entry.bundled:
            raise DataError(f"{entry.title} is not on this computer yet; download it first")
        unpack_bundled(name)
        entry = find_info(name)
    try:
        found = [np.load(find_folder(name) / f"{part}.npy", mmap_mode="c") for part in _PARTS]
        _check(entry, *found)
    except Exception:  # numpy raises anything on hostile bytes
        raise DataError(f"{find_folder(name)} is damaged; delete that folder, and get the data set again") from None
    return Arrays(entry, *found)


def is_sound(name: str) -> bool:
    """Say whether a data set, if it is on this disk, can be used."""
    try:
        return not os.path.lexists(find_folder(name)) or bool(open_arrays(name))
    except DataError:
        return False


def write_arrays(
    entry: DatasetInfo,
    train_images: NDArray[np.uint8],
    train_targets: NDArray[np.integer],
    test_images: NDArray[np.uint8],
    test_targets: NDArray[np.integer],
) -> DatasetInfo:
    """Keep a data set: all of it appears at once, or nothing. Call it with the set's lock held.

    Args:
        entry: mean, std and counts in it are replaced by the arrays' own.
        train_images, test_images: (N, C, H, W) uint8.
        train_targets, test_targets: (N,), or (N, H, W) where each pixel has a label.

    Returns:
        The entry with the arrays' mean, std and counts.

    Raises:
        DataError: the disk is full or cannot be written to.
        ValueError: the arrays do not fit the entry.
    """
    mean, std = compute_statistics(train_images)
    entry = dataclasses.replace(entry, mean=mean, std=std, train_count=len(train_images), test_count=len(test_images))
    kind = TASKS[entry.task].target_dtype
    parts = (train_images, train_targets.astype(kind), test_images, test_targets.astype(kind))
    entry.check()
    _check(entry, *parts)
    target = find_folder(entry.name)
    draft = target.with_name(f".{entry.name}.new")  # No data set's name starts with a dot, so nobody reads it.
    try:
        shutil.rmtree(draft, ignore_errors=True)  # Left by a process that was killed.
        draft.mkdir(parents=True)
        for name, array in zip(_PARTS, parts, strict=True):
            with (draft / f"{name}.npy").open("wb") as file:
                np.save(file, array)
                _sync(file.fileno())
        with (draft / "info.json").open("w", encoding="utf-8") as file:
            file.write(entry.to_json())
            file.flush()
            _sync(file.fileno())
        if os.path.lexists(target):  # Damaged, or it would not be written again.
            _clear(target)
        draft.rename(target)
        _sync_folder(target.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise DataError(f"{entry.title} cannot be kept in {target.parent}: {error.strerror or error}") from None
    return entry


def compute_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel of (N, C, H, W), for pixels in [0, 1].

    A channel that is the same everywhere has no deviation to divide by; it gets one step of 255.
    """
    values = np.arange(256) / 255
    mean, std = [], []
    for channel in range(images.shape[1]):
        # Counting the 256 values is exact, and needs no floating point copy of the images; in pieces, because numpy
        # makes whole numbers of 8 bytes of what it counts.
        counts = np.zeros(256)
        for start in range(0, len(images), 1000):
            counts += np.bincount(images[start : start + 1000, channel].ravel(), minlength=256)
        share = counts / counts.sum()
        mean.append(float(share @ values))
        std.append(max(float(np.sqrt(share @ (values - mean[-1]) ** 2)), 1 / 255))
    return tuple(mean), tuple(std)


def unpack_bundled(name: str) -> None:
    """Unpack a bundled data set's sheets into the cache, or draw the set that is drawn."""
    source = BUNDLED / name
    with locked(name):
        if is_ready(name):  # Another process did it while this one waited.
            return
        if not source.exists():
            write_shapes(CATALOG[name])
            return
        labels = json.loads((source / "labels.json").read_text(encoding="utf-8"))
        train, test = (np.array(labels[split], dtype=np.int64) for split in ("train", "test"))
        entry = CATALOG[name]
        sheets = [_tiles(source / f"{split}.webp", entry.size) for split in ("train", "test")]
        write_arrays(entry, sheets[0], train, sheets[1], test)


def write_shapes(
    entry: DatasetInfo, seed: int = 0, difficulty: shapes.Difficulty | None = None, report: Report | None = None
) -> DatasetInfo:
    """Draw a data set of `entry.train_count` and `entry.test_count` images and keep it. Call it with its lock held.

    Raises:
        DataError: a number is out of its limits, or the disk is full; one line.
    """
    return write_arrays(entry, *shapes.draw_parts(entry, seed, difficulty, report))


@contextmanager
def locked(name: str, report: Report | None = None) -> Generator[None]:
    """Let one process (or thread) at a time get, change or delete a data set; the others wait.

    The kernel lets go of the lock of a process that dies, so nobody waits for a dead one.

    Args:
        report: told again and again while there is someone to wait for; it may raise to wait no longer.
    """
    place = home() / "data" / ".locks"
    check_kept()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{place.parent} cannot hold data sets ({error.strerror}); it has to be a folder") from None
    while not (lock := locks.take(place / f"{find_folder(name).name}.lock", wait=0.05)):
        if report:
            report(Progress(0, 0, f"Waiting for another process that is getting {name}"))
    with lock:
        yield


def check_kept() -> None:
    """Make sure that data sets can be kept and changed at all.

    Raises:
        DataError: nothing can be written in the home.
    """
    try:
        check_writable()
    except HomeError as error:
        raise DataError(str(error)) from None


def remove_arrays(name: str) -> None:
    """Delete a data set's folder; the caller has made sure that it may go.

    Raises:
        DataError: it is in use, where the system forbids to delete what is.
    """
    with locked(name):
        try:
            # First the name, then the arrays: whoever looks sees the whole set or none.
            draft = find_folder(name).with_name(f".{name}.gone")
            shutil.rmtree(draft, ignore_errors=True)
            find_folder(name).rename(draft)
            _clear(draft)
        except OSError as error:
            raise DataError(f"{name} cannot be deleted ({error.strerror}); is a run using it?") from None


def _clear(path: Path) -> None:
    """Delete a folder, or whatever else lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _tiles(file: Path, size: int) -> NDArray[np.uint8]:
    """Cut a sheet into its tiles, row by row: (N, 3, size, size)."""
    with Image.open(file) as image:
        sheet = np.asarray(image.convert("RGB"))
    rows, columns = sheet.shape[0] // size, sheet.shape[1] // size
    tiles = sheet.reshape(rows, size, columns, size, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(tiles).reshape(rows * columns, 3, size, size)


def _check(entry: DatasetInfo, *parts: NDArray) -> None:
    """Make sure that train images, train targets, test images and test targets are what the entry says."""
    for images, targets, count in zip(parts[::2], parts[1::2], (entry.train_count, entry.test_count), strict=True):
        shape = (count, *TASKS[entry.task].target_shape(entry.shape))
        if images.shape != (count, *entry.shape) or images.dtype != np.uint8 or targets.shape != shape:
            raise ValueError(f"{entry.name}: {images.dtype} images {images.shape} and targets {targets.shape}")
        for start in range(0, count, 1000):  # in pieces, because masks are as large as images
            some = targets[start : start + 1000]
            some = some[some != IGNORE] if TASKS[entry.task].target == "mask" else some
            if some.size and not 0 <= some.min() <= some.max() < entry.num_classes:
                raise ValueError(f"{entry.name}: targets from {some.min()} to {some.max()}")


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sync_folder(path: Path) -> None:
    """Make a rename inside the folder last; Windows has no such call, and needs none."""
    if os.name != "nt":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def title_of(name: str) -> str:
    """Return what people call a data set; its name where it is not known here."""
    try:
        return find_info(name).title
    except DataError:
        return name
