"""A network as ONNX, for other programs and for browsers; checked against torch before it is handed out.

It needs torch's exporter, which takes many seconds and changes torch while it works: in a server, call
`export_in_subprocess`.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from playground.data.catalog import DataError
from playground.data.store import open_arrays
from playground.exports.context import ExportContext, ExportError, load_context
from playground.jobs.process import ROOT
from playground.runs import RunError, RunFolder

TOLERANCE = 1e-5
"""How far its logits may be from torch's, as a share of the largest logit."""
BATCHES = (1, 2, 7)


@dataclass(frozen=True)
class Checked:
    """An ONNX file, and the largest difference from torch's logits, as a share of the largest logit."""

    content: bytes
    difference: float


def make_onnx(facts: ExportContext) -> Checked:
    """Export the network after an epoch: pixels (N, C, H, W) float32 in [0, 1] to logits (N, num_classes) float32.

    Raises:
        RunError, ExportError: the weights cannot be read, or the file computes something else; one line.
    """
    facts.run.weights(facts.epoch)  # damaged ones are known before torch takes its seconds
    import torch
    from torch import nn

    from playground.inference.errors import InferenceError
    from playground.inference.load import load_model

    class WithPixels(nn.Module):
        """The network with its normalisation before it."""

        mean: torch.Tensor
        std: torch.Tensor

        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net
            for name, values in zip(("mean", "std"), facts.normalisation(), strict=True):
                self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.net((images - self.mean) / self.std)

    try:
        net = WithPixels(load_model(facts.run, facts.epoch)).eval()
    except InferenceError as error:
        raise ExportError(str(error)) from None
    example = torch.zeros(2, *facts.dataset.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own parts
        program = torch.onnx.export(
            net,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )
    assert program is not None
    proto = program.model_proto
    proto.doc_string = "Classifies images: see the metadata."
    for key, value in make_metadata(facts).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    content = proto.SerializeToString()
    return Checked(content, _difference(content, facts))


def make_metadata(facts: ExportContext) -> dict[str, str]:
    """Say what goes in and out, for whoever has the file alone."""
    channels, height, width = facts.dataset.shape
    size = f"{facts.dataset.num_classes}{f', {height}, {width}' if facts.masks else ''}"
    order = "red, green, blue" if channels == 3 else "grey"
    return {
        "input": f"images: float32 (N, {channels}, {height}, {width}), {order}, from 0 to 1, not normalised",
        "output": f"logits: float32 (N, {size}); their softmax over the classes is the probabilities",
        "classes": json.dumps(facts.dataset.classes, ensure_ascii=False),
        "run": facts.name,
        "epoch": str(facts.epoch),
        "dataset": facts.dataset.name,
    }


def _difference(content: bytes, facts: ExportContext) -> float:
    """Let onnxruntime compute, and compare with what the run's own network says of the same bytes.

    Raises:
        ExportError: they differ by more than `TOLERANCE`.
    """
    import onnxruntime
    import torch

    from playground.data.augment import normalise
    from playground.inference.load import load_model

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    pictures = _pictures(facts, sum(BATCHES))
    mean, std = facts.normalisation()
    worst, start = 0.0, 0
    for size in BATCHES:
        images = pictures[start : start + size]
        start += size
        with torch.inference_mode():
            wanted = load_model(facts.run, facts.epoch)(normalise(torch.from_numpy(images), mean, std)).numpy()
        found = session.run(["logits"], {"images": images.astype(np.float32) / 255})[0]
        worst = max(worst, float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30)))
    if not worst <= TOLERANCE:
        raise ExportError(f"The ONNX file's answers differ from this network's by {worst:.1e}; take another epoch")
    return worst


def _pictures(facts: ExportContext, count: int) -> np.ndarray:
    """Return test images (count, C, H, W) uint8, or noise where none are here."""
    for name in (facts.run.predictions_dataset, facts.dataset.name):
        try:
            found = np.array(open_arrays(name).test_images[:count])
        except DataError:
            continue
        if found.shape == (count, *facts.dataset.shape):
            return found
    return np.random.default_rng(0).integers(0, 256, (count, *facts.dataset.shape), np.uint8)


def export_in_subprocess(facts: ExportContext) -> Checked:
    """Do `make_onnx` in a process of its own, which gives back its memory and leaves this one's torch alone.

    Raises:
        ExportError: as `make_onnx`.
    """
    with tempfile.TemporaryDirectory() as drafts:
        path = Path(drafts) / "model.onnx"
        command = [sys.executable, "-m", "playground.exports.onnx", str(facts.run.path), str(facts.epoch), str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            raise ExportError(f"The ONNX file could not be made: {reason[:200]}")
        return Checked(path.read_bytes(), float(done.stdout.split()[-1]))


def main(arguments: list[str]) -> int:
    """Write the file of a run (its folder), an epoch and a path, and print the difference."""
    folder, epoch, path = arguments
    try:
        made = make_onnx(load_context(RunFolder(Path(folder)), int(epoch)))
    except (ExportError, RunError) as error:
        print(error, file=sys.stderr)
        return 1
    Path(path).write_bytes(made.content)
    print(made.difference)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
