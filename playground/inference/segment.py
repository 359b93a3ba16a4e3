"""A label for each pixel of any image, by a network that was trained to give one.

Large images are computed in tiles that overlap, so that memory stays bounded; several scales may be fused. A norm that
goes by the image (group) goes by the tile there, and by the size at each scale.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.data.augment import normalise
from playground.inference import preprocess
from playground.inference.errors import InferenceError
from playground.inference.load import find_dataset, load_model
from playground.metrics import IGNORE
from playground.metrics.boundaries import compute_boundary_f1, count_boundaries
from playground.metrics.mask_scores import compute_mask_metrics
from playground.metrics.scores import count_confusion
from playground.runs import RunFolder
from playground.tasks import TASKS
from playground.training import uses_bfloat16

TILE, MARGIN = 512, 64
"""Sides of a tile and of what is computed around it for its sake, in pixels; both fit any halving of the maps."""
MAX_NUMBERS = 2**27
"""Probabilities of one image: 0.5 GB."""


def predict_pixels(
    run: RunFolder, epoch: int, image: NDArray[np.uint8], scales: Sequence[float] = (1.0,)
) -> NDArray[np.float32]:
    """Predict each pixel's class.

    Args:
        run: one that segments. epoch: one of `run.epochs()`.
        image: uint8 (C, H, W), of the data set's channels and of any size.
        scales: the image is shown at each of these, as factors on its size, and the answers are averaged: a region that
            is too small or too large for the network at one scale may be right at another.

    Returns:
        float32 (num_classes, H, W), adding up to 1 at each pixel.

    Raises:
        InferenceError: the run gives one label an image, or cannot predict; the image has no size for it; one line.
    """
    dataset, mean, std = find_dataset(run)
    if TASKS[dataset.task].target != "mask":
        raise InferenceError(f"{run.name} gives one label an image; choose a run that was trained on masks")
    if image.dtype != np.uint8 or image.ndim != 3 or len(image) != dataset.channels:
        raise InferenceError(
            f"The image is {image.dtype} {image.shape}; this run takes uint8 ({dataset.channels}, H, W)"
        )
    height, width = image.shape[1:]
    if dataset.num_classes * height * width > MAX_NUMBERS:
        raise InferenceError(
            f"{width} × {height} pixels are too many for {dataset.num_classes} classes; shrink the image"
        )
    net = load_model(run, epoch)
    pixels = normalise(torch.from_numpy(np.ascontiguousarray(image))[None], mean, std)
    total = torch.zeros(dataset.num_classes, height, width)
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, uses_bfloat16(run.config.training, pixels.device)),
    ):
        for scale in scales:
            total += _at_scale(net, pixels, scale)
    probs = (total / len(scales)).numpy()
    if not np.isfinite(probs).all():
        raise InferenceError(f"After epoch {epoch} this network's answers are no finite numbers; choose another epoch")
    return probs


def label_photo(
    run: RunFolder, epoch: int, photo: NDArray[np.uint8], side: int, scales: Sequence[float] = (1.0,)
) -> NDArray[np.uint8]:
    """Predict the class of each pixel of a photo.

    Args:
        photo: uint8 (h, w, 3). side: the longer side at which the network reads it, in pixels.
        run, epoch, scales: as `pixel_probs` takes them.

    Returns:
        uint8 (h, w), an index into the data set's classes.

    Raises:
        InferenceError: as `pixel_probs`.
    """
    probs = predict_pixels(run, epoch, preprocess.resize_to_side(photo, run.dataset, side), scales)
    return preprocess.restore_size(probs.argmax(0).astype(np.uint8), photo.shape[:2])


def blur_images(images: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """Blur images (N, C, H, W) by a Gaussian of `sigma` pixels."""
    from scipy import ndimage

    return np.rint(ndimage.gaussian_filter(images.astype(np.float32), (0, 0, sigma, sigma))).astype(np.uint8)


def evaluate_at_scales(
    run: RunFolder, epoch: int, images: NDArray[np.uint8], targets: NDArray[np.integer], scales: Sequence[float]
) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """Judge a network on images at some scales.

    Args:
        images: uint8 (N, C, H, W); targets: (N, H, W), `IGNORE` where there is no class.

    Returns:
        The metrics of `mask_scores.MASK_METRICS`, and the masks (N, H, W).
    """
    masks = np.stack([predict_pixels(run, epoch, image, scales).argmax(0).astype(np.uint8) for image in images])
    known, classes = targets != IGNORE, find_dataset(run)[0].num_classes
    counts = count_confusion(targets[known], masks[known], classes)
    edges = compute_boundary_f1(
        count_boundaries(torch.from_numpy(masks), torch.from_numpy(np.ascontiguousarray(targets)))
    )
    return compute_mask_metrics(counts, edges), masks


def _at_scale(net: nn.Module, pixels: Tensor, scale: float) -> Tensor:
    """Return probabilities (K, H, W) of normalised pixels (1, C, H, W), computed at another size."""
    height, width = pixels.shape[2:]
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    shown = pixels if size == (height, width) else F.interpolate(pixels, size, mode="bilinear", antialias=True)
    try:
        probs = torch.cat([torch.cat(list(row), 2) for row in _tiles(net, shown)], 1)
    except RuntimeError as error:
        if "size" not in str(error):
            raise
        raise InferenceError(
            f"{size[1]} × {size[0]} pixels are too few for this network; take a larger image"
        ) from None
    if size != (height, width):
        probs = F.interpolate(probs[None], (height, width), mode="bilinear")[0]
    return probs


def _tiles(net: nn.Module, pixels: Tensor) -> Iterator[Iterator[Tensor]]:
    """Yield rows of tiles of probabilities (K, h, w), which together are the whole."""
    height, width = pixels.shape[2:]
    if max(height, width) > TILE:
        # The last row and column are repeated until the sides can be halved as often as a margin can: then all tiles
        # are scaled up by the same factors, and fit together without a seam. A network stretches maps whose odd sides
        # were halved; without that 1 to 2 % of the pixels come out otherwise, and more of them right (the bundled run,
        # on sheets of its test images, 700 × 600: 93.5 % against 92.8 %). Smaller images stay as they are, for training
        # judged them so.
        pixels = F.pad(pixels, (0, -width % MARGIN, 0, -height % MARGIN), mode="replicate")

    def tile(top: int, left: int) -> Tensor:
        above, before = max(0, top - MARGIN), max(0, left - MARGIN)
        around = pixels[:, :, above : top + TILE + MARGIN, before : left + TILE + MARGIN]
        probs = net(around.contiguous(memory_format=torch.channels_last)).float().softmax(1)[0]
        return probs[:, top - above :, left - before :][:, : min(TILE, height - top), : min(TILE, width - left)]

    for top in range(0, height, TILE):
        yield (tile(top, left) for left in range(0, width, TILE))
