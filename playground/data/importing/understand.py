"""A person's zip or folder → a `Plan`: what it holds, which task it is for, and what is in doubt about it."""

import io
from collections.abc import Mapping
from pathlib import PurePosixPath

from PIL import Image

from playground.data.catalog import DataError
from playground.data.importing.class_lists import is_list
from playground.data.importing.folders import Folders
from playground.data.importing.layout import Layout, arrange
from playground.data.importing.names import natural_key
from playground.data.importing.plan import Corrections, Plan
from playground.data.importing.plan_steps import Memo, is_mask_like
from playground.data.importing.sources import Contents, File, Skipped, Source, opened
from playground.data.importing.understand_classes import plan_classes
from playground.data.importing.understand_masks import plan_masks
from playground.data.progress import Report
from playground.images import EXTENSIONS, FORMATS
from playground.tasks import TASKS


def understand(
    source: Source,
    corrections: Corrections | None = None,
    memo: Memo | None = None,
    progress: Report | None = None,
) -> Plan:
    """Say what a zip or a folder holds and what would become of it. Nothing is written.

    Args:
        source: the zip, as a path or an open file, or the path of a folder.
        corrections: what a person says of it.
        memo: what is known of its files; it is added to.
        progress: told of each file that is read; raise in it to cancel.

    Raises:
        DataError: the zip is unsafe, damaged or not one, or no data set can be made of what is in it; one line.
    """
    corrections = corrections or Corrections()
    corrections.check()
    memo, report = memo or Memo(), progress or (lambda _: None)
    with opened(source) as contents:
        return plan_contents(contents, corrections, memo, report).renamed(corrections.names)


def list_folders(source: Source) -> dict[str, tuple[str, int]]:
    """Return {folder: (role by its name, images)} of all folders with images.

    Raises:
        DataError: the zip is unsafe, damaged or not one; one line.
    """
    with opened(source) as contents:
        images, _, _ = _sorted_out(contents, Memo())
        folders = Folders([file.path for file in images], {})
        found = sorted(folders.roles, key=lambda folder: natural_key(str(folder)))
        return {str(folder): (str(folders.roles[folder]), folders.count(folder)) for folder in found}


def plan_contents(contents: Contents, corrections: Corrections, memo: Memo, report: Report) -> Plan:
    """Make the plan of what has been opened; see `understand`."""
    images, others, left_out = _sorted_out(contents, memo)
    tables = {
        file.path: file.read()
        for file in others
        if file.path.suffix.lower() in (".csv", ".tsv") and not is_list(file.path)
    }
    paths, files = [file.path for file in images], {file.path: file for file in contents.files}
    layout = arrange(paths, tables, corrections.parts, corrections.task, corrections.depth)
    if (
        TASKS[layout.task].target == "mask"
        and corrections.task is None
        and not (layout.explicit or _are_masks(layout, files))
    ):
        layout = arrange(paths, tables, corrections.parts, "classification", corrections.depth)
    layout.left_out = contents.skipped + left_out + layout.left_out
    if layout.labels_from in map(str, tables):
        layout.left_out = [(path, why) for path, why in layout.left_out if path != layout.labels_from]
    if TASKS[layout.task].target == "mask":
        return plan_masks(layout, files, corrections, memo, report)
    if corrections.classes or corrections.ignore is not None or corrections.threshold is not None:
        raise DataError("a class list, an ignored value and a threshold are for masks, and no masks lie beside images")
    return plan_classes(layout, contents, files, corrections, memo, report)


def _are_masks(layout: Layout, files: Mapping[PurePosixPath, File]) -> bool:
    """Say whether what is called like masks looks so, as far as a few of them tell."""
    return any(is_mask_like(files[item.mask]) for item in layout.items[:4] if item.mask)


def _sorted_out(contents: Contents, memo: Memo) -> tuple[list[File], list[File], Skipped]:
    """Tell images, by their endings or else by what is in them, from other files; also list those left out."""
    images, others, left_out = [], [], []
    for file in contents.files:
        ending = file.path.suffix.lower().removeprefix(".")
        if ending in EXTENSIONS or (not ending.isalpha() and _is_picture(file, memo)):
            images.append(file)
        else:
            others.append(file)
            if not is_list(file.path):
                left_out.append((str(file.path), "Its name is not an image's"))
    return images, others, left_out


def _is_picture(file: File, memo: Memo) -> bool:
    """Say whether a file without an ending (or with a number for one) is a picture."""
    if file.path not in memo.pictures:
        try:
            with Image.open(io.BytesIO(file.read()), formats=FORMATS):
                memo.pictures[file.path] = True
        except Exception:  # decoders raise anything on foreign bytes
            memo.pictures[file.path] = False
    return memo.pictures[file.path]
