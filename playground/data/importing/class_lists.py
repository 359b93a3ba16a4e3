"""The file that says what the classes of masks are called: those of the usual tools, and plain lists.

| file | of | holds |
|---|---|---|
| classes.txt, labels.txt, label_colors.txt | people, CamVid | a name a line; or `name r g b`, or `r g b name` |
| class_dict.csv | CamVid on Kaggle | `name,r,g,b` |
| labelmap.txt | CVAT | `name:r,g,b:parts:actions` |
| _classes.csv | Roboflow | `Pixel Value, Class` |
| classes.json | people | a list of names, or {name: [r, g, b]} |
| obj_class_to_machine_color.json | Supervisely | {name: [value, value, value]} |
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from playground.data.catalog import DataError
from playground.data.importing.names import clean_name, shorten_names

MAX_CLASSES = 255
"""A mask is kept as bytes, and one value is no class."""
LISTS = (
    *("classes.txt", "labels.txt", "label_colors.txt", "classes.json", "class_dict.csv", "labelmap.txt"),
    *("_classes.csv", "obj_class_to_machine_color.json"),
)
"""What the file with the names of the classes may be called."""
_MAX_LIST = 2**20


@dataclass(frozen=True)
class ClassList:
    """The names of the classes, in the order of their values.

    Attributes:
        colours: of each class, as 0xRRGGBB; or none.
        values: of each class; empty stands for 0, 1, 2 …
    """

    names: tuple[str, ...]
    colours: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Entry:
    name: str
    colour: int | None = None
    value: int | None = None


def is_list(path: PurePosixPath) -> bool:
    """Say whether a file is called like a list of classes."""
    return path.name.lower() in LISTS


def colour_name(code: int) -> str:
    """Write a colour, 0xRRGGBB, for people: "255 0 128"."""
    return f"{code >> 16} {code >> 8 & 255} {code & 255}"


def parse_classes(raw: bytes, name: str) -> ClassList:
    """Read a list of classes.

    Args:
        name: the file's, by which its kind is told, and for messages.

    Raises:
        DataError: it cannot be read as a list of classes; one line.
    """
    try:
        if len(raw) > _MAX_LIST:
            raise ValueError("it is larger than 1 MB")
        text = raw.decode("utf-8-sig")
        entries = _from_json(text) if name.lower().endswith(".json") else _from_table(text) or _from_lines(text)
        return _checked(entries)
    except DataError:
        raise
    except (ValueError, TypeError, RecursionError, csv.Error) as error:
        why = str(error) if type(error) is ValueError else "it is neither names nor names with colours"
        raise DataError(f"{name} is no list of classes: {' '.join(why.split())[:120]}") from None


def class_list(names: Sequence[str]) -> ClassList:
    """Check and clean the names of classes.

    Raises:
        DataError: none, too many, or two that are the same.
    """
    return _checked([_Entry(name) for name in names])


def _checked(entries: Sequence[_Entry]) -> ClassList:
    cleaned = [clean_name(entry.name) for entry in entries]
    if not cleaned or not all(cleaned):
        raise DataError("a class list needs a name for each class")
    if len(cleaned) > MAX_CLASSES + 1:
        raise DataError(f"{len(cleaned):,} classes are too many; {MAX_CLASSES} is the most")
    colours = tuple(entry.colour for entry in entries if entry.colour is not None)
    values = tuple(entry.value for entry in entries if entry.value is not None)
    if colours and len(colours) < len(cleaned):
        raise DataError("the class list has colours for some of the classes only; give each its own, or none")
    shown = {"name": cleaned, "colour": [colour_name(c) for c in colours], "value": list(map(str, values))}
    for what, words in shown.items():
        if (most := Counter(words).most_common(1)) and most[0][1] > 1:
            raise DataError(f"the class list has the {what} {most[0][0][:60]} more than once")
    short = shorten_names(cleaned)
    return ClassList(tuple(short[name] for name in cleaned), colours, values)


def _from_table(text: str) -> list[_Entry]:
    """Read a table with a heading: name and r, g, b, or name and value; nothing where it has no heading."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    head = [cell.casefold() for cell in rows[0]] if rows else []
    name = next(
        (head.index(word) for word in ("name", "class", "label", "class name", "class_name") if word in head), -1
    )
    value = next((head.index(w) for w in ("pixel value", "value", "index", "id", "class_id") if w in head), -1)
    rgb = [head.index(c) for c in ("r", "g", "b") if c in head] or [head.index(c) for c in _RGB if c in head]
    if name < 0 or not (len(rgb) == 3 or value >= 0):
        return []
    entries = []
    for row in rows[1:]:
        if len(row) <= max(name, value, *rgb):
            raise ValueError(f"the line {','.join(row)} has fewer columns than the first")
        number = int(row[value]) if value >= 0 and len(rgb) != 3 else None
        if number is not None and not 0 <= number <= 65535:
            raise ValueError(f"{number} is no value of a mask; it is a whole number from 0 to 65535")
        entries.append(_Entry(row[name], _colour([int(row[c]) for c in rgb]) if len(rgb) == 3 else None, number))
    return entries


_RGB = ("red", "green", "blue")
_NUMBER, _GAP = r"(\d{1,3})", r"[\s,;]+"
_COLOUR = f"{_NUMBER}{_GAP}{_NUMBER}{_GAP}{_NUMBER}"
_FIRST = re.compile(rf"{_COLOUR}{_GAP}(\S.*)")
_LAST = re.compile(rf"(.*[^\s,;]){_GAP}{_COLOUR}")
_CVAT = re.compile(rf"([^:]+):{_NUMBER},{_NUMBER},{_NUMBER}:[^:]*:[^:]*")


def _from_lines(text: str) -> list[_Entry]:
    entries = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if found := _FIRST.fullmatch(line):
            entries.append(_Entry(found[4], _colour([int(found[i]) for i in (1, 2, 3)])))
        elif found := _CVAT.fullmatch(line) or _LAST.fullmatch(line):
            entries.append(_Entry(found[1], _colour([int(found[i]) for i in (2, 3, 4)])))
        else:
            entries.append(_Entry(line))
    return entries


def _from_json(text: str) -> list[_Entry]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} is no JSON") from None
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return [_Entry(_sound(name)) for name in found]
    if isinstance(found, dict):
        return [_Entry(_sound(name), _colour(colour)) for name, colour in found.items()]
    raise TypeError


def _sound(name: str) -> str:
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise ValueError("a name has half of a character (a lone surrogate)")
    return name


def _colour(rgb: Sequence[int]) -> int:
    if len(rgb) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in rgb):
        raise ValueError(f"{rgb} is no colour; it takes three whole numbers from 0 to 255")
    return rgb[0] << 16 | rgb[1] << 8 | rgb[2]
