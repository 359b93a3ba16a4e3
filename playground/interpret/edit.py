"""A network with changed kernels. The trained one is not touched; only `save` writes, and only a new run."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from playground import runs
from playground.data.store import Arrays
from playground.events import Epoch, EpochRow, Scores, Snapshot, to_row
from playground.inference.load import load_model
from playground.interpret.errors import InterpretError
from playground.interpret.network import MAX_BATCH, copy_network, find_module, prepare_image
from playground.metrics.scores import compute_accuracy, count_confusion
from playground.people import MACHINE
from playground.runs import RunFolder
from playground.runs.status import find_best_fields
from playground.training import class_weights, uses_bfloat16
from playground.training.losses import loss_function

Preset = Literal["blur", "sharpen", "edge", "emboss"]
LARGEST = 1e4
"""No number in a kernel may be further from zero; trained ones hardly pass 1."""


@dataclass(frozen=True)
class Edit:
    """One change: it can be compared, hashed and kept in a session.

    Attributes:
        layer: a convolution.
        out_channel: the map it makes; in_channel: the map it looks at, None for all.
        values: (k, k), the kernel's new numbers.
    """

    layer: str
    out_channel: int
    in_channel: int | None
    values: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, layer: str, out_channel: int, in_channel: int | None, values: ArrayLike) -> "Edit":
        """Make an edit of numbers in any form that is a square.

        Raises:
            InterpretError: they are no square of finite numbers.
        """
        square = _square(values)
        return cls(layer, int(out_channel), in_channel, tuple(tuple(row) for row in square.tolist()))

    @property
    def sentence(self) -> str:
        """Such as "block1.conv1, map 3, from map 0"."""
        source = "all maps" if self.in_channel is None else f"map {self.in_channel}"
        return f"{self.layer}, map {self.out_channel}, from {source}"


def choose_preset(name: Preset, size: int, like: np.ndarray | None = None) -> np.ndarray:
    """Return a well-known kernel of any size.

    Blur is the mean of the window. Edge is the centre less the mean: 0 on even ground. Sharpen is the centre plus
    that. Emboss is the centre plus a slope from the top left to the bottom right. The centre of an even size is its
    four middle taps.

    Args:
        size: 1 or more; in a size of 1 there is nothing but the centre.
        like: a kernel whose strength (Euclidean norm) the result takes on, so that the next layer is not flooded.

    Returns:
        float32 (size, size).

    Raises:
        InterpretError: there is no such preset.
    """
    if name not in get_args(Preset):
        raise InterpretError(f"There is no preset {name!r}; there are {', '.join(get_args(Preset))}")
    middle = np.abs(np.arange(size) - (size - 1) / 2) < 1
    centre = np.outer(middle, middle) / middle.sum() ** 2
    mean = np.full((size, size), 1 / size**2)
    slope = np.add.outer(np.arange(size), np.arange(size)) - (size - 1.0)
    slope /= max(slope[slope > 0].sum(), 1)
    made = {"blur": mean, "sharpen": 2 * centre - mean, "edge": centre - mean, "emboss": centre + slope}[name]
    if like is not None and (strength := np.linalg.norm(made)) > 0:
        made = made * (np.linalg.norm(like) / strength)
    return made.astype(np.float32)


def edit_kernel(
    weights: Mapping[str, np.ndarray], layer: str, out_channel: int, in_channel: int | None, values: ArrayLike
) -> dict[str, np.ndarray]:
    """Return weights with one kernel replaced; what is passed in stays as it is.

    Args:
        weights: as `RunFolder.weights` gives them.
        in_channel: None for all.
        values: (k, k).

    Raises:
        InterpretError: there is no such convolution or map, or the values do not fit its kernels.
    """
    name = _weight_name(layer)
    if name not in weights or weights[name].ndim != 4:
        raise InterpretError(f"This network has no convolution {layer[:60]!r}")
    return {**weights, name: _replaced(layer, weights[name], out_channel, in_channel, values)}


def edit_network(net: nn.Module, edits: Sequence[Edit]) -> nn.Module:
    """Return a network with the edits made, in order; all other weights are shared with `net`, which is unchanged.

    Raises:
        InterpretError: an edit does not fit the network.
    """
    changed: dict[str, np.ndarray] = {}
    for edit in edits:
        _, module = find_module(net, edit.layer, "conv")
        assert isinstance(module, nn.Conv2d)
        name = _weight_name(edit.layer)
        before = changed.get(name, module.weight.detach().numpy())
        changed[name] = _replaced(edit.layer, before, edit.out_channel, edit.in_channel, edit.values)
    tensors = {
        name: torch.from_numpy(kernel).contiguous(memory_format=torch.channels_last) for name, kernel in changed.items()
    }
    return copy_network(net, tensors).eval()


def save_edit(
    run: RunFolder,
    epoch: int,
    edits: Sequence[Edit],
    data: Arrays,
    mean: Sequence[float],
    std: Sequence[float],
    name: str = "",
    owner: str = MACHINE,
) -> RunFolder:
    """Keep an edited network as a finished run of its own that names its parent. Nothing else is written.

    Args:
        run, epoch: whose network was edited.
        edits: at least one.
        data: the data set `run.predictions_dataset`, on whose test images the new run is judged.
        mean, std: what its images are normalised with.
        name: of the new run.
        owner: the person who made the edits.

    Raises:
        InterpretError: there is nothing to save, an edit does not fit, or the loss cannot be computed; RunError,
            InferenceError: the epoch cannot be read. Then nothing is kept.
    """
    if not edits:
        raise InterpretError("Nothing was edited; change a kernel first")
    if run.config.training.class_weights and data.info.name != run.config.data.dataset:
        raise InterpretError(f"The loss weighs classes by the images of {run.config.data.dataset}, which are not here")
    weights = run.weights(epoch)
    for edit in edits:
        weights = edit_kernel(weights, edit.layer, edit.out_channel, edit.in_channel, edit.values)
    logits = _logits(run, edit_network(load_model(run, epoch), edits), data.test_images, mean, std)
    event = _judged(run, epoch, logits, data)
    lines = [f"Edited after epoch {epoch} of {run.name}:", *(edit.sentence for edit in edits)]
    note = "\n".join(lines)[:2000]
    child = runs.create_run(run.config, name or f"{run.name}, edited", note=note, parent=run.id, owner=owner)
    try:
        with child.hold():  # a job service that looks for waiting runs leaves it alone
            _write(child, run, weights, event)
    except BaseException:
        shutil.rmtree(child.path, ignore_errors=True)
        raise
    return child


def _square(values: ArrayLike) -> np.ndarray:
    try:
        square = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        raise InterpretError("A kernel is made of numbers, as many columns as rows") from None
    if square.ndim != 2 or square.shape[0] != square.shape[1] or not square.size:
        raise InterpretError(f"A kernel is a square of numbers; these are {' × '.join(map(str, square.shape))}")
    if not (np.abs(square) <= LARGEST).all():
        raise InterpretError(f"A kernel's numbers lie between −{LARGEST:g} and {LARGEST:g}")
    return square


def _weight_name(layer: str) -> str:
    return layer.replace(".", "_") + ".weight"


def _replaced(layer: str, kernels: np.ndarray, out: int, source: int | None, values: ArrayLike) -> np.ndarray:
    square = _square(values)
    outs, sources, *sides = kernels.shape
    if not 0 <= out < outs:
        raise InterpretError(f"{layer} has no map {out}; it has 0 to {outs - 1}")
    if source is not None and not 0 <= source < sources:
        raise InterpretError(f"{layer} looks at no map {source}; it looks at 0 to {sources - 1}")
    if list(square.shape) != sides:
        raise InterpretError(
            f"{layer} has kernels of {sides[0]} × {sides[1]}, not {' × '.join(map(str, square.shape))}"
        )
    kernels = kernels.copy()
    kernels[out, slice(None) if source is None else source] = square
    return kernels


@torch.no_grad()
def _logits(run: RunFolder, net: nn.Module, images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Compute as training does when it judges the run: in the run's own precision."""
    bfloat16 = uses_bfloat16(run.config.training, torch.device("cpu"))
    parts = []
    for start in range(0, len(images), MAX_BATCH):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            parts.append(net(prepare_image(net, images[start : start + MAX_BATCH], mean, std)).float())
    return torch.cat(parts)


