"""The article's network and its relatives: blocks of convolution and pooling, then fully connected layers."""

import torch.nn.functional as F
from torch import Tensor, nn

from playground.choices import ACTIVATIONS, NORMS, POOLINGS
from playground.config import ModelConfig
from playground.geometry import Layer, layers


class Norm(nn.BatchNorm2d):
    """Batch normalisation that takes a single value per channel too: one image whose map is one pixel.

    Such a batch has no spread to divide by, and torch refuses it in the middle of a run. It is scaled by the running
    averages instead, as in evaluation, and they stay as they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise maps (N, C, H, W)."""
        if self.training and input.numel() == input.shape[1]:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


def build_layer(layer: Layer, model: ModelConfig) -> nn.Module:
    """Make the module of one layer."""
    match layer.kind:
        case "conv":
            return nn.Conv2d(
                layer.in_shape[0],
                layer.out_shape[0],
                kernel_size=layer.kernel_size,
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
            )
        case "norm":
            norm = NORMS[model.norm]
            return norm.module_class(*norm.arguments(layer.out_shape[0]))
        case "activation":
            return ACTIVATIONS[model.activation].module_class()
        case "pool":
            return POOLINGS[model.pooling].module_class(layer.kernel_size, stride=layer.stride)
        case "dropout":
            return nn.Dropout(model.dropout)
        case "flatten":
            return nn.Flatten()
        case "linear":
            return nn.Linear(layer.in_shape[0], layer.out_shape[0])
    raise ValueError(f"{layer.kind} layers are none of a chain")


class CNN(nn.Module):
    """A chain of layers, as `geometry.layers` lists them.

    The layers are kept under their names with "_" for ".", so the weights of "block1.conv1" are
    "block1_conv1.weight" and "block1_conv1.bias".
    """

    def __init__(self, model: ModelConfig, input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.chain = layers(model, input_shape, num_classes)
        for layer in self.chain:
            self.add_module(layer.name.replace(".", "_"), build_layer(layer, model))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, num_classes)."""
        maps = images
        for module in self.children():
            maps = module(maps)
        return maps
