"""Labels that are not in folders: a table beside the images (labels.csv), or the images' own names (cat.0.jpg)."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Set

_LABELS = ("label", "labels", "class", "classes", "category", "species", "breed", "target", "diagnosis", "dx", "y")
_NAMED = re.compile(r"(.*?[^\W\d_].*?)[._\- ]*\(?\d+\)?")
_MOST = 16 * 2**20
"""Bytes of a table; 100,000 images fill less."""
_DELIMITERS = ",;\t"


def read_table(raw: bytes, known: Set[str]) -> dict[str, str]:
    """Read which image has which label; nothing if it is no such table.

    A table has a column of file names, with or without their endings, and a column of labels; or a column for each
    class, with a 1 in the image's own.

    Args:
        known: the images' names and stems, casefolded.

    Returns:
        {file name or stem, casefolded: label}.
    """
    if len(raw) > _MOST:
        return {}
    text = raw.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    try:
        rows = list(csv.reader(text.splitlines(), delimiter=max(_DELIMITERS, key=first.count)))
    except csv.Error:
        return {}
    rows = [[cell.strip() for cell in row] for row in rows if any(row)]
    if len(rows) < 2:
        return {}
    width = min(len(row) for row in rows)
    column = max(range(width), key=lambda c: len({_key(row[c]) for row in rows}.intersection(known)), default=0)
    head = rows.pop(0) if width and _key(rows[0][column]) not in known else []
    rows = [row for row in rows if width and _key(row[column]) in known]
    others = [c for c in range(width) if c != column]
    if not rows or not others:
        return {}
    named = [c for c in others if head and head[c].casefold() in _LABELS]
    if named or len(others) == 1:
        return {_key(row[column]): row[(named or others)[0]] for row in rows if row[(named or others)[0]]}
    if head and all(sorted(row[c] for c in others)[-1] in ("1", "1.0") and _ones(row, others) == 1 for row in rows):
        return {_key(row[column]): next(head[c] for c in others if row[c] in ("1", "1.0")) for row in rows}
    return {}


def label_of_name(stem: str) -> str:
    """Return what stands before the number in a name: cat of "cat.0", "cat_001" and "cat (3)"; or nothing."""
    found = _NAMED.fullmatch(stem)
    return found[1].rstrip("._- (") if found else ""


def labels_of_names(stems: Collection[str]) -> Counter[str]:
    """Count the labels in the names of files; none unless (nearly) all have one, and each label is on several."""
    found = Counter(label for label in map(label_of_name, stems) if label)
    usable = len(found) >= 2 and min(found.values()) >= 2 and sum(found.values()) >= 0.9 * len(stems)
    return found if usable else Counter()


def _key(cell: str) -> str:
    return cell.replace("\\", "/").rpartition("/")[2].casefold()


def _ones(row: list[str], columns: list[int]) -> int:
    return sum(row[c] in ("1", "1.0") for c in columns)
