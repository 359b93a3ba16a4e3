"""Take in a person's own images as they were understood (`Plan`), and keep them as a data set."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from playground.data import store
from playground.data.catalog import DataError, DatasetInfo
from playground.data.importing.layout import Item
from playground.data.importing.plan import Corrections, Plan
from playground.data.importing.plan_steps import UNPACKING, first_error
from playground.data.importing.shrink import fit_pair
from playground.data.importing.sources import File, Skipped, Source, opened
from playground.data.importing.understand import understand
from playground.data.importing.understand_classes import IN_TWO, need_two_classes
from playground.data.own import claim_name, make_entry, make_slug
from playground.data.progress import Progress, Report
from playground.images import ImageError, fit_to, read_image
from playground.tasks import TASKS


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


def import_any(
    source: Source, name: str, corrections: Corrections | None = None, progress: Report | None = None
) -> ImportReport:
    """Understand a zip or a folder, and make a data set of it; see `understand` and `take`.

    Raises:
        DataError: no data set can be made of it, or there is a doubt about it; one line.
    """
    make_slug(name)
    return take(source, understand(source, corrections, progress=progress), name, progress)


def take(source: Source, plan: Plan, name: str, progress: Report | None = None) -> ImportReport:
    """Make a data set of a zip or a folder, as it was understood.

    Args:
        source: what the plan was made of.
        plan: with all doubts answered.
        name: what the person calls it.
        progress: told of each image; raise in it to cancel.

    Raises:
        DataError: a doubt is open, the name cannot be, or too few images can be read; one line.
    """
    made = make_slug(name)
    store.check_kept()
    if plan.open_doubts:
        doubt = plan.open_doubts[0]
        answers = " or ".join(f"{choice.flags} ({choice.says.lower()})" for choice in doubt.choices)
        raise DataError(f"{doubt.question}; answer it first: {answers}")
    with opened(source) as contents:
        files = {file.path: file for file in contents.files}
        kept, images, targets, left_out, copies = _decode(plan, files, progress or (lambda _: None))
    test = np.array([plan.test[k] for k in kept], bool)
    classes, targets = _used(plan, targets, left_out)
    if test.all() or not test.any():
        raise DataError(f"no image is left {'to learn from' if test.all() else 'to test on'}; {_why(left_out)}")
    _, height, width = plan.shape
    info = replace(make_entry(made, name, classes, width), task=plan.task, height=0 if height == width else height)
    with claim_name(made):
        info = store.write_arrays(info, images[~test], targets[~test], images[test], targets[test])
    return ImportReport(info, plan.left_out + left_out, plan.duplicates + copies)


def _used(plan: Plan, targets: NDArray, left_out: Skipped) -> tuple[tuple[str, ...], NDArray]:
    """Drop classes of which no image could be read, and count the others anew."""
    if TASKS[plan.task].target == "mask":
        return plan.names, targets
    used = sorted(set(targets.tolist()))
    need_two_classes({plan.names[k] for k in used}, plan.left_out + left_out)
    return tuple(plan.names[k] for k in used), np.searchsorted(used, targets)


def _why(left_out: Skipped) -> str:
    return f"{len(left_out)} files were left out; {left_out[0][0]}: {left_out[0][1]}" if left_out else "add some"


def _decode(
    plan: Plan, files: Mapping[PurePosixPath, File], report: Report
) -> tuple[list[int], NDArray[np.uint8], NDArray, Skipped, int]:
    """Read and resize images, and masks.

    Of images that are the same, pixel by pixel, only the first is kept, so that no test image is a training image; if
    their labels differ, none is.

    Returns:
        the rows of the plan's items that are kept, images (N, 3, H, W), targets (N,) or (N, H, W), what was left out,
        and how many were copies.
    """
    count, (_, height, width) = len(plan.items), plan.shape
    images = np.empty((count, 3, height, width), np.uint8)
    targets = np.empty((count, height, width) if plan.coding else count, np.uint8 if plan.coding else np.int64)
    seen: dict[bytes, list[int]] = defaultdict(list)
    left_out: Skipped = []
    for k, item in enumerate(plan.items):
        report(Progress(k, count, "Reading images"))
        file = item.path
        try:
            pixels = read_image(_read(files, file))
            if plan.coding and item.mask:
                file = item.mask
                images[k], targets[k] = fit_pair(pixels, plan.coding.encode(_read(files, file)), height, width)
            else:
                images[k], targets[k] = fit_to(pixels, width, 3), plan.names.index(item.label)
        except (ImageError, *UNPACKING) as error:
            left_out.append((str(file), first_error(error)))
            continue
        seen[hashlib.blake2b(images[k].tobytes()).digest()].append(k)
    kept, copies = [], 0
    for rows in seen.values():
        if plan.coding is None and len({plan.items[k].label for k in rows}) > 1:
            left_out += [(str(plan.items[k].path), IN_TWO) for k in rows]
        else:
            kept.append(rows[0])
            copies += len(rows) - 1
    return kept, images[kept], targets[kept], left_out, copies


def _read(files: Mapping[PurePosixPath, File], path: PurePosixPath) -> bytes:
    if path not in files:
        raise DataError(f"{path} is there no more; choose the zip again")
    return files[path].read()


def read_sample(
    plan: Plan, files: Mapping[PurePosixPath, File], item: Item
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return an image as it will be, (3, H, W), and its mask, (H, W), if it has one.

    Raises:
        ImageError: it cannot be read; one line.
    """
    _, height, width = plan.shape
    try:
        pixels = read_image(_read(files, item.path))
        if plan.coding and item.mask:
            return fit_pair(pixels, plan.coding.encode(_read(files, item.mask)), height, width)
        return fit_to(pixels, width, 3), None
    except UNPACKING as error:
        raise ImageError(first_error(error)) from None
