"""The networks. To add one: lay it out in `geometry.layers`, and name it where its task lists its architectures."""

import pkgutil

from torch import nn

from playground.config import ModelConfig
from playground.tasks import TASKS


def build(
    model: ModelConfig, input_shape: tuple[int, int, int], num_classes: int, task: str = "classification"
) -> nn.Module:
    """Build the network that the knobs describe, with fresh weights from torch's global random state.

    It maps images (N, *input_shape), float, normalised, to logits (N, num_classes), or (N, num_classes, H, W) where the
    task is segmentation.

    Raises:
        GeometryError: a map would shrink below 1×1, or the architecture is none for the task.
    """
    return pkgutil.resolve_name(TASKS[task].network)(model, input_shape, num_classes)
