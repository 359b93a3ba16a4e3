"""A person's zip or folder → a `Plan`: what it holds, which task it is for, and what is in doubt about it."""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from playground.data.catalog import DataError
from playground.data.class_lists import is_list
from playground.data.folders import CLASS, Folders
from playground.data.layout import UNSORTED, Item, Layout, arrange
from playground.data.mask_files import MaskLook
from playground.data.names import clean_name, natural_key
from playground.data.plan import SIZE, SIZES, Choice, ClassCount, Corrections, Doubt, Plan
from playground.data.sources import MAX_TOTAL, Contents, File, Skipped, Source, opened
from playground.data.store import Progress, Report
from playground.images import EXTENSIONS, FORMATS, ImageError, read_image
from playground.zips import ZipError

MAX_CLASSES = 1000
DAMAGED = "It is damaged or cannot be unpacked"
IN_TWO = "The same image lies in another class, too"
UNPACKING = (ZipError, OSError)
"""What reading a damaged file raises."""


@dataclass
class Memo:
    """What has been read of a set's files, so that a correction does not read them again."""

    digests: dict[PurePosixPath, bytes | str] = field(default_factory=dict)
    masks: dict[PurePosixPath, MaskLook | str] = field(default_factory=dict)
    shapes: dict[PurePosixPath, tuple[int, int] | str] = field(default_factory=dict)
    pictures: dict[PurePosixPath, bool] = field(default_factory=dict)


def understand(
    source: Source,
    corrections: Corrections | None = None,
    memo: Memo | None = None,
    progress: Report | None = None,
) -> Plan:
    """Say what a zip or a folder holds and what would become of it. Nothing is written.

    Args:
        source: the zip, as a path or an open file, or the path of a folder.
        corrections: what a person says of it.
        memo: what is known of its files; it is added to.
        progress: told of each file that is read; raise in it to cancel.

    Raises:
        DataError: the zip is unsafe, damaged or not one, or no data set can be made of what is in it; one line.
    """
    corrections = corrections or Corrections()
    corrections.check()
    memo, report = memo or Memo(), progress or (lambda _: None)
    with opened(source) as contents:
        return plan_contents(contents, corrections, memo, report).renamed(corrections.names)


def list_folders(source: Source) -> dict[str, tuple[str, int]]:
    """Return {folder: (role by its name, images)} of all folders with images.

    Raises:
        DataError: the zip is unsafe, damaged or not one; one line.
    """
    with opened(source) as contents:
        images, _, _ = _sorted_out(contents, Memo())
        folders = Folders([file.path for file in images], {})
        found = sorted(folders.roles, key=lambda folder: natural_key(str(folder)))
        return {str(folder): (str(folders.roles[folder]), folders.count(folder)) for folder in found}


def plan_contents(contents: Contents, corrections: Corrections, memo: Memo, report: Report) -> Plan:
    """Make the plan of what has been opened; see `understand`."""
    images, others, left_out = _sorted_out(contents, memo)
    tables = {
        file.path: file.read()
        for file in others
        if file.path.suffix.lower() in (".csv", ".tsv") and not is_list(file.path)
    }
    layout = arrange([file.path for file in images], tables, corrections.parts, corrections.task, corrections.depth)
    layout.left_out = contents.skipped + left_out + layout.left_out
    if layout.labels_from in map(str, tables):
        layout.left_out = [(path, why) for path, why in layout.left_out if path != layout.labels_from]
    files = {file.path: file for file in contents.files}
    if layout.task == "segmentation":
        from playground.data.understanding_masks import plan_masks

        return plan_masks(layout, files, corrections, memo, report)
    if corrections.classes or corrections.ignore is not None or corrections.threshold is not None:
        raise DataError("a class list, an ignored value and a threshold are for masks, and no masks lie beside images")
    return _plan_classes(layout, contents, files, corrections, memo, report)


def _sorted_out(contents: Contents, memo: Memo) -> tuple[list[File], list[File], Skipped]:
    """Tell images, by their endings or else by what is in them, from other files; also list those left out."""
    images, others, left_out = [], [], []
    for file in contents.files:
        ending = file.path.suffix.lower().removeprefix(".")
        if ending in EXTENSIONS or (not ending.isalpha() and _is_picture(file, memo)):
            images.append(file)
        else:
            others.append(file)
            if not is_list(file.path):
                left_out.append((str(file.path), "Its name is not an image's"))
    return images, others, left_out


