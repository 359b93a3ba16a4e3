"""Images with masks → a `Plan`: every mask is looked at, to learn which values there are and what they mean."""

import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from playground.data.catalog import DataError
from playground.data.importing.class_lists import MAX_CLASSES, ClassList, class_list, is_list, parse_classes
from playground.data.importing.layout import HOW_MASKS, Item, Layout
from playground.data.importing.mask_files import (
    MAX_IN_ONE,
    NOTHING,
    THRESHOLD,
    Coding,
    MaskLook,
    black_and_white,
    choose_coding,
    look_at,
    middle_share,
    painted_in,
)
from playground.data.importing.plan import Choice, ClassCount, Corrections, Doubt, Plan
from playground.data.importing.plan_steps import (
    UNPACKING,
    Memo,
    first_error,
    hold_back,
    image_size,
    listed,
    need_memory,
    plural,
    with_validation,
)
from playground.data.importing.shrink import common_shape, lies_on
from playground.data.importing.sources import File, Skipped
from playground.data.progress import Progress, Report
from playground.images import FORMATS, ImageError
from playground.metrics import IGNORE

_SMALL = 64
"""Values below this are numbers of classes; larger ones may be greys that somebody chose."""


@dataclass
class _Looked:
    """Masks that can be used, and what is in them."""

    items: list[Item]
    looks: list[MaskLook]
    coding: Coding
    doubts: list[Doubt]
    remarks: list[str]


def plan_masks(
    layout: Layout, files: Mapping[PurePosixPath, File], corrections: Corrections, memo: Memo, report: Report
) -> Plan:
    """Make the plan of images with masks; see `understanding.understand`.

    Raises:
        DataError: no data set can be made of them; one line.
    """
    left_out = layout.left_out
    _need_two(len(layout.items), left_out)
    items = _look(layout.items, files, memo, left_out, report)
    _need_two(len(items), left_out)
    items = with_validation(items, corrections)
    given = class_list(corrections.classes) if corrections.classes else _listed(files)
    looked = _code(items, [_known(memo, item) for item in items], given, corrections, left_out)
    _need_two(len(looked.items), left_out)
    _need_sides(looked.items)
    test, split = hold_back(looked.items, corrections)
    shapes = [memo.shapes[item.path] for item in looked.items]
    size = image_size(corrections, "segmentation")
    height, width = common_shape([shape for shape in shapes if not isinstance(shape, str)], size)
    need_memory(len(looked.items), 4 * height * width, size)
    counts, ignored = _counts(looked, test, looked.coding.classes)
    looked.doubts += _ignored_doubts(looked, ignored, given, corrections)
    return Plan(
        task="segmentation",
        items=tuple(looked.items),
        test=tuple(test),
        split=split,
        shape=(3, height, width),
        classes=counts,
        folders=layout.folders,
        ignored=ignored,
        coding=looked.coding,
        doubts=tuple(looked.doubts),
        remarks=(*looked.remarks, *_remarks(looked, shapes, counts, split)),
        left_out=left_out,
        duplicates=0,
        corrections=corrections,
    )


def _known(memo: Memo, item: Item) -> MaskLook:
    look = memo.masks[item.mask] if item.mask else ""
    assert isinstance(look, MaskLook)
    return look


def _need_two(pairs: int, left_out: Skipped) -> None:
    if pairs < 2:
        found = "no image has a mask" if pairs == 0 else "only one image has a mask"
        why = f" ({len(left_out)} files were left out; {left_out[0][0]}: {left_out[0][1]})" if left_out else ""
        raise DataError(f"{found} that can be used{why}; put images into images/ and masks into masks/: {HOW_MASKS}")


def _need_sides(items: list[Item]) -> None:
    parts = {item.part for item in items}
    if parts in ({"train"}, {"test"}):
        left = "to test on" if parts == {"train"} else "to learn from"
        raise DataError(f"no image is left {left}; put some with masks into its folder")


def _listed(files: Mapping[PurePosixPath, File]) -> ClassList | None:
    """Read the class list, if there is one; of several the one that lies highest."""
    lists = [path for path in files if is_list(path)]
    if not lists:
        return None
    path = min(lists, key=lambda path: (len(path.parts), path))
    try:
        return parse_classes(files[path].read(), str(path))
    except UNPACKING:
        raise DataError(f"{path} is damaged or cannot be unpacked") from None


