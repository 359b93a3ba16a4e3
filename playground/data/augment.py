"""Vary a batch of images at random, and turn it into what a network reads.

Everything works on whole batches of uint8 images (N, C, H, W), on whatever device they are. Numbers are drawn on the
CPU from the generator that is passed in, so the same generator gives the same images on every device.

Borders: what a moved or turned image uncovers is filled by reflection. Black edges would be a shape that no real image
has, and one that gives the move away. (Shift as in Keller Jordan's airbench, arXiv:2404.00498, section 3.)
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from playground.choices import AUGMENTATIONS
from playground.config import DataConfig

_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601 luma, as torchvision rounds it


def augment(images: Tensor, config: DataConfig, generator: Generator) -> Tensor:
    """Flip, shift, rotate … as the config says, each image in its own way, in the order of `AUGMENTATIONS`.

    Args:
        images: (N, C, H, W) uint8, with 1 or 3 channels; not changed.
        config: the knobs of the group "data".
        generator: a generator on the CPU.

    Returns:
        (N, C, H, W) uint8; `images` itself if every augmentation is off.
    """
    return augment_pairs(images, None, config, generator)[0]


def augment_pairs(
    images: Tensor, masks: Tensor | None, config: DataConfig, generator: Generator
) -> tuple[Tensor, Tensor | None]:
    """Vary each image (N, C, H, W) uint8 in its own way, and move its mask (N, H, W) uint8 along.

    A mask is moved from pixel to nearest pixel, so that no class appears between two others; an entry that moves no
    masks leaves it as it is: what is recoloured or hidden is still there.
    """
    labels = None if masks is None else masks[:, None]
    for name, entry in AUGMENTATIONS.items():
        if amount := getattr(config, name):
            draw, vary, move = entry.functions
            drawn = draw(images, generator, *entry.settings(amount))
            images = vary(images, *drawn)
            labels = move(labels, *drawn) if move and labels is not None else labels
    return images, masks if labels is None else labels[:, 0]


def draw_flip(images: Tensor, generator: Generator) -> tuple[Tensor]:
    """Draw which images are mirrored."""
    return (torch.randint(0, 2, (len(images),), generator=generator).to(images.device),)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the images whose `chosen` (N,) int64 is 1 left to right, and leave those where it is 0."""
    n = len(images)
    # One gather out of both versions takes half the time of `torch.where`.
    return torch.cat([images, images.flip(3)]).index_select(0, chosen * n + torch.arange(n, device=images.device))


def draw_shift(images: Tensor, generator: Generator, pixels: int) -> tuple[Tensor, int]:
    """Draw how far each image moves; `pixels` at most, and always less than the image is long."""
    n, _, height, width = images.shape
    most = min(pixels, height - 1, width - 1)
    return torch.randint(-most, most + 1, (2, n), generator=generator).to(images.device), most


def shift(images: Tensor, offsets: Tensor, most: int) -> Tensor:
    """Move each image; what comes in at the border is the reflection of what is there.

    Args:
        images: (N, C, H, W) uint8.
        offsets: (2, N) int64, how far the window over each image moves down and right, from -most to most.
        most: less than H and W.
    """
    n, channels, height, width = images.shape
    # Only the CPU reflects whole numbers; floats hold 0 to 255 exactly.
    source = images if images.device.type == "cpu" else images.float()
    padded = F.pad(source, (most, most, most, most), mode="reflect").to(images.dtype).contiguous()
    rows, columns = padded.shape[2:]
    one = channels * rows * columns
    # Every image-sized window of the padded batch, as a view: index = where its first pixel is. So one gather of N
    # windows moves the batch, whatever the offsets.
    last = (n - 1) * one + 2 * most * (columns + 1)
    windows = padded.as_strided((last + 1, channels, height, width), (1, rows * columns, columns, 1))
    first = torch.arange(n, device=images.device) * one + (offsets[0] + most) * columns + offsets[1] + most
    return windows.index_select(0, first)


def draw_rotation(images: Tensor, generator: Generator, degrees: float) -> tuple[Tensor]:
    """Draw by how many degrees each image turns."""
    return ((torch.rand(len(images), generator=generator).to(images.device) * 2 - 1) * degrees,)


def rotate(images: Tensor, degrees: Tensor, mode: str = "bilinear") -> Tensor:
    """Turn each image counter-clockwise about its centre by `degrees` (N,); `mode` is bilinear or nearest."""
    n, _, height, width = images.shape
    radians = torch.deg2rad(degrees)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    # Grid coordinates run from -1 to 1 along both sides, so a turn of an oblong image has to undo its aspect.
    across, down = height / width, width / height
    theta = torch.stack([torch.stack([cos, -sin * across, zero], 1), torch.stack([sin * down, cos, zero], 1)], 1)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    turned = F.grid_sample(images.float(), grid, mode=mode, padding_mode="reflection", align_corners=False)
    return turned.round_().clamp_(0, 255).to(torch.uint8)