def _is_picture(file: File, memo: Memo) -> bool:
    """Say whether a file without an ending (or with a number for one) is a picture."""
    if file.path not in memo.pictures:
        try:
            with Image.open(io.BytesIO(file.read()), formats=FORMATS):
                memo.pictures[file.path] = True
        except Exception:  # decoders raise anything on foreign bytes
            memo.pictures[file.path] = False
    return memo.pictures[file.path]


# Classes


def _plan_classes(
    layout: Layout,
    contents: Contents,
    files: Mapping[PurePosixPath, File],
    corrections: Corrections,
    memo: Memo,
    report: Report,
) -> Plan:
    need_two_classes(set(layout.classes), layout.left_out)
    items, duplicates, conflicts = _without_copies(layout, files, memo, report)
    kept = {item.label for item in items}
    if conflicts and len(kept) < 2:
        one, other = conflicts[0]
        others = f"only the class {next(iter(kept))} has" if kept else "no class has"
        raise DataError(
            f"the same image lies in two classes, {one} and {other}, so its label is not known, and {others} other "
            "images"
        )
    need_two_classes(kept, layout.left_out)
    items = with_validation(items, corrections)
    test, split = hold_back(items, corrections)
    counts = _counts(items, test, tuple(name for name in layout.classes if name in kept))
    if none := [count.name for count in counts if not count.train]:
        raise DataError(f"the class {none[0]} has no image to learn from; put some into its training folder")
    size = image_size(corrections, "classification")
    need_memory(len(items), 3 * size * size, size)
    return Plan(
        task="classification",
        items=tuple(items),
        test=tuple(test),
        split=split,
        shape=(3, size, size),
        classes=counts,
        folders=layout.folders,
        ignored=None,
        coding=None,
        doubts=tuple(_doubts(layout, items, conflicts)),
        remarks=tuple(_remarks(layout, contents, counts, conflicts, split)),
        left_out=layout.left_out,
        duplicates=duplicates,
        corrections=corrections,
    )


def need_two_classes(classes: set[str], left_out: Skipped) -> None:
    """Make sure that there are two classes, and not too many.

    Raises:
        DataError: there are not; one line that says why.
    """
    if len(classes) < 2:
        found = f"only the class {next(iter(classes))}" if classes else "no class"
        why = f" ({len(left_out)} files were left out; {left_out[0][0]}: {left_out[0][1]})" if left_out else ""
        raise DataError(
            f"{found} has images that can be read{why}; put the images of each class in a folder of its own"
        )
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{len(classes):,} classes are too many; {MAX_CLASSES:,} is the most")


def _without_copies(
    layout: Layout, files: Mapping[PurePosixPath, File], memo: Memo, report: Report
) -> tuple[list[Item], int, list[tuple[PurePosixPath, PurePosixPath]]]:
    """Leave out files that equal another; where their labels differ, all of them.

    Returns:
        the items kept, how many copies there were, and pairs of equal files in different classes.
    """
    groups: dict[bytes, list[Item]] = defaultdict(list)
    for k, item in enumerate(layout.items):
        report(Progress(k, len(layout.items), "Looking for equal images"))
        if item.path not in memo.digests:
            memo.digests[item.path] = _digest(files[item.path])
        digest = memo.digests[item.path]
        if isinstance(digest, bytes):
            groups[digest].append(item)
        else:
            layout.left_out.append((str(item.path), digest))
    kept, copies, conflicts = [], 0, []
    for group in groups.values():
        if other := next((item for item in group if item.label != group[0].label), None):
            layout.left_out += [(str(item.path), IN_TWO) for item in group]
            conflicts.append((group[0].path, other.path))
        else:
            kept.append(group[0])
            copies += len(group) - 1
    return kept, copies, conflicts


def _digest(file: File) -> bytes | str:
    """Return what tells a file from others, or say why it is no image."""
    try:
        data = file.read()
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS):
                pass  # It begins like an image; whether all of it can be decoded turns out when it is taken.
        except Exception:  # decoders raise anything; `read_image` says it in one line
            read_image(data)
        return hashlib.blake2b(data).digest()
    except (ImageError, *UNPACKING) as error:
        return first_error(error)


