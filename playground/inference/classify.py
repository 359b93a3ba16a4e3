"""What a network takes images for: probabilities of the classes."""

import numpy as np
import torch

from playground.data.augment import normalise
from playground.inference.errors import InferenceError
from playground.inference.load import find_dataset, load_model
from playground.runs import RunFolder
from playground.tasks import TASKS

BATCH = 500
"""Images computed at once, as in training's own evaluation."""


def predict(run: RunFolder, epoch: int, images: np.ndarray) -> np.ndarray:
    """Predict with the network as it was after an epoch, in float32.

    That is what Inside computes with, so that both say the same. What training kept of the test images may differ from
    it in the third digit, where it computed in bfloat16 or on a GPU.

    Args:
        run: The run whose network it is.
        epoch: One of `run.epochs()`.
        images: uint8 (N, C, H, W), of the size and channels of the run's data set (`images.fit_to` makes them so).

    Returns:
        float32 (N, num_classes), each row adding up to 1, in the order of the data set's classes.

    Raises:
        InferenceError: the images have another shape, or the run cannot predict; one line.
    """
    dataset, mean, std = find_dataset(run)
    if TASKS[dataset.task].target != "label":
        raise InferenceError(f"{run.name} labels each pixel; show it an image on the page Segment")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != dataset.shape:
        wanted = " × ".join(map(str, dataset.shape))
        raise InferenceError(f"The images are {images.dtype} {images.shape}; this run takes uint8 (N, {wanted})")
    network = load_model(run, epoch)
    probs = []
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        for start in range(0, len(images), BATCH):
            pixels = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH]))
            probs.append(network(normalise(pixels, mean, std)).softmax(1).numpy())
    out = np.concatenate(probs) if probs else np.empty((0, dataset.num_classes), np.float32)
    if not np.isfinite(out).all():
        raise InferenceError(f"After epoch {epoch} this network's answers are no finite numbers; choose another epoch")
    return out