def _judged(run: RunFolder, epoch: int, logits: Tensor, data: Arrays) -> Epoch:
    wanted = torch.from_numpy(np.asarray(data.test_targets, np.int64))
    confusion = count_confusion(data.test_targets, logits.argmax(1).numpy(), logits.shape[1])
    loss = loss_function(run.config.training, class_weights(run.config, data))
    test = Scores(float(loss(logits, wanted)), compute_accuracy(confusion))
    row = next((row for row in run.rows() if isinstance(row, EpochRow) and row.epoch == epoch), None)
    step = row.step if row else 0
    return Epoch(
        epoch=epoch,
        step=step,
        seconds=row.seconds if row else 0.0,
        train=None,
        val=None,
        test=test,
        confusion=confusion.tolist(),
        test_probs=logits.softmax(1).numpy().astype(np.float16),
        snapshot=Snapshot(epoch, step, {}, {}),
    )


def _write(child: RunFolder, parent: RunFolder, weights: Mapping[str, np.ndarray], event: Epoch) -> None:
    now, was = time.time(), parent.status()
    # The demo's predictions and normalisation are not those of its config's data set, and so are its child's.
    was_made = parent.about
    child.describe(predictions_dataset=was_made.predictions_dataset, dataset=was_made.dataset)
    child.save_epoch(event.epoch, weights, event.test_probs)
    child.append(to_row(event))
    figures = {"parameters": was.parameters, "device": "cpu", "threads": was.threads, "total_steps": was.total_steps}
    child.set_status(
        state="finished",
        epoch=event.epoch,
        step=event.step,
        seconds=event.seconds,
        **find_best_fields(event),
        started=now,
        finished=now,
        **figures,
    )
