"""A run and one of its epochs, in the formats of other programs; and weights from elsewhere, taken in.

file = export(run, epoch, "onnx")
file.name, file.content, file.note
"""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from playground.data.catalog import DataError
from playground.data.store import Arrays, open_arrays
from playground.exports.context import ExportContext, ExportError, load_context
from playground.runs import RunError, RunFolder

__all__ = ["FORMATS", "ExportError", "File", "Format", "export_run"]

MAX_IMAGES = 256 * 2**20
"""A script's images are packed with it up to this many bytes."""


@dataclass(frozen=True)
class File:
    """A file to hand out; `note` is a line that belongs to it, or empty."""

    name: str
    content: bytes
    mime: str
    note: str = ""


@dataclass(frozen=True)
class Format:
    """A format: its name, what it is good for, and whether one epoch is meant or the whole run."""

    label: str
    good_for: str
    of_an_epoch: bool
    make: Callable[[ExportContext, str], File]


def export_run(run: RunFolder, epoch: int, name: str) -> File:
    """Make the file of a run after an epoch; `name` is one of `FORMATS`.

    Raises:
        ExportError: it cannot be made; one line that says why.
    """
    found = load_context(run, epoch)
    stem = re.sub(r"[^A-Za-z0-9]+", "-", found.name).strip("-")[:60] or run.id
    try:
        return FORMATS[name].make(found, f"{stem}-epoch-{epoch}" if FORMATS[name].of_an_epoch else stem)
    except (RunError, DataError) as error:
        raise ExportError(str(error)) from None


def _script(found: ExportContext, stem: str) -> File:
    from playground.exports.codegen.script import write_script

    return _with_images(found, stem, "train.py", write_script(found).encode(), "text/x-python")


def _notebook(found: ExportContext, stem: str) -> File:
    from playground.exports.codegen.notebook import write_notebook

    return _with_images(found, stem, "train.ipynb", write_notebook(found), "application/x-ipynb+json")


def _with_images(found: ExportContext, stem: str, name: str, content: bytes, mime: str) -> File:
    """Pack the images with the code, unless torchvision downloads them or they are many."""
    suffix = Path(name).suffix
    packed = f"{stem}-{'notebook' if suffix == '.ipynb' else 'script'}"  # two zips, which must not overwrite each other
    from playground.exports.codegen.script import TORCHVISION

    if found.dataset.name in TORCHVISION:
        return File(stem + suffix, content, mime, f"It downloads {found.dataset.title} the first time.")
    what = "images and masks" if found.masks else "images"
    try:
        data = open_arrays(found.dataset.name)
    except DataError:  # the run came from elsewhere, or its data set was deleted; its program is whole all the same
        return File(stem + suffix, content, mime, f"Its {what} are not on this machine: name their folder by --data.")
    size = sum(part.nbytes for part in _parts(data).values())
    if size > MAX_IMAGES:
        words = f"Its {what} ({size / 2**20:,.0f} MB) are too many to pack: copy them from the folder of the data set"
        return File(stem + suffix, content, mime, f"{words} {found.dataset.name}, and name yours by --data.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{packed}/{name}", content)
        for part, array in _parts(data).items():
            archive.writestr(f"{packed}/data/{part}.npy", _npy(array))
    return File(f"{packed}.zip", buffer.getvalue(), "application/zip", f"With its {what} ({size / 2**20:,.0f} MB).")


def _parts(data: Arrays) -> dict[str, np.ndarray]:
    names = ("train_images", "train_targets", "test_images", "test_targets")
    return {name: getattr(data, name) for name in names}


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _onnx(found: ExportContext, stem: str) -> File:
    from playground.exports.onnx import BATCHES, export_in_subprocess

    made = export_in_subprocess(found)
    batches = " and ".join([", ".join(map(str, BATCHES[:-1])), str(BATCHES[-1])])
    note = (
        f"Checked with onnxruntime on batches of {batches} images: its logits differ from PyTorch's by at most "
        f"{made.difference:.1e} of the largest."
    )
    return File(f"{stem}.onnx", made.content, "application/octet-stream", note)


def _safetensors(found: ExportContext, stem: str) -> File:
    from playground.exports.tensors import pack_weights

    return File(
        f"{stem}-weights.zip", pack_weights(found), "application/zip", "Import takes it in again, here or elsewhere."
    )


def _tensorboard(found: ExportContext, stem: str) -> File:
    from playground.exports.tensorboard import write_events

    note = "Unpack it, then: tensorboard --logdir FOLDER"
    return File(f"{stem}-tensorboard.zip", write_events(found, stem), "application/zip", note)


def _csv(found: ExportContext, stem: str) -> File:
    from playground.exports.spreadsheet import make_table

    return File(f"{stem}.csv", make_table(found), "text/csv")


def _html(found: ExportContext, stem: str) -> File:
    from playground.exports.report import make_report

    return File(f"{stem}.html", make_report(found), "text/html", "One file; it needs no network.")


FORMATS = {
    "script": Format(
        "PyTorch script",
        "To read, to run and to change: it trains the same network again. A run on a CPU is repeated to the last bit, "
        "given the same machine and version of torch.",
        True,
        _script,
    ),
    "notebook": Format(
        "Notebook", "The same code in cells, with words between them, for Jupyter or Colab.", True, _notebook
    ),
    "onnx": Format(
        "ONNX", "To use the network in other programs, on a phone or in a browser, without PyTorch.", True, _onnx
    ),
    "safetensors": Format(
        "Weights (safetensors)", "To go on with in PyTorch, or to import elsewhere.", True, _safetensors
    ),
    "html": Format(
        "Report (HTML)", "To hand in or to send: curves, knobs, layers and confusion on one page.", True, _html
    ),
    "tensorboard": Format("TensorBoard", "To lay the curves beside those of other programs.", False, _tensorboard),
    "csv": Format("Table (CSV)", "To calculate with the figures in a spreadsheet: one row an event.", False, _csv),
}
"""What a run is exported as, by the name that the command line knows."""
