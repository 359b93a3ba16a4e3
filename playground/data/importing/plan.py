"""What was understood of a person's set, before any of it is taken: a `Plan`, its doubts, and how to correct it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal

from playground.data.catalog import DataError
from playground.data.importing.layout import Item
from playground.data.importing.mask_files import NOTHING, Coding
from playground.data.importing.names import MAX_NAME, clean_name
from playground.data.importing.sources import Skipped
from playground.tasks import TASKS, TaskName

Learn = Literal["train+val", "train"]


@dataclass(frozen=True)
class Corrections:
    """What a person says of a set; what they do not say is understood from it.

    Attributes:
        task: one label an image, or one a pixel.
        parts: {folder: one of `folders.ROLES`}.
        depth: how many folders below the upper ones the classes lie.
        classes: of masks, the names in the order of the values 0, 1, 2 …; they go before a list in the set.
        names: {class as understood: its name}.
        threshold: of masks that are nearly black and white, the grey from which they are white; `NOTHING` where each
            grey is a class.
        ignore: the value of pixels without a class; `NOTHING` where there is none.
        size: the (long) side of the images in pixels.
        test_share: the part that is held back to test on, unless the set has a split of its own.
        train_on: whether validation images are learnt from where there are test images as well, or left out.
        seed: which images are held back.
        agreed: the doubts that are answered.
    """

    task: TaskName | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0
    classes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    threshold: int | None = None
    ignore: int | None = None
    size: int | None = None
    test_share: float = 0.2
    train_on: Learn = "train+val"
    seed: int = 0
    agreed: frozenset[str] = frozenset()

    def check(self) -> None:
        """Make sure that the numbers can be.

        Raises:
            DataError: one is out of its range; one line.
        """
        if not 0 < self.test_share <= 0.9:
            raise DataError(f"the test share cannot be {self.test_share:g}; it is a part from 0.01 to 0.9")
        if self.ignore is not None and not NOTHING <= self.ignore <= 65535:
            raise DataError(f"the ignored value cannot be {self.ignore}; it is a whole number from 0 to 65535, or none")
        if self.threshold is not None and self.threshold != NOTHING and not 1 <= self.threshold <= 255:
            raise DataError(f"the threshold cannot be {self.threshold}; it is a grey from 1 to 255, or none")
        if self.depth not in (0, 1, 2):
            raise DataError(f"classes cannot lie {self.depth} folders deeper; it is 0, 1 or 2")


@dataclass(frozen=True)
class Choice:
    """An answer to a doubt: what it says, and what it changes in the corrections."""

    says: str
    change: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flags(self) -> str:
        """The answer on the command line."""
        said = [f'--part "{folder}={part}"' for folder, part in self.change.get("parts", {}).items()] + [
            f"--{name} {'none' if value == NOTHING else value}"
            for name, value in self.change.items()
            if name != "parts"
        ]
        return " ".join(said) or "--yes"


@dataclass(frozen=True)
class Doubt:
    """Something that may be meant otherwise; the first of the choices is what was understood."""

    key: str
    question: str
    choices: tuple[Choice, ...]

    def answered(self, corrections: Corrections, choice: Choice) -> Corrections:
        """Return the corrections with this doubt answered."""
        parts = {**corrections.parts, **choice.change.get("parts", {})}
        return replace(corrections, **{**choice.change, "parts": parts, "agreed": corrections.agreed | {self.key}})


@dataclass(frozen=True)
class ClassCount:
    """How many images of a class there are to learn from and to test on; of masks, those that it occurs in.

    Attributes:
        share: of all pixels that have a class; None where images have one label.
    """

    name: str
    train: int
    test: int
    share: float | None = None


@dataclass(frozen=True)
class Plan:
    """What will become of a set.

    Attributes:
        items: the images that are taken, those to learn from first.
        test: of each item, whether it is tested on.
        split: whether the set says so itself.
        shape: channels, height and width of the images as they will be.
        folders: {folder: (role, images)} of those that play a part.
        ignored: the share of pixels without a class; None where images have one label.
        doubts: what has to be answered before it is taken.
        remarks: what is worth knowing, in whole sentences.
        duplicates: how many images are left out because another one is the same.
    """

    task: TaskName
    items: tuple[Item, ...]
    test: tuple[bool, ...]
    split: bool
    shape: tuple[int, int, int]
    classes: tuple[ClassCount, ...]
    folders: Mapping[str, tuple[str, int]]
    ignored: float | None
    coding: Coding | None
    doubts: tuple[Doubt, ...]
    remarks: tuple[str, ...]
    left_out: Skipped
    duplicates: int
    corrections: Corrections

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(count.name for count in self.classes)

    @property
    def open_doubts(self) -> list[Doubt]:
        """The doubts that nobody has answered."""
        return [doubt for doubt in self.doubts if doubt.key not in self.corrections.agreed]

    @property
    def train_count(self) -> int:
        """How many images there are to learn from."""
        return len(self.items) - sum(self.test)

    def renamed(self, names: Mapping[str, str]) -> "Plan":
        """Return the plan with some classes called otherwise: {class: its name}.

        Raises:
            DataError: there is no such class, a name is empty, or two classes would have one name.
        """
        if unknown := [name for name in names if name not in self.names]:
            raise DataError(f"there is no class {unknown[0][:60]!r} to be renamed")
        made = {name: clean_name(names.get(name, name))[:MAX_NAME] for name in self.names}
        if not all(made.values()):
            raise DataError("a class needs a name that can be seen")
        if (twice := Counter(made.values()).most_common(1)) and twice[0][1] > 1:
            raise DataError(f"two classes would be called {twice[0][0]}; give each a name of its own")
        return replace(
            self,
            items=tuple(replace(item, label=made.get(item.label, "")) for item in self.items),
            classes=tuple(replace(count, name=made[count.name]) for count in self.classes),
            coding=self.coding and replace(self.coding, classes=tuple(made.values())),
        )

    def agreed(self) -> "Plan":
        """Return the plan with all doubts answered as it was understood."""
        keys = frozenset(doubt.key for doubt in self.doubts)
        return replace(self, corrections=replace(self.corrections, agreed=self.corrections.agreed | keys))


def headline(plan: Plan) -> str:
    """Say in one line what a set is."""
    _, height, width = plan.shape
    held = "" if plan.split else ", held back at random"
    return (
        f"{TASKS[plan.task].gives}: {len(plan.classes):,} classes, {plan.train_count:,} images to learn from and "
        f"{sum(plan.test):,} to test on{held}, each {width} × {height} pixels"
    )


def describe(plan: Plan) -> list[str]:
    """Tell what was understood, in lines for the command line."""
    lines = [f"understood: {headline(plan)}"]
    wide = max((len(count.name) for count in plan.classes), default=0)
    for count in plan.classes:
        share = "" if count.share is None else f"  {100 * count.share:5.1f} % of the pixels"
        lines.append(f"  {count.name:{wide}}  {count.train:6,} to learn from  {count.test:6,} to test on{share}")
    lines += [f"  folder {path}: {role}, {n:,} images" for path, (role, n) in plan.folders.items() if role != "class"]
    if plan.ignored:
        lines.append(f"  {100 * plan.ignored:.1f} % of the pixels have no class")
    lines += [f"note: {remark}" for remark in plan.remarks]
    for doubt in plan.open_doubts:
        lines.append(f"doubt: {doubt.question}")
        lines += [f"  {choice.flags:20} {choice.says}" for choice in doubt.choices]
    return lines


def reasons(left_out: Skipped) -> dict[str, list[PurePosixPath]]:
    """Group the files that are left out by why."""
    found: dict[str, list[PurePosixPath]] = {}
    for path, why in left_out:
        found.setdefault(why, []).append(PurePosixPath(path))
    return found
