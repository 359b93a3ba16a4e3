"""Which part each folder of a set plays: a part of a split, images or masks, a class, or none."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import get_args

from playground.data.catalog import DataError
from playground.data.importing.names import UNLABELLED, Kind, Part, Words, read_words, shared_words, tokens

OUT, CLASS, AROUND = "left out", "class", "none"
ROLES = (
    *("train", "val", "test", "images", "masks"),
    *(f"{part} {kind}" for part in get_args(Part) for kind in get_args(Kind)),
    *(CLASS, OUT, AROUND),
)
"""What a person may say of a folder: none is one that only lies around others."""


@dataclass(frozen=True)
class Role:
    """The part of one folder."""

    part: Part | None = None
    kind: Kind | None = None
    label: bool = False
    out: bool = False
    aside: bool = False

    def __str__(self) -> str:
        if self.out or self.label:
            return OUT if self.out else CLASS
        return " ".join(word for word in (self.part, self.kind) if word) or AROUND


def read_role(text: str) -> Role:
    """Read one of `ROLES`.

    Raises:
        DataError: it is none.
    """
    if text not in ROLES:
        raise DataError(f"{text[:40]!r} is no part of a folder; {', '.join(ROLES[:5])}, {CLASS} or {OUT!r} is one")
    if text in (OUT, CLASS, AROUND):
        return Role(label=text == CLASS, out=text == OUT)
    found = read_words(text)
    return Role(found.part, found.kind)


@dataclass(frozen=True)
class _Place:
    """What holds for all files of a folder; see the methods of `Folders`."""

    part: Part | None
    kind: Role
    out: bool
    label: str
    rest: tuple[str, ...]
    around: tuple[str, ...]


class Folders:
    """The folders around a set's images, and what each is for.

    Args:
        paths: of the images.
        forced: {folder: role} as a person says it, whatever it is called.

    Raises:
        DataError: a folder of `forced` is not there, or its role is none.
    """

    def __init__(self, paths: Iterable[PurePosixPath], forced: Mapping[str, str]) -> None:
        self.forced = {PurePosixPath(folder): read_role(role) for folder, role in forced.items()}
        self._children: dict[PurePosixPath, set[str]] = {}
        self._count = 0
        self._inside: dict[PurePosixPath, int] = {}
        self._places: dict[PurePosixPath, _Place] = {}
        for parent, count in Counter(path.parent for path in paths).items():
            self._count += count
            for folder in (parent, *parent.parents)[:-1]:
                self._children.setdefault(folder.parent, set()).add(folder.name)
                self._inside[folder] = self._inside.get(folder, 0) + count
        for folder in self.forced:
            if folder not in self._inside:
                raise DataError(f"there is no folder {folder} with images in it")

    @cached_property
    def roles(self) -> dict[PurePosixPath, Role]:
        """The role of each folder that has one, from its name and those beside it."""
        found = {}
        for parent, names in self._children.items():
            shared = shared_words(sorted(names))
            words = {name: read_words(name, shared) for name in names}
            split = _is_split(words)
            for name, word in words.items():
                folder = parent / name
                kind = word.kind if self._inside[folder] < self._count else None  # not that of one around everything
                role = Role(word.part if split else None, kind, aside=word.aside)
                found[folder] = self.forced.get(folder, role)
        return found

    def count(self, folder: PurePosixPath) -> int:
        """Return how many images lie in a folder and below it."""
        return self._inside.get(folder, 0)

    def part(self, path: PurePosixPath) -> Part | None:
        """Return the part of a split that an image belongs to."""
        return self._place(path).part

    def kind(self, path: PurePosixPath) -> Role:
        """Return the role of the nearest folder of images or masks around a file; an empty one outside of all."""
        return self._place(path).kind

    def is_out(self, path: PurePosixPath) -> bool:
        """Say whether a person leaves out a folder around an image."""
        return self._place(path).out

    def label(self, path: PurePosixPath) -> str:
        """Return the class folder around an image that a person has named."""
        return self._place(path).label

    def rest(self, path: PurePosixPath) -> tuple[str, ...]:
        """Return the names around an image and its own, without the folders of a split."""
        return (*self._place(path).rest, path.name)

    def around(self, path: PurePosixPath) -> tuple[str, ...]:
        """Return the names around a file, casefolded, without the folders of a split, of images and of masks."""
        return self._place(path).around

    def _place(self, path: PurePosixPath) -> "_Place":
        """Return what holds for all files of a folder; there are many files, and few folders."""
        parent = path.parent
        if parent not in self._places:
            around = [(folder, self.roles[folder]) for folder in path.parents[:-1]]  # the nearest first
            rest = [
                (folder.name, role)
                for folder, role in reversed(around)
                if not role.part and (folder not in self.forced or role.label)
            ]
            self._places[parent] = _Place(
                next((role.part for _, role in around if role.part), None),
                next((role for _, role in around if role.kind), Role()),
                any(role.out for _, role in around),
                next((folder.name for folder, role in around if role.label), ""),
                tuple(name for name, _ in rest),
                tuple(name.casefold() for name, role in rest if not role.kind and not role.aside),
            )
        return self._places[parent]

    def splits(self) -> list[str]:
        """Return the folders of a split, as paths."""
        return sorted(str(folder) for folder, role in self.roles.items() if role.part)


def _is_split(words: Mapping[str, Words]) -> bool:
    """Say whether folders beside one another are those of a split: train and another, or what has no labels."""
    parts = {word.part for word in words.values()}
    others = [name for name, word in words.items() if not word.part]
    alone = bool(others) and all(not UNLABELLED.isdisjoint(tokens(name)) for name in others)
    return "train" in parts and (not parts.isdisjoint(("val", "test")) or alone)
