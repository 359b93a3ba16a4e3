"""Networks that label each pixel: FCN and U-Net, as `geometry.layers` lists them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.config import ModelConfig
from playground.geometry import INPUT, Layer, layers
from playground.models.cnn import build_layer


class Interpolate(nn.Module):
    """Scale maps to a size, bilinearly."""

    def forward(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Return (N, C, *size)."""
        return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)


class TransposedConv(nn.ConvTranspose2d):
    """Double the sides by a learned kernel, then cut off or repeat the last row and column that do not fit."""

    def forward(self, maps: Tensor, size: Sequence[int]) -> Tensor:  # ty: ignore[incompatible-method-override]
        """Return (N, C, *size), where each of `size` is at most a pixel from the double."""
        doubled = super().forward(maps)[..., : size[0], : size[1]]
        short = (0, size[1] - doubled.shape[3], 0, size[0] - doubled.shape[2])
        return F.pad(doubled, short, mode="replicate") if any(short) else doubled


class PixelNet(nn.Module):
    """A network whose layers may read earlier ones. Images may have any size that its pooling leaves something of."""

    def __init__(self, model: ModelConfig, input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.chain = layers(model, input_shape, num_classes, "segmentation")
        self.sources = {layer.source for layer in self.chain}
        for layer in self.chain:
            self.add_module(layer.name.replace(".", "_"), _module(layer, model))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes, H, W)."""
        kept, maps = {INPUT: images}, images
        for layer, module in zip(self.chain, self.children(), strict=True):
            earlier = kept.get(layer.source)
            match layer.kind:
                case "up":
                    maps = module(maps, kept[layer.source].shape[2:])
                case "concat":
                    maps = torch.cat([maps, kept[layer.source]], 1)
                case "add":
                    maps = maps + kept[layer.source]
                case _:
                    maps = module(maps if earlier is None else earlier)
            if layer.name in self.sources:
                kept[layer.name] = maps
        if maps.shape[2:] != images.shape[2:]:  # another size than it was laid out for
            maps = F.interpolate(maps, images.shape[2:], mode="bilinear", align_corners=False)
        return maps


def _module(layer: Layer, model: ModelConfig) -> nn.Module:
    match layer.kind:
        case "up" if layer.parameters:
            return TransposedConv(layer.in_shape[0], layer.out_shape[0], layer.kernel_size, stride=layer.stride)
        case "up":
            return Interpolate()
        case "concat" | "add":
            return nn.Identity()
    return build_layer(layer, model)
