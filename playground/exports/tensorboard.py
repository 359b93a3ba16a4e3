"""A run as TensorBoard's event files, with the times at which it all happened."""

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from playground.config import to_json
from playground.events import EpochRow, Progress
from playground.exports.codegen.script import describe_settings
from playground.exports.context import ExportContext

_SCORES = ("loss", "accuracy", "iou", "boundary_f1")
"""The last two of runs that label pixels, and not of the batches they train on; their accuracy is that of pixels."""
_PROGRESS = ("loss", "accuracy", "learning_rate", "grad_norm", "weight_norm", "images_per_second")


def write_events(facts: ExportContext, folder: str) -> bytes:
    """Write a zip with one folder, for `tensorboard --logdir`: scalars by step, the knobs as text, and confusion."""
    from tensorboardX import SummaryWriter

    begun = facts.status.started or facts.run.about.created
    with tempfile.TemporaryDirectory() as drafts:
        with SummaryWriter(drafts) as writer:
            for tag, value, step, seconds in scalars(facts):
                writer.add_scalar(tag, value, step, walltime=begun + seconds)
            rows = "\n".join(f"| {label} | {value} |" for label, value in describe_settings(facts).items())
            writer.add_text("knobs", f"| knob that differs from the default | value |\n|:--|:--|\n{rows}", 0, begun)
            writer.add_text("config", f"```json\n{to_json(facts.config).strip()}\n```", 0, begun)
            for row in facts.feed.epochs:
                picture = confusion_picture(np.array(row.confusion))
                when = begun + row.seconds
                writer.add_image("confusion", picture, row.step, when, dataformats="HWC")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(drafts).iterdir()):
                # TensorBoard knows the files by this beginning; its own end is the name of this computer.
                archive.write(path, f"{folder}/events.out.tfevents.{int(begun)}.playground")
            about = {"name": facts.name, "config": json.loads(to_json(facts.config))}
            archive.writestr(f"{folder}/run.json", json.dumps(about, indent=1))
    return buffer.getvalue()


def scalars(facts: ExportContext) -> Iterator[tuple[str, float, int, float]]:
    """Yield (tag, value, step, seconds of training) of all that was measured."""
    for row in facts.feed.rows:
        found: dict[str, float] = {}
        if isinstance(row, Progress):
            found = {f"progress/{name}": getattr(row, name) for name in _PROGRESS}
        elif isinstance(row, EpochRow):
            for split in ("train", "val", "test"):
                known = {name: getattr(row.get(split), name, None) for name in _SCORES}
                found |= {f"{name}/{split}": value for name, value in known.items() if value is not None}
        else:
            continue
        for tag, value in found.items():
            yield tag, value, row.step, row.seconds


def confusion_picture(counts: np.ndarray, side: int = 320) -> np.ndarray:
    """Draw shares of each true class as shades: uint8 (side', side', 3), white is 0 and dark blue all."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell = max(1, side // len(counts))
    shade = np.kron(shares, np.ones((cell, cell)))[..., None]
    return np.rint(255 + shade * (np.array([8, 48, 107]) - 255)).astype(np.uint8)