def rotate_masks(masks: Tensor, degrees: Tensor) -> Tensor:
    """Turn masks (N, 1, H, W) as `rotate` turns images, from pixel to nearest pixel."""
    return rotate(masks, degrees, "nearest")


def draw_colour(images: Tensor, generator: Generator, share: float) -> tuple[Tensor]:
    """Draw what each image's brightness, contrast and saturation are scaled by."""
    factors = torch.rand((3, len(images)), generator=generator).to(images.device)
    return ((factors * 2 - 1) * share + 1,)


def recolour(images: Tensor, factors: Tensor) -> Tensor:
    """Scale brightness, contrast and (of colour images) saturation, in this order.

    Args:
        images: (N, C, H, W) uint8.
        factors: (3, N), at least 0; 1 leaves an image as it is. The third row is not used for greyscale.
    """
    brightness, contrast, saturation = factors.view(3, -1, 1, 1, 1)
    pixels = (images * brightness).clamp_(0, 255)
    mean = _grey(pixels).mean((2, 3), keepdim=True)
    pixels = torch.lerp(mean, pixels, contrast).clamp_(0, 255)
    if images.shape[1] == 3:
        pixels = torch.lerp(_grey(pixels), pixels, saturation).clamp_(0, 255)
    return pixels.round_().to(torch.uint8)


def draw_cutout(images: Tensor, generator: Generator, size: int) -> tuple[Tensor, Tensor, int]:
    """Draw around which pixel of each image a square is erased."""
    n, _, height, width = images.shape
    rows, columns = (torch.randint(0, side, (n,), generator=generator) for side in (height, width))
    return rows.to(images.device), columns.to(images.device), size


def cut_out(images: Tensor, rows: Tensor, columns: Tensor, size: int) -> Tensor:
    """Erase a square around one pixel of each image; what would lie outside the image is not erased elsewhere.

    As in DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (arXiv:1708.04552):
    the centre may lie anywhere, so some images stay nearly whole. The square takes the batch's mean colour, which is
    near 0 once normalised and so tells the network nothing.

    Args:
        images: (N, C, H, W) uint8.
        rows, columns: (N,) int64, the pixel that the square has at its centre (below and right of it, for even sizes).
        size: the side of the square in pixels.
    """
    _, channels, height, width = images.shape
    erased = _bands(height, size, images.device).index_select(0, rows)[:, None, :, None]
    erased = erased * _bands(width, size, images.device).index_select(0, columns)[:, None, None, :]
    mean = images.float().flatten(2).mean(2).mean(0).round_().to(torch.uint8).view(1, channels, 1, 1)
    # image + (mean - image) · erased in whole numbers that wrap around: exact, and faster than choosing by a mask.
    return torch.addcmul(images, mean - images, erased)


def normalise(
    images: Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype = torch.float32
) -> Tensor:
    """Bring each channel to mean 0 and standard deviation 1.

    Args:
        images: (N, C, H, W) uint8.
        mean, std: per channel, for pixels in [0, 1].
        dtype: a floating point type.

    Returns:
        (N, C, H, W) of that dtype, in the `channels_last` layout.
    """
    scale, offset = _affine(tuple(mean), tuple(std), images.device)
    # The arithmetic goes along rows, and the layout is turned at the end: the other way round takes four times as long.
    pixels = images.to(torch.float32, memory_format=torch.contiguous_format).mul_(scale).add_(offset)
    return pixels.to(dtype).contiguous(memory_format=torch.channels_last)


def _grey(pixels: Tensor) -> Tensor:
    """Return the brightness (N, 1, H, W) of images."""
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = (weight * pixels[:, k : k + 1] for k, weight in enumerate(_GREY))
    return red.add_(green).add_(blue)


@lru_cache(maxsize=8)
def _bands(length: int, size: int, device: torch.device) -> Tensor:
    """Return (length, length) uint8: row i is 1 on the `size` pixels around i, and 0 elsewhere."""
    steps = torch.arange(length, device=device)
    distance = steps[None, :] - steps[:, None] + size // 2
    return ((distance >= 0) & (distance < size)).to(torch.uint8)


@lru_cache(maxsize=8)
def _affine(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return scale and offset (1, C, 1, 1) that turn a pixel in 0 to 255 into a normalised one."""
    scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
    offset = -torch.tensor(mean, dtype=torch.float64) * 255 * scale
    return scale.float().view(1, -1, 1, 1).to(device), offset.float().view(1, -1, 1, 1).to(device)
