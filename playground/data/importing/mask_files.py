"""What the files of a person's masks hold: values or colours, and which of them is which class."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from playground.data.catalog import DataError
from playground.data.importing.class_lists import MAX_CLASSES, ClassList, colour_name
from playground.images import FORMATS, ImageError, read_image
from playground.metrics import IGNORE

VOID = frozenset({"void", "unlabelled", "unlabeled", "ignore", "ignored"})
"""Names in a class list whose pixels belong to no class."""
NOTHING = -1
"""As the ignored value: each value is a class. As the threshold: masks are not black and white."""
MAX_IN_ONE = 64
"""More values than this in one mask, and nobody has said what they are: those of soft edges, not of classes."""
THRESHOLD = 128
"""From this grey on, a mask that is nearly black and white is white."""
_DARK, _BRIGHT = 64, 192
"""Greys below and from here on are noise around black and white."""


@dataclass(frozen=True)
class MaskLook:
    """What is in the file of one mask.

    Attributes:
        shape: height and width.
        colours: whether its codes are colours, 0xRRGGBB; else they are values.
        lossy: whether it is a JPEG, whose values are not exact.
        counts: {code: pixels}; empty where there are more than `MAX_IN_ONE` codes.
        distinct: how many codes there are.
        painted: {colour: pixels} of the palette, where the values are indices into one.
        greys: (256,) pixels of each grey; None where it holds colours, or values beyond 255.
    """

    shape: tuple[int, int]
    colours: bool
    lossy: bool
    counts: dict[int, int]
    distinct: int
    painted: dict[int, int]
    greys: NDArray[np.int64] | None


@dataclass(frozen=True)
class Coding:
    """Which code in the masks is which class: {code: class, or `IGNORE`}.

    Attributes:
        colours: whether the codes are colours.
        threshold: of black-and-white masks, the grey from which a pixel belongs to the second class; else 0.
    """

    classes: tuple[str, ...]
    codes: dict[int, int]
    colours: bool
    threshold: int = 0

    def encode(self, data: bytes) -> NDArray[np.uint8]:
        """Turn the file of a mask into (H, W) classes and `IGNORE`.

        Raises:
            ImageError: it cannot be read, or one of its codes is no class; one line.
        """
        codes, colours, lossy = read_mask(data, palette=self.colours)
        if self.threshold:
            return (as_greys(codes, colours) >= self.threshold).astype(np.uint8)
        if wrong := self.misfit(colours, lossy):
            raise ImageError(wrong)
        known = np.array(sorted(self.codes), np.int32)
        at = np.searchsorted(known, codes).clip(0, len(known) - 1)
        if (unknown := codes[known[at] != codes]).size:
            raise ImageError(self.unknown(int(unknown[0])))
        return np.array([self.codes[code] for code in known.tolist()], np.uint8)[at]

    def misfit(self, colours: bool, lossy: bool) -> str:
        """Say why a mask of another kind than most cannot be used; nothing where it can."""
        if lossy:
            return "It is a JPEG, which does not keep exact values; save masks as PNG"
        most, this = ("colours", "values") if self.colours else ("values", "colours")
        return "" if colours == self.colours else f"It holds {this}, and most masks hold {most}"

    def unknown(self, code: int) -> str:
        """Say that a code is no class."""
        return f"It has the {name_of(code, self.colours)}, which is none of the {len(self.classes)} classes"


def name_of(code: int, colours: bool) -> str:
    """Write a code for people: "value 7" or "colour 255 0 128"."""
    return f"colour {colour_name(code)}" if colours else f"value {code}"


def read_mask(data: bytes, palette: bool = False) -> tuple[NDArray[np.int32], bool, bool]:
    """Decode the file of a mask.

    Args:
        palette: return the colours of a palette, instead of the indices into it.

    Returns:
        (H, W) codes; whether they are colours, 0xRRGGBB, else they are grey values or indices; and whether the file
        is a JPEG, whose values are not exact.

    Raises:
        ImageError: the file is no picture, or one that cannot hold exact values; one line.
    """
    pixels = read_image(data)  # which refuses what is too large, damaged or no picture
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        lossy = image.format == "JPEG"
        if image.mode in ("L", "1") or image.mode.startswith("I") or (image.mode == "P" and not palette):
            codes = np.asarray(image)
            if codes.min() < 0 or codes.max() > 65535:
                raise ImageError(f"Its values go from {codes.min()} to {codes.max()}; classes are 0, 1, 2 and so on")
            return codes.astype(np.int32), False, lossy
        if image.mode in ("F", "LA", "PA", "LAB", "CMYK", "HSV"):
            raise ImageError(f"Its pixels are of the kind {image.mode}; save it with grey values, a palette or RGB")
        if image.mode in ("RGBA", "P"):  # the colour itself, not what it looks like on white
            pixels = np.asarray(image.convert("RGB"))
    codes = pixels[..., 0].astype(np.int32)  # one channel after the other: photos may be large
    for channel in (1, 2):
        codes = codes << 8 | pixels[..., channel]
    return codes, True, lossy


def as_greys(codes: NDArray[np.int32], colours: bool) -> NDArray[np.int32]:
    """Return the grey of each code, 0 to 255."""
    return ((codes >> 16) + (codes >> 8 & 255) + (codes & 255)) // 3 if colours else codes


def look_at(data: bytes) -> MaskLook:
    """Read a mask and say what is in it.

    Raises:
        ImageError: it cannot be read; one line.
    """
    codes, colours, lossy = read_mask(data)
    values, counts = np.unique(codes, return_counts=True)
    few = len(values) <= MAX_IN_ONE
    found = dict(zip(values.tolist(), counts.tolist(), strict=True)) if few else {}
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        painted: Counter[int] = Counter()
        if few and image.mode == "P" and (palette := image.getpalette("RGB")):
            for index, count in found.items():
                red, green, blue = palette[3 * index : 3 * index + 3] or (0, 0, 0)
                painted[red << 16 | green << 8 | blue] += count
    greys = as_greys(values, colours)
    uneven = colours and any(_spread(code) > 24 for code in values[counts > codes.size // 1000].tolist())
    grey = None if uneven or greys.max() > 255 else np.bincount(greys, counts, 256).astype(np.int64)
    height, width = codes.shape
    return MaskLook((height, width), colours, lossy, found, len(values), dict(painted), grey)


def _spread(code: int) -> int:
    channels = code >> 16, code >> 8 & 255, code & 255
    return max(channels) - min(channels)


def middle_share(looks: Sequence[MaskLook]) -> float | None:
    """Return which part of the pixels is neither black nor white, in masks that are so but for noise; None in others.

    Masks of JPEGs, and of soft edges, have many greys near 0 and 255 and few between. Classes 0, 1, 2 … with 255 for
    none are not of this kind: only one of their values is bright.
    """
    greys = [look.greys for look in looks if look.greys is not None]
    if len(greys) < len(looks):
        return None
    # Masks that are exactly black and white need no threshold, and say nothing of the others, unless they are JPEGs.
    inexact = [look for look, grey in zip(looks, greys, strict=True) if look.lossy or grey[[0, 255]].sum() < grey.sum()]
    noisy = sum(_is_noisy(look) for look in inexact)
    if not noisy or noisy < len(inexact) / 2:
        return None
    total = np.sum(greys, axis=0)
    middle = float(total[_DARK:_BRIGHT].sum()) / float(total.sum())
    return middle if middle <= 0.15 else None


def _is_noisy(look: MaskLook) -> bool:
    """Say whether a mask has several greys near black, and several near white."""
    if look.greys is None:
        return False
    dark, bright = (look.greys[:_DARK] > 0).sum(), (look.greys[_BRIGHT:] > 0).sum()
    several = dark >= 2 and bright >= 2 and dark + bright >= 5
    return bool(dark and bright and (look.lossy or look.distinct > MAX_IN_ONE or several))


def painted_in(looks: Sequence[MaskLook], given: ClassList) -> bool:
    """Say whether the colours of all masks, be they of a palette, are those of the list of classes."""
    return bool(given.colours) and all(
        not look.lossy and (look.colours or look.painted) and set(look.painted or look.counts) <= set(given.colours)
        for look in looks
    )


def black_and_white(given: ClassList | None, threshold: int) -> Coding:
    """Return the coding of masks that are nearly black and white.

    Raises:
        DataError: the list has not two classes.
    """
    if given and len(given.names) != 2:
        raise DataError(f"the masks are black and white, and the class list has {len(given.names)} classes, not two")
    return Coding(given.names if given else ("black", "white"), {}, False, threshold)


def choose_coding(found: Counter[int], colours: bool, given: ClassList | None, ignore: int | None) -> Coding:
    """Decide which code is which class.

    Without a list, each code that was found is a class: values in their order, colours the most frequent first.

    Args:
        found: {code: pixels} over all masks.
        colours: whether the codes are colours.
        given: the list of classes, if there is one.
        ignore: the value of no class; `NOTHING` for none; None stands for 255, unless that would leave a single class.

    Raises:
        DataError: there are fewer than two classes, or too many, or the list does not tell.
    """
    if colours and ignore not in (None, NOTHING):
        raise DataError("the masks are in colours, which no ignored value fits; call that class void in the list")
    if colours and given and not given.colours:
        raise DataError("the masks are in colours, so the class list must give them: one line 'name r g b' for each")
    named = given is not None and 255 in given.values
    void = ignore if ignore is not None else NOTHING if named else 255
    two = given is None or len(given.names) == 2
    both = not colours and ignore is None and set(found) == {0, 255} and two  # black and white
    order = _order(found, colours, None if both else given)
    names = given.names if given else tuple(f"class {i if colours else code}" for i, code in enumerate(order))
    codes, classes = {} if colours or void == NOTHING else {void: IGNORE}, []
    for code, name in zip(order, names, strict=False):
        if name.casefold() in VOID or (not colours and code == void and not both):
            codes[code] = IGNORE
        else:
            codes[code] = len(classes)
            classes.append(name)
    if len(classes) < 2:
        only = f"only the class {classes[0]}" if classes else "no class"
        raise DataError(f"the masks have {only}; at least two are needed")
    if len(classes) > MAX_CLASSES:
        raise DataError(f"{len(classes)} classes are too many; {MAX_CLASSES} is the most")
    return Coding(tuple(classes), codes, colours)


def _order(found: Counter[int], colours: bool, given: ClassList | None) -> tuple[int, ...]:
    """Return the codes in the order of their names."""
    if given is None:
        return tuple(sorted(found, key=lambda code: (-found[code], code) if colours else (0, code)))
    if colours:
        return given.colours
    if given.values:
        return given.values
    greys = tuple(code & 255 for code in given.colours if _spread(code) == 0)
    counted = set(range(len(given.names))) | {255}
    if len(greys) == len(given.names) and not set(found) <= counted and set(found) <= {*greys, 255}:
        return greys  # The list gives the masks' greys as colours.
    return tuple(range(len(given.names)))
