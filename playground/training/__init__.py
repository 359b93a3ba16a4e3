"""Training: `fit` turns a config and data into events."""

from playground.training.device import choose_device, uses_bfloat16
from playground.training.loop import fit
from playground.training.trainer import ResumeError, class_weights

__all__ = ["ResumeError", "choose_device", "class_weights", "fit", "uses_bfloat16"]