def _look(
    items: list[Item], files: Mapping[PurePosixPath, File], memo: Memo, left_out: Skipped, report: Report
) -> list[Item]:
    """Look at each mask and the size of its image; return those that can be read and lie on one another."""
    kept = []
    for k, item in enumerate(items):
        report(Progress(k, len(items), "Reading masks"))
        assert item.mask
        if item.mask not in memo.masks:
            memo.masks[item.mask] = _attempt(look_at, files[item.mask])
        if item.path not in memo.shapes:
            memo.shapes[item.path] = _attempt(_shape, files[item.path])
        look, shape = memo.masks[item.mask], memo.shapes[item.path]
        if isinstance(look, str):
            left_out.append((str(item.mask), look))
        elif isinstance(shape, str):
            left_out.append((str(item.path), shape))
        elif not lies_on(look.shape, shape):
            sizes = f"{shape[1]} × {shape[0]} pixels, and its mask {look.shape[1]} × {look.shape[0]}"
            left_out.append((str(item.path), f"It is {sizes}"))
        else:
            kept.append(item)
    return kept


def _attempt(read: Callable[[bytes], MaskLook] | Callable[[bytes], tuple[int, int]], file: File) -> Any:
    """Read a file, or say why it cannot be."""
    try:
        return read(file.read())
    except (ImageError, *UNPACKING) as error:
        return first_error(error)


def _shape(data: bytes) -> tuple[int, int]:
    """Return the height and width of a picture, upright, without decoding it."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except Exception:  # decoders raise anything; `read_image` says it in one line
        from playground.images import read_image

        height, width = read_image(data).shape[:2]
        turned = False
    return (width, height) if turned else (height, width)


# What the codes mean


def _code(
    items: list[Item], looks: list[MaskLook], given: ClassList | None, corrections: Corrections, left_out: Skipped
) -> _Looked:
    """Decide what the masks' codes mean, and leave out masks that have others."""
    looked = _Looked(items, looks, Coding((), {}, False), [], [])
    middle = middle_share(looks) if corrections.ignore is None else None
    threshold = corrections.threshold
    if threshold not in (None, NOTHING) and any(look.greys is None for look in looks):
        raise DataError("the masks are in colours, or have values beyond 255, which no threshold splits")
    if threshold != NOTHING and (middle is not None or threshold is not None):
        looked.coding = black_and_white(given, threshold or THRESHOLD)
        at = looked.coding.threshold
        looked.remarks.append(f"The masks are black and white but for noise: greys from {at} on are white.")
        if threshold is None and (middle or 0) > 0.01:
            share = f"{100 * (middle or 0):.1f} % of the masks' pixels are neither black nor white"
            choices = Choice(f"Split them at {at}", {"threshold": at}), Choice("Each grey is a class", _EACH)
            looked.doubts.append(Doubt("threshold", share, choices))
        elif threshold is None and not any(look.lossy for look in looks) and max(look.distinct for look in looks) <= 8:
            choices = Choice(f"Split them at {at}", {"threshold": at}), Choice("Each grey is a class", _EACH)
            looked.doubts.append(Doubt("threshold", "the masks hold few greys, near black and near white", choices))
        return looked
    return _exact(looked, given, corrections, left_out)


_EACH = {"threshold": NOTHING}


def _exact(looked: _Looked, given: ClassList | None, corrections: Corrections, left_out: Skipped) -> _Looked:
    """Take each code for a class; masks that are JPEGs, have too many codes or others than most are left out."""
    painted = given is not None and painted_in(looked.looks, given)
    usable = []
    for item, look in zip(looked.items, looked.looks, strict=True):
        colours = look.colours or painted
        what = f"It has {look.distinct:,} different {'colours' if colours else 'values'}, as soft edges make them"
        if look.lossy:
            left_out.append((str(item.mask), Coding((), {}, colours).misfit(colours, True)))
        elif not look.counts:
            split = ", or split black from white by a threshold" if look.greys is not None else ""
            left_out.append((str(item.mask), f"{what}; save it without anti-aliasing{split}"))
        else:
            usable.append((item, look, (look.painted or look.counts) if painted else look.counts, colours))
    _need_two(len(usable), left_out)
    most = Counter(colours for _, _, _, colours in usable).most_common(1)[0][0]
    found: Counter[int] = Counter()
    for item, _, counts, colours in usable:
        if colours == most:
            found.update(counts)
            if given is None and len(found) > MAX_CLASSES + 1:
                what = f"{MAX_CLASSES + 1} different {'colours' if most else 'values'}"
                raise DataError(f"with {item.mask} the masks have more than {what}, too many to be classes")
    looked.coding = choose_coding(found, most, given, corrections.ignore)
    looked.items, looked.looks = [], []
    for item, look, counts, colours in usable:
        unknown = next((code for code in counts if code not in looked.coding.codes), None)
        if wrong := looked.coding.misfit(colours, False) or ("" if unknown is None else looked.coding.unknown(unknown)):
            left_out.append((str(item.mask), wrong))
        else:
            looked.items.append(item)
            looked.looks.append(replace(look, counts=dict(counts)))
    if given is None:
        looked.doubts += _noise(found, all(look.greys is not None for look in looked.looks))
    return looked


