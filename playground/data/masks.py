"""A person's own images with a label for each pixel: a zip or a folder with images/ and masks/.

Everything in it is untrusted, and treated as in `playground.data.own`. The masks are read twice, first to learn which
values there are, so that no more than one picture besides the finished arrays is in memory.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.data import store
from playground.data.catalog import DataError
from playground.data.mask_files import (
    LISTS,
    MAX_CLASSES,
    ClassList,
    Coding,
    choose_coding,
    class_list,
    parse_classes,
    read_mask,
)
from playground.data.own import DAMAGED, TEST, TRAIN, UNPACKING, VAL, ImportReport, claimed, describe, slug
from playground.data.sources import MAX_TOTAL, File, Skipped, Source, opened
from playground.data.store import Progress, Report
from playground.images import EXTENSIONS, ImageError, read_image

SIZES = (32, 512)
"""The smallest and the largest long side that images can be resized to, in pixels."""
MAX_IN_ONE = 64
"""More values than this in one mask, and nobody has said what they are: those of soft edges, not of classes."""
Learn = Literal["train+val", "train"]

_ENDINGS = re.compile(r"[_-](L|mask|masks|label|labels|gt|seg)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Pair:
    """An image and its mask; `test` is None where the set leaves it to us."""

    image: File
    mask: File
    test: bool | None


@dataclass
class _Found:
    """What the first look at the masks found: of each the shape and the kind, and how often each code occurs."""

    shapes: dict[_Pair, tuple[int, ...]]
    colours: dict[_Pair, bool]
    counts: dict[bool, Counter[int]]


def import_masks(
    source: Source,
    name: str,
    size: int = 128,
    classes: Sequence[str] | None = None,
    ignore: int | None = None,
    test_share: float = 0.2,
    seed: int = 0,
    train_on: Learn = "train+val",
    progress: Report | None = None,
) -> ImportReport:
    """Make a data set of a zip, or a folder, with images/ and masks/, where a mask is called like its image.

    They may lie in one folder around them, and in train/ and test/ (or val/), or these in them; then that split is
    kept. A mask may also be called image_L or image_mask. It holds a class at each pixel: as a grey value or an index
    into a palette, or as a colour. What is which class is said by classes.txt, labels.txt, label_colors.txt or
    classes.json (see `parse_classes`), or by `classes`; else each value or colour that occurs is a class.

    Images take the shape of most of them; of the others the middle is cut out, with their masks.

    Args:
        source: the zip, as a path or an open file, or the path of a folder.
        name: what the person calls it.
        size: the long side of the images in pixels.
        classes: names in the order of the values 0, 1, 2 …; they go before a list in the zip.
        ignore: the value of pixels without a class; None stands for 255, unless the masks are black and white.
        test_share: the part that is held back to test on, unless the set has a split of its own.
        seed: which images these are.
        train_on: whether val/ counts as training images where there is a test/ as well, or is left out.
        progress: told of each picture; raise in it to cancel.

    Raises:
        DataError: the zip is unsafe, damaged or not one, or no data set can be made of what is in it; one line.
    """
    made = slug(name)
    _check(size, ignore, test_share)
    report = progress or (lambda _: None)
    with opened(source) as (files, left_out):
        pairs, skipped = _pair(files)
        skipped = left_out + skipped
        pairs = [pair for pair in pairs if train_on == "train+val" or pair.test or not _held(pair.image.path)]
        given = class_list(classes) if classes else _listed(files)
        _need_two(len(pairs), skipped)
        looked = _look(pairs, given, skipped, report)
        _need_two(len(looked.shapes), skipped)
        colours = Counter(looked.colours.values()).most_common(1)[0][0]
        coding = choose_coding(looked.counts[colours], colours, given, ignore)
        shape = _common(list(looked.shapes.values()), size)
        kept, images, masks, copies = _decode(looked, coding, shape, skipped, report)
    _need_two(len(kept), skipped)
    test = _split(kept, test_share, seed)
    info = replace(describe(made, name, coding.classes, shape[1]), task="segmentation")
    info = replace(info, height=0 if shape[0] == shape[1] else shape[0])
    with claimed(made):
        info = store.write(info, images[~test], masks[~test], images[test], masks[test])
    return ImportReport(info, skipped, copies)


def _check(size: int, ignore: int | None, test_share: float) -> None:
    if not SIZES[0] <= size <= SIZES[1]:
        raise DataError(f"images with masks cannot be resized to {size} px; choose {SIZES[0]} to {SIZES[1]}")
    if ignore is not None and not 0 <= ignore <= 65535:
        raise DataError(f"the ignored value cannot be {ignore}; it is a whole number from 0 to 65535")
    if not 0 < test_share <= 0.9:
        raise DataError(f"the test share cannot be {test_share:g}; it is a part from 0.01 to 0.9")


def holds_masks(files: list[File]) -> bool:
    """Say whether there is a folder images/ with a folder masks/ beside it."""
    beside: dict[str, set[PurePosixPath]] = {"images": set(), "masks": set()}
    for file in files:
        if role := _role(file.path):
            at = _parents(file.path).index(role)
            beside[role].add(PurePosixPath(*file.path.parts[:at]))
    return not beside["images"].isdisjoint(beside["masks"])


def fit_pair(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut the same middle out of an image and its mask, and resize both, the mask without mixing its values.

    Args:
        image: uint8 (H, W, 3); mask: uint8 (H, W).

    Returns:
        uint8 (3, height, width) and (height, width).
    """
    cut = Image.fromarray(_middle(image, height, width)).resize((width, height), Image.Resampling.BILINEAR)
    labels = Image.fromarray(_middle(mask, height, width)).resize((width, height), Image.Resampling.NEAREST)
    return np.ascontiguousarray(np.asarray(cut).transpose(2, 0, 1)), np.asarray(labels)