def _counts(items: list[Item], test: list[bool], names: tuple[str, ...]) -> tuple[ClassCount, ...]:
    found = Counter((item.label, held) for item, held in zip(items, test, strict=True))
    return tuple(ClassCount(name, found[name, False], found[name, True]) for name in names)


def _doubts(layout: Layout, items: list[Item], conflicts: list) -> list[Doubt]:
    found = []
    if layout.labels_from == "names" and any("." not in item.path.stem for item in items):
        found.append(
            Doubt(
                "names",
                f"no image lies in a class folder; the classes are read from the names, as {items[0].label} from "
                f"{items[0].path.name}",
                (Choice("That is right"),),
            )
        )
    if layout.deeper:
        some = ", ".join(layout.deeper[:4])
        found.append(
            Doubt(
                "depth",
                f"the class folders hold folders themselves ({some}{' …' if len(layout.deeper) > 4 else ''})",
                (Choice("The upper folders are the classes"), Choice("The lower ones are the classes", {"depth": 1})),
            )
        )
    if layout.tested_only:
        some = ", ".join(layout.tested_only[:4])
        found.append(
            Doubt("tested_only", f"there is no image of {some} to learn from", (Choice("Leave these classes out"),))
        )
    away = sum(why.startswith("It is in no") for _, why in layout.left_out)
    if away > 0.25 * len(items):
        found.append(
            Doubt(
                "left_out",
                f"{plural(away, 'image')} would be left out, in no class folder",
                (Choice("Leave them out"),),
            )
        )
    if len(conflicts) > 0.05 * len(items):
        found.append(
            Doubt(
                "two_labels",
                f"{plural(len(conflicts), 'image')} with two labels, as {conflicts[0][0]} and {conflicts[0][1]}",
                (Choice("Leave them out"),),
            )
        )
    return found


def _remarks(
    layout: Layout, contents: Contents, counts: tuple[ClassCount, ...], conflicts: list, split: bool
) -> list[str]:
    found = []
    if layout.labels_from not in ("folders", "names"):
        found.append(f"The labels are read from {layout.labels_from}.")
    found += [f"The folders {names} are taken for one class." for names in layout.merged]
    classes = {name.casefold() for name in layout.classes}
    empty = sorted({clean_name(folder.name) for folder in contents.empty} - set(layout.folders))
    empty = [name for name in empty if name.casefold() not in classes and _beside_classes(name, contents, layout)]
    if empty:
        found.append(f"Empty folders make no class: {listed(empty)}.")
    if single := [count.name for count in counts if count.train + count.test == 1]:
        found.append(f"Of {listed(single)} there is a single image.")
    if untested := [count.name for count in counts if not count.test]:
        where = "in the test folder" if split else "held back to test on"
        found.append(f"No image of {listed(untested)} is {where}, so nothing will tell how well it is recognised.")
    for one, other in conflicts[:1]:
        found.append(f"The same image lies in two classes ({one} and {other}), and is left out of both.")
    if any(why == UNSORTED for _, why in layout.left_out):
        found.append(
            "The test images lie in no class folders, so they are left out, and others are held back to test on."
        )
    return found


def _beside_classes(name: str, contents: Contents, layout: Layout) -> bool:
    """Say whether an empty folder lies where class folders do."""
    parents = {PurePosixPath(folder).parent for folder, (role, _) in layout.folders.items() if role == CLASS}
    return any(clean_name(folder.name) == name and folder.parent in parents for folder in contents.empty)


def plural(count: int, word: str) -> str:
    """Write a count: "1 image", "2,000 images"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listed(names: list[str]) -> str:
    """Write some names: "a, b, c, d and 7 more"."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


# What both tasks need


def image_size(corrections: Corrections, task: str) -> int:
    """Return the (long) side of the images.

    Raises:
        DataError: it is out of its range.
    """
    size = SIZE[task] if corrections.size is None else corrections.size
    low, high = SIZES[task]
    if not low <= size <= high:
        what = "images with masks" if task == "segmentation" else "images"
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
