"""A person's own data sets: their names and entries, sets of shapes drawn to their wishes, and deleting one."""

import os
import re
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, replace

from playground.data import store
from playground.data.catalog import CATALOG, NAME, DataError, DatasetInfo, find_folder
from playground.data.progress import Report
from playground.data.shapes import Difficulty


def make_slug(name: str) -> str:
    """Make a data set's name of what a person typed: "My cats!" becomes "my-cats".

    Raises:
        DataError: nothing is left of it, or a data set of that name exists.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    made = re.sub(r"[^a-z0-9_]+", "-", plain).lstrip("-_")[:64].rstrip("-")
    if not NAME.fullmatch(made):
        raise DataError(f"{name[:60]!r} cannot be a data set's name; use some of the letters a to z and digits")
    if made in CATALOG or find_folder(made).exists():
        raise DataError(f"there is a data set {made} already; choose another name")
    return made


@contextmanager
def claim_name(name: str) -> Generator[None]:
    """Hold the lock of a new data set while it is written.

    Raises:
        DataError: there is one of that name by now.
    """
    with store.locked(name):
        if find_folder(name).exists():
            raise DataError(f"there is a data set {name} already; choose another name")
        yield


def make_entry(name: str, title: str, classes: tuple[str, ...], size: int) -> DatasetInfo:
    """Return the entry of a person's own images, as far as it is known before they are written."""
    return DatasetInfo(
        name=name,
        title=" ".join(title.split())[:80],
        classes=classes,
        channels=3,
        size=size,
        train_count=0,
        test_count=0,
        licence="Your own images",
        source="Imported on this computer",
        citation="",
    )


def draw_shapes(
    name: str,
    train: int = 2000,
    test: int = 500,
    size: int = 64,
    difficulty: Difficulty | None = None,
    seed: int = 0,
    progress: Report | None = None,
) -> DatasetInfo:
    """Draw a data set of shapes, with a label for each pixel, as easy or hard as one likes.

    Args:
        name: what the person calls it.
        train, test: how many images; size: their side in pixels; seed: which. `shapes.LIMITS` bounds them.
        progress: told of the images; raise in it to cancel.

    Raises:
        DataError: a data set of that name exists, or a number is out of its limits; one line.
    """
    made, difficulty = make_slug(name), difficulty or Difficulty()
    knobs = ", ".join(f"{knob} {value:g}" for knob, value in asdict(difficulty).items())
    entry = replace(
        CATALOG["shapes"],
        name=made,
        title=" ".join(name.split())[:80],
        train_count=train,
        test_count=test,
        size=size,
        bundled=False,
        source=f"Drawn on this computer by playground/data/shapes.py: {knobs}, seed {seed}",
    )
    with claim_name(made):
        return store.write_shapes(entry, seed, difficulty, progress)


def delete_dataset(name: str) -> None:
    """Delete a data set that a person imported, or one that is damaged.

    Raises:
        DataError: it is none of theirs, or there is none of that name.
    """
    if name in CATALOG and store.is_sound(name):
        raise DataError(f"{name} is part of the playground; only imported data sets can be deleted")
    if not os.path.lexists(find_folder(name)):
        raise DataError(f"there is no data set {name}")
    store.remove_arrays(name)