def _middle(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Cut out the largest middle part that has the sides' ratio."""
    scale = min(pixels.shape[0] / height, pixels.shape[1] / width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (pixels.shape[0] - tall) // 2, (pixels.shape[1] - wide) // 2
    return pixels[top : top + tall, left : left + wide]


def _parents(path: PurePosixPath) -> list[str]:
    return [part.casefold() for part in path.parts[:-1]]


def _role(path: PurePosixPath) -> str:
    """Return images or masks, the folder that a file lies in; nothing for one that is in neither."""
    return next((part for part in _parents(path) if part in ("images", "masks")), "")


def _held(path: PurePosixPath) -> bool:
    """Say whether a file belongs to validation."""
    return not set(_parents(path)).isdisjoint(VAL)


def _pair(files: list[File]) -> tuple[list[_Pair], Skipped]:
    """Find each image's mask by their names; also list what has no place or no partner."""
    found: dict[str, dict[tuple[str, ...], File]] = {"images": {}, "masks": {}}
    skipped: Skipped = []
    for file in sorted(files, key=lambda file: file.path):
        role = _role(file.path)
        if file.path.name.lower() in LISTS:
            continue
        if file.path.suffix.lower().removeprefix(".") not in EXTENSIONS:
            skipped.append((str(file.path), "Its name is not an image's"))
        elif not role:
            skipped.append((str(file.path), "It is in neither images/ nor masks/"))
        else:
            where = _parents(file.path)
            where.remove(role)
            key = (*where, unicodedata.normalize("NFC", file.path.stem).casefold())
            if key in found[role]:
                skipped.append((str(file.path), f"There is {found[role][key].path.name} of the same name"))
            else:
                found[role][key] = file
    images, masks = found["images"], found["masks"]
    for key in [key for key in masks if key not in images]:
        short = (*key[:-1], _ENDINGS.sub("", key[-1]))
        if short in images and short not in masks:
            masks[short] = masks.pop(key)
    skipped += [(str(images[key].path), "It has no mask") for key in images if key not in masks]
    skipped += [(str(masks[key].path), "It has no image") for key in masks if key not in images]
    together = sorted(key for key in images if key in masks)
    tops = {part for key in together for part in key[:-1]}
    splits = bool(tops.intersection(TRAIN)) and bool(tops.intersection(VAL + TEST))
    testing = TEST if tops.intersection(TEST) else VAL
    pairs = []
    for key in together:
        if splits and not set(key[:-1]).intersection(TRAIN + VAL + TEST):
            skipped.append((str(images[key].path), "It belongs neither to the training nor to the test images"))
        else:
            test = bool(set(key[:-1]).intersection(testing)) if splits else None
            pairs.append(_Pair(images[key], masks[key], test))
    # Training images first, so that of two equal ones the test image is the one that goes.
    return sorted(pairs, key=lambda pair: bool(pair.test)), skipped


def _listed(files: list[File]) -> ClassList | None:
    """Read the class list, if there is one; of several the one that lies highest."""
    lists = [file for file in files if file.path.name.lower() in LISTS]
    if not lists:
        return None
    file = min(lists, key=lambda file: (len(file.path.parts), file.path))
    try:
        return parse_classes(file.read(), str(file.path))
    except UNPACKING:
        raise DataError(f"{file.path} is damaged or cannot be unpacked") from None


def _need_two(pairs: int, skipped: Skipped) -> None:
    if pairs < 2:
        found = "no image has a mask" if pairs == 0 else "only one image has a mask"
        why = f" ({len(skipped)} files were left out; {skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise DataError(f"{found} that can be read{why}; put images into images/, and masks of their names into masks/")


def _look(pairs: list[_Pair], given: ClassList | None, skipped: Skipped, report: Report) -> _Found:
    """Read all masks for the first time."""
    found = _Found({}, {}, {True: Counter(), False: Counter()})
    for k, pair in enumerate(pairs):
        report(Progress(k, 2 * len(pairs), "Reading masks"))
        try:
            codes, colours = read_mask(pair.mask.read())
        except ImageError as error:
            skipped.append((str(pair.mask.path), str(error)))
            continue
        except UNPACKING:
            skipped.append((str(pair.mask.path), DAMAGED))
            continue
        values, counts = np.unique(codes, return_counts=True)
        if len(values) <= MAX_IN_ONE:
            found.counts[colours].update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        elif given is None:
            what = f"It has {len(values):,} different {'colours' if colours else 'values'}, as soft edges make them"
            skipped.append((str(pair.mask.path), f"{what}; save it without anti-aliasing, or add a classes.txt"))
            continue
        if given is None and len(found.counts[colours]) > MAX_CLASSES + 1:
            what = f"{MAX_CLASSES + 1} different {'colours' if colours else 'values'}"
            raise DataError(f"with {pair.mask.path} the masks have more than {what}, too many to be classes")
        found.shapes[pair], found.colours[pair] = codes.shape, colours
    return found


def _common(shapes: list[tuple[int, ...]], size: int) -> tuple[int, int]:
    """Return (height, width): the commonest ratio of sides, the longer one `size`."""
    (height, width), _ = Counter(shapes).most_common(1)[0]
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _decode(
    looked: _Found, coding: Coding, shape: tuple[int, int], skipped: Skipped, report: Report
) -> tuple[list[_Pair], NDArray[np.uint8], NDArray[np.uint8], int]:
    """Read images and masks, and fit them; return the pairs kept, their images and masks, and how many were copies."""
    pairs, copies, seen = list(looked.shapes), 0, set()
    if len(pairs) * 4 * shape[0] * shape[1] > MAX_TOTAL:
        raise DataError(
            f"{len(pairs):,} images of {max(shape)} px are more than fits into memory; choose a smaller size"
        )
    images = np.empty((len(pairs), 3, *shape), np.uint8)
    masks = np.empty((len(pairs), *shape), np.uint8)
    kept: list[_Pair] = []
    for k, pair in enumerate(pairs):
        report(Progress(len(pairs) + k, 2 * len(pairs), "Reading images"))
        file = pair.image
        try:
            pixels = read_image(file.read())
            _need_same(pixels.shape, looked.shapes[pair])
            file = pair.mask
            if looked.colours[pair] != coding.colours:
                most, this = ("colours", "values") if coding.colours else ("values", "colours")
                raise ImageError(f"It holds {this}, and most masks hold {most}")
            image, mask = fit_pair(pixels, coding.encode(read_mask(file.read())[0]), *shape)
        except ImageError as error:
            skipped.append((str(file.path), str(error)))
            continue
        except UNPACKING:
            skipped.append((str(file.path), DAMAGED))
            continue
        digest = hashlib.blake2b(image.tobytes()).digest()
        if digest in seen:
            copies += 1
            continue
        seen.add(digest)
        images[len(kept)], masks[len(kept)] = image, mask
        kept.append(pair)
    return kept, images[: len(kept)], masks[: len(kept)], copies


def _need_same(image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    if image[:2] != mask:
        raise ImageError(f"It is {image[1]} × {image[0]} pixels, and its mask {mask[1]} × {mask[0]}")


def _split(pairs: list[_Pair], test_share: float, seed: int) -> NDArray[np.bool_]:
    """Say which images are for testing: (N,) bool; some, and not all."""
    if pairs[0].test is not None:
        test = np.array([bool(pair.test) for pair in pairs])
        if test.all() or not test.any():
            left = "to learn from" if test.all() else "to test on"
            raise DataError(f"no image is left {left}; put some with masks into its folder")
        return test
    test = np.zeros(len(pairs), bool)
    held = min(max(1, round(len(pairs) * test_share)), len(pairs) - 1)
    test[np.random.default_rng(seed).permutation(len(pairs))[:held]] = True
    return test
