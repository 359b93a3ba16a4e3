"""What the files of a person's masks hold: values or colours, and which of them is which class."""

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.data.catalog import IGNORE, DataError
from playground.images import FORMATS, ImageError, read_image

MAX_CLASSES = 255
"""A mask is kept as bytes, and one value is `IGNORE`."""
LISTS = ("classes.txt", "labels.txt", "label_colors.txt", "classes.json")
"""What the file with the names of the classes may be called."""
VOID = frozenset({"void", "unlabelled", "unlabeled", "ignore", "ignored"})
"""Names in a class list whose pixels belong to no class."""
_MAX_LIST = 2**20


@dataclass(frozen=True)
class ClassList:
    """The names of the classes, in the order of their values; colours as 0xRRGGBB, or none."""

    names: tuple[str, ...]
    colours: tuple[int, ...] = ()


@dataclass(frozen=True)
class Coding:
    """Which code in the masks is which class: {code: class, or `IGNORE`}. `colours` tells what the codes are."""

    classes: tuple[str, ...]
    codes: dict[int, int]
    colours: bool

    def encode(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Turn codes (H, W) into a mask (H, W) of classes and `IGNORE`.

        Raises:
            ImageError: one of the codes is no class; the message names it.
        """
        known = np.array(sorted(self.codes), np.int32)
        at = np.searchsorted(known, codes).clip(0, len(known) - 1)
        if (wrong := codes[known[at] != codes]).size:
            names = f"the {len(self.classes)} classes"
            raise ImageError(f"It has the {name_of(int(wrong[0]), self.colours)}, which is none of {names}")
        return np.array([self.codes[code] for code in known.tolist()], np.uint8)[at]


def name_of(code: int, colours: bool) -> str:
    """Write a code for people: "value 7" or "colour 255 0 128"."""
    return f"colour {code >> 16} {code >> 8 & 255} {code & 255}" if colours else f"value {code}"


def read_mask(data: bytes) -> tuple[NDArray[np.int32], bool]:
    """Decode the file of a mask.

    Returns:
        (H, W) codes, and whether they are colours, 0xRRGGBB; else they are grey values, or indices into a palette,
        whatever the palette's colours are.

    Raises:
        ImageError: the file is no picture, or one that cannot hold exact values; one line.
    """
    pixels = read_image(data)  # which refuses what is too large, damaged or no picture
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format == "JPEG":
            raise ImageError("It is a JPEG, which does not keep exact values; save masks as PNG")
        if image.mode in ("P", "L", "1") or image.mode.startswith("I"):
            codes = np.asarray(image)
            if codes.min() < 0 or codes.max() > 65535:
                raise ImageError(f"Its values go from {codes.min()} to {codes.max()}; classes are 0, 1, 2 and so on")
            return codes.astype(np.int32), False
        if image.mode in ("F", "LA", "PA", "LAB", "CMYK", "YCbCr", "HSV"):
            raise ImageError(f"Its pixels are of the kind {image.mode}; save it with grey values, a palette or RGB")
        if image.mode == "RGBA":  # the colour itself, not what it looks like on white
            pixels = np.asarray(image.convert("RGB"))
    codes = pixels[..., 0].astype(np.int32)  # one channel after the other: photos may be large
    for channel in (1, 2):
        codes = codes << 8 | pixels[..., channel]
    return codes, True


def parse_classes(raw: bytes, name: str) -> ClassList:
    """Read a list of classes.

    A text file has a class a line: "name", "name r g b", "r g b name" or with commas; lines that begin with # are
    remarks. JSON is a list of names, or {name: [r, g, b]}.

    Args:
        name: the file's, for messages.

    Raises:
        DataError: it cannot be read as one of these; one line.
    """
    try:
        if len(raw) > _MAX_LIST:
            raise ValueError("it is larger than 1 MB")
        text = raw.decode("utf-8-sig")
        entries = _from_json(text) if name.lower().endswith(".json") else _from_lines(text)
        return class_list([entry[0] for entry in entries], [entry[1] for entry in entries])
    except DataError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else "it is neither names nor names with colours"
        raise DataError(f"{name} is no list of classes: {' '.join(why.split())[:120]}") from None


def class_list(names: Sequence[str], colours: Sequence[int | None] = ()) -> ClassList:
    """Check and clean the names of classes.

    Raises:
        DataError: none, too many, two that are the same, or colours for some of them only.
    """
    cleaned = tuple(" ".join(name.split())[:60] for name in names)
    if not cleaned or not all(cleaned):
        raise DataError("a class list needs a name for each class")
    if len(cleaned) > MAX_CLASSES + 1:
        raise DataError(f"{len(cleaned):,} classes are too many; {MAX_CLASSES} is the most")
    given = tuple(colour for colour in colours if colour is not None)
    if given and len(given) < len(cleaned):
        raise DataError("the class list has colours for some of the classes only; give each its own, or none")
    for what, values in (("name", cleaned), ("colour", given)):
        if (most := Counter(values).most_common(1)) and most[0][1] > 1:
            twice = most[0][0] if what == "name" else name_of(int(most[0][0]), True).removeprefix("colour ")
            raise DataError(f"the class list has the {what} {twice} more than once")
    return ClassList(cleaned, given)


def _from_lines(text: str) -> list[tuple[str, int | None]]:
    number, gap = r"(\d{1,3})", r"[\s,;]+"
    first = re.compile(rf"{number}{gap}{number}{gap}{number}{gap}(\S.*)")
    last = re.compile(rf"(.*[^\s,;]){gap}{number}{gap}{number}{gap}{number}")
    entries: list[tuple[str, int | None]] = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if found := first.fullmatch(line):
            entries.append((found[4], _colour([int(found[i]) for i in (1, 2, 3)])))
        elif found := last.fullmatch(line):
            entries.append((found[1], _colour([int(found[i]) for i in (2, 3, 4)])))
        else:
            entries.append((line, None))
    return entries


def _from_json(text: str) -> list[tuple[str, int | None]]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} is no JSON") from None
    if re.search("[\ud800-\udfff]", "".join(found) if isinstance(found, list | dict) else ""):
        raise ValueError("a name has half of a character (a lone surrogate)")
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return [(name, None) for name in found]
    if isinstance(found, dict):
        return [(name, _colour(colour)) for name, colour in found.items()]
    raise TypeError


def _colour(rgb: Sequence[int]) -> int:
    if len(rgb) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in rgb):
        raise ValueError(f"{rgb} is no colour; it takes three whole numbers from 0 to 255")
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]


def choose_coding(found: Counter[int], colours: bool, given: ClassList | None, ignore: int | None) -> Coding:
    """Decide which code is which class.

    Without a list, each code that was found is a class: values in their order, colours the most frequent first.

    Args:
        found: {code: pixels} over all masks.
        colours: whether the codes are colours.
        given: the list of classes, if there is one.
        ignore: the value of no class; None stands for 255, unless that would leave a single class.

    Raises:
        DataError: there are fewer than two classes, or too many, or the list does not tell.
    """
    if colours and ignore is not None:
        raise DataError("the masks are in colours, which no ignored value fits; call that class void in the list")
    if colours and given and not given.colours:
        raise DataError("the masks are in colours, so the class list must give them: one line 'name r g b' for each")
    void = 255 if ignore is None else ignore
    two = given is None or len(given.names) == 2
    both = not colours and ignore is None and set(found) == {0, 255} and two  # black and white
    if colours:
        order = given.colours if given else tuple(sorted(found, key=lambda code: (-found[code], code)))
    elif given and not both:
        order = tuple(range(len(given.names)))
    else:
        order = tuple(sorted(found))
    names = given.names if given else tuple(f"class {i if colours else code}" for i, code in enumerate(order))
    codes, classes = {} if colours else {void: IGNORE}, []
    for code, name in zip(order, names, strict=False):
        if name.casefold() in VOID or (not colours and code == void and not both):
            codes[code] = IGNORE
        else:
            codes[code] = len(classes)
            classes.append(name)
    if len(classes) < 2:
        raise DataError(f"the masks have {_only(classes)}; at least two are needed")
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{len(classes)} classes are too many; {MAX_CLASSES} is the most")
    return Coding(tuple(classes), codes, colours)


def _only(classes: list[str]) -> str:
    return f"only the class {classes[0]}" if classes else "no class"
