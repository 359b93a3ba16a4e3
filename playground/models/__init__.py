"""Networks by name. To add one: write its module, name it here and in `ModelConfig.architecture`."""

from torch import nn

from playground.config import ModelConfig
from playground.models.cnn import CNN

MODELS = {"cnn": CNN}


def build(model: ModelConfig, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Build the network that the knobs describe, with fresh weights from torch's global random state.

    It maps images (N, *input_shape), float, normalised, to logits (N, num_classes).

    Raises:
        GeometryError: a map would shrink below 1×1.
    """
    return MODELS[model.architecture](model, input_shape, num_classes)
