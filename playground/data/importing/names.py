"""What the names of folders, files and classes say: the words of public data sets, and names fit to be shown."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Part = Literal["train", "val", "test"]
Kind = Literal["images", "masks"]
MAX_NAME = 60
"""Characters of a class name that are shown."""

_PARTS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys("image images img imgs photo photos picture pictures pics jpg jpeg input inputs".split(), "images"),
    **dict.fromkeys(
        "mask masks label labels annotation annotations annot annots anno annos ann gt groundtruth truth segmentation "
        "segmentations seg segs segmap trimap trimaps target targets".split(),
        "masks",
    ),
}
_FILLERS = frozenset("set sets data dataset split folder files png class machine raw ground fine left bit new".split())
_ASIDE = frozenset(
    "object objects instance instances instanceids human color colour colored coloured visual visualization "
    "overlay overlays polygons".split()
)
"""Words of masks that tell things apart or are made to be looked at, where others tell classes."""
UNLABELLED = frozenset("pred predict prediction predictions unlabeled unlabelled unknown extra sample samples".split())
"""What a folder beside train/ may be called that holds images without a class."""

_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")
_AFFIX = re.compile(
    r"^(?:img|image|mask|label|gt|seg)(?=[_\- .]|\d)[_\- .]*"
    r"|[_\- .]+(?:l|img|image|images|sat|rgb|leftimg8bit|mask|masks|label|labels|labelids|labeltrainids|gt|gtfine|"
    r"gtcoarse|seg|segmentation|segmentations|annotation|annotations|groundtruth|instanceids|color)$"
)
_MASK_NAME = re.compile(
    r"^(?:mask|label|gt|seg)[_\- .].*"
    r"|.*[_\- .](?:mask|masks|label|labels|seg|segmentation|gt|gtfine[_\- .]labelids|groundtruth)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Words:
    """What a folder is called: a part of a split, a kind of picture, both, or (all empty) something else.

    Attributes:
        aside: they are masks, but of instances, or made to be looked at.
    """

    part: Part | None = None
    kind: Kind | None = None
    aside: bool = False


def tokens(name: str) -> list[str]:
    """Part a name into lower-case words: "JPEGImages" is jpeg, images; "trainannot" is train, annot."""
    found = []
    for word in (match.group().casefold() for match in _TOKEN.finditer(name)):
        ends = [k for k in range(3, len(word)) if word[:k] in _PARTS and (word[k:] in _KINDS or word[k:] in _FILLERS)]
        found += [word] if _known(word) or not ends else [word[: ends[-1]], word[ends[-1] :]]
    return found


def _known(word: str) -> bool:
    return word in _PARTS or word in _KINDS or word in _FILLERS or word in _ASIDE or word.isdecimal()


def read_words(name: str, shared: frozenset[str] = frozenset()) -> Words:
    """Say what a folder's name means; nothing where it has a word that is none of the usual ones.

    Args:
        shared: words that the folders beside it have, too.
    """
    found = tokens(name)
    if not found or not all(_known(word) or word in shared for word in found):
        return Words()
    parts = {_PARTS[word] for word in found if word in _PARTS}
    kinds = {_KINDS[word] for word in found if word in _KINDS}
    aside = not _ASIDE.isdisjoint(found)
    kind: Kind | None = "masks" if "masks" in kinds or (aside and not kinds) else "images" if kinds else None
    return Words(next(iter(parts)) if len(parts) == 1 else None, kind, aside)


def shared_words(names: Sequence[str]) -> frozenset[str]:
    """Return the words that all of these names have."""
    return frozenset.intersection(*(frozenset(tokens(name)) for name in names)) if len(names) > 1 else frozenset()


def is_mask_name(stem: str) -> bool:
    """Say whether a file is called like the mask of one beside it: "0_mask", "mask_0"."""
    return bool(_MASK_NAME.fullmatch(stem))


def plain_stem(stem: str) -> str:
    """Take off what a file's name says of its kind: "img_0", "mask_0" and "0_segmentation" are all 0."""
    stem = unicodedata.normalize("NFC", stem).casefold()
    while (shorter := _AFFIX.sub("", stem)) and shorter != stem:
        stem = shorter
    return stem


def clean_name(name: str) -> str:
    """Make a class name fit to be shown: without control and zero-width characters, and with single spaces."""
    name = unicodedata.normalize("NFC", name)
    name = "".join(c for c in name if c in "\t\n\r" or unicodedata.category(c) not in ("Cc", "Cf"))
    return " ".join(name.split())


def shorten_names(names: Iterable[str]) -> dict[str, str]:
    """Return each name's short form of at most `MAX_NAME` characters; different names stay different."""
    short: dict[str, str] = {}
    for name in names:
        made = name
        if len(name) > MAX_NAME:
            made = name[:MAX_NAME]
            if sum(other[:MAX_NAME] == made for other in names) > 1:  # they differ only at their ends
                made = f"{name[:29]} … {name[-28:]}"
        number = 1
        while made in short.values():
            number += 1
            made = f"{name[: MAX_NAME - 6]} ({number})"
        short[name] = made
    return short


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Order names as people do: 2 before 10, and small letters beside capital ones."""
    # A number is ordered by its length and digits: Python refuses to read one of thousands of digits.
    return tuple(
        (0, len(part.lstrip("0")), part.lstrip("0")) if part[0] in "0123456789" else (1, 0, part.casefold())
        for part in re.split(r"([0-9]+)", name)
        if part
    )
