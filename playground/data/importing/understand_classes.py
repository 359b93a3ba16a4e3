"""Images with one label each → a `Plan`: equal images are found, and what is odd about the classes."""

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from PIL import Image

from playground.data.catalog import DataError
from playground.data.importing.folders import CLASS
from playground.data.importing.layout import UNSORTED, Item, Layout
from playground.data.importing.names import clean_name
from playground.data.importing.plan import Choice, ClassCount, Corrections, Doubt, Plan
from playground.data.importing.plan_steps import (
    UNPACKING,
    Memo,
    first_error,
    hold_back,
    image_size,
    is_mask_like,
    listed,
    need_memory,
    plural,
    with_validation,
)
from playground.data.importing.sources import Contents, File, Skipped
from playground.data.progress import Progress, Report
from playground.images import FORMATS, ImageError, read_image

MAX_CLASSES = 1000
IN_TWO = "The same image lies in another class, too"


def plan_classes(
    layout: Layout,
    contents: Contents,
    files: Mapping[PurePosixPath, File],
    corrections: Corrections,
    memo: Memo,
    report: Report,
) -> Plan:
    """Make the plan of images with one label each; see `understanding.understand`.

    Raises:
        DataError: no data set can be made of them; one line.
    """
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
        doubts=(*_doubts(layout, items, conflicts), *_twins(layout, files)),
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


def _twins(layout: Layout, files: Mapping[PurePosixPath, File]) -> tuple[Doubt, ...]:
    """Doubt that two folders are classes, where the pictures of one look like masks of their namesakes in the other."""
    folders = {item.path.parent for item in layout.items}
    if len(folders) != 2 or layout.labels_from != "folders":
        return ()
    groups = {folder: {i.path.stem: i.path for i in layout.items if i.path.parent == folder} for folder in folders}
    one, other = sorted(groups)
    both = sorted(groups[one].keys() & groups[other].keys())
    if len(both) < 0.8 * max(len(groups[one]), len(groups[other])) or not both:
        return ()
    found = [folder for folder in (one, other) if all(is_mask_like(files[groups[folder][s]]) for s in both[:3])]
    if len(found) != 1:
        return ()
    masks, images = found[0], other if found[0] == one else one
    change = {"parts": {str(images): "images", str(masks): "masks"}}
    return (
        Doubt(
            "twins",
            f"the pictures in {masks} are called like those in {images}, and look like their masks",
            (Choice(f"{one.name} and {other.name} are two classes"), Choice("They are masks", change)),
        ),
    )