def _noise(found: Counter[int], grey: bool) -> list[Doubt]:
    """Doubt that these are classes, where there are many, or many that hardly occur."""
    rare = sum(count < 0.001 * found.total() for count in found.values())
    if len(found) <= MAX_IN_ONE // 2 and rare < max(3, len(found) / 2):
        return []
    what = f"the masks have {len(found):,} different codes, of which {rare:,} hardly occur"
    choices = [Choice("They are classes")]
    if grey:
        choices.append(Choice("The masks are black and white, with soft edges", {"threshold": THRESHOLD}))
    return [Doubt("codes", f"{what}; noise and soft edges look so", tuple(choices))]


def _ignored_doubts(looked: _Looked, ignored: float, given: ClassList | None, corrections: Corrections) -> list[Doubt]:
    """Doubt that 255 stands for no class, where it may be one."""
    coding = looked.coding
    if corrections.ignore is not None or coding.threshold or coding.colours or not ignored or given:
        return []
    found = {code for look in looked.looks for code in look.counts} - {255}
    if ignored <= 0.5 and max(found) < _SMALL:
        return []
    values = ", ".join(map(str, sorted(found)[:5]))
    return [
        Doubt(
            "ignore",
            f"the masks hold {values} and 255, and 255 is on {100 * ignored:.1f} % of their pixels",
            (Choice("255 stands for no class", {"ignore": 255}), Choice("255 is a class", {"ignore": NOTHING})),
        )
    ]


def _counts(looked: _Looked, test: list[bool], names: tuple[str, ...]) -> tuple[tuple[ClassCount, ...], float]:
    """Count in how many masks each class occurs, and its share of the pixels; and the share of those without one."""
    coding = looked.coding
    pixels, ignored = np.zeros(len(names)), 0
    masks = np.zeros((2, len(names)), int)
    for look, held in zip(looked.looks, test, strict=True):
        if coding.threshold and look.greys is not None:
            dark, bright = int(look.greys[: coding.threshold].sum()), int(look.greys[coding.threshold :].sum())
            found = {0: dark, 1: bright}
        else:
            found = Counter()
            for code, count in look.counts.items():
                found[coding.codes[code]] += count
            ignored += found.pop(IGNORE, 0)
        for k, count in found.items():
            pixels[k] += count
            masks[int(held), k] += count > 0
    shares = pixels / max(pixels.sum(), 1)
    counts = tuple(
        ClassCount(name, int(masks[0, k]), int(masks[1, k]), float(shares[k])) for k, name in enumerate(names)
    )
    return counts, float(ignored / max(pixels.sum() + ignored, 1))


def _remarks(looked: _Looked, shapes: list, counts: tuple[ClassCount, ...], split: bool) -> list[str]:
    found = []
    if scaled := sum(look.shape != shape for look, shape in zip(looked.looks, shapes, strict=True)):
        found.append(f"Of {plural(scaled, 'image')} the mask has another size, and is scaled to the image's.")
    if len(set(shapes)) > 1:
        found.append("The images have different shapes; of those that are not like most, the middle is taken.")
    where = "the test masks" if split else "the masks that are held back"
    if unseen := [count.name for count in counts if count.test and not count.train]:
        found.append(f"{listed(unseen)} occurs in {where} only, so the network cannot learn it.")
    if untested := [count.name for count in counts if count.train and not count.test]:
        found.append(f"{listed(untested)} does not occur in {where}, so nothing will tell how well it is recognised.")
    if absent := [count.name for count in counts if not count.train and not count.test]:
        found.append(f"{listed(absent)} is in the class list and in no mask.")
    return found
