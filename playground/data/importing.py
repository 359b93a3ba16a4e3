"""Take in a person's own images, whichever kind they are: class folders, or images with masks."""

from collections.abc import Sequence

from playground.data.catalog import DataError
from playground.data.masks import Learn, holds_masks, import_masks
from playground.data.own import ImportReport, import_zip
from playground.data.sources import Source, opened
from playground.data.store import Report

SIZE, MASKS_SIZE = 64, 128
"""Pixels of the (long) side of images, where nobody says otherwise."""


def has_masks(source: Source) -> bool:
    """Say whether a zip or a folder holds images with masks.

    Raises:
        DataError: it cannot be read, or is refused; one line.
    """
    with opened(source) as (files, _):
        return holds_masks(files)


def import_any(
    source: Source,
    name: str,
    size: int | None = None,
    classes: Sequence[str] | None = None,
    ignore: int | None = None,
    test_share: float = 0.2,
    train_on: Learn = "train+val",
    progress: Report | None = None,
) -> ImportReport:
    """Make a data set of class folders (see `import_zip`) or of images/ and masks/ (see `import_masks`).

    Raises:
        DataError: no data set can be made of it; one line.
    """
    if has_masks(source):
        return import_masks(
            source,
            name,
            MASKS_SIZE if size is None else size,
            classes,
            ignore,
            test_share,
            train_on=train_on,
            progress=progress,
        )
    if classes or ignore is not None:
        raise DataError("a class list and an ignored value are for masks, and no folder masks/ lies beside images/")
    return import_zip(source, name, SIZE if size is None else size, test_share, progress=progress)
