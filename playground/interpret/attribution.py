"""Which pixels a class's score rests on: five methods, computed by captum (captum.ai).

The score is the class's logit: a probability also falls when another class's score rises, and flattens near 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from playground.interpret.colormap import choose_limits, make_palette, quantise
from playground.interpret.errors import InterpretError
from playground.interpret.network import check_class, copy_network, find_module, open_network, prepare_image

Method = Literal["saliency", "input_x_gradient", "integrated_gradients", "grad_cam", "occlusion"]
METHODS: dict[Method, tuple[str, str]] = {
    "saliency": (
        "Saliency",
        "How much the score moves when a pixel changes a little: the gradient's size, the largest of the channels.",
    ),
    "input_x_gradient": (
        "Input × gradient",
        "The gradient times the pixel's distance from the average colour: red speaks for the class, blue against.",
    ),
    "integrated_gradients": (
        "Integrated gradients",
        "The gradient averaged on the way from an average-coloured image to this one; with small enough steps all "
        "pixels together add up to the difference in score.",
    ),
    "grad_cam": (
        "Grad-CAM",
        "A layer's maps, each weighted by how much the score leans on it; coarse, and shows only what speaks for it.",
    ),
    "occlusion": (
        "Occlusion",
        "How far the score falls when a square in the average colour hides that place; below zero it rises.",
    ),
}
"""Title and one line for each method."""
_SIGNED = ("input_x_gradient", "integrated_gradients", "occlusion")
_AT_ONCE = 64
STEPS = (50, 100, 200, 400)
"""Steps of integrated gradients: the first of these with which the pixels miss the difference in score by less than
`CLOSE`, or the last. Of the bundled run's images most need 50, one in six more; 400 take a second."""
CLOSE = 0.01


@dataclass(frozen=True)
class Attribution:
    """How much each pixel speaks for a class.

    Attributes:
        method, class_index: what was asked; layer: of Grad-CAM, else "".
        values: float32 (H, W).
        signed: values may be negative (against the class).
        low, high: the lowest and the highest value; NaN if none is finite.
        score: the class's logit for the image; baseline: for an image in the average colour. Integrated gradients add
            up to score − baseline, but for what the number of steps leaves open.
        steps: of integrated gradients, else 0.
    """

    method: Method
    class_index: int
    layer: str
    values: np.ndarray
    signed: bool
    low: float
    high: float
    score: float
    baseline: float
    steps: int = 0

    @property
    def total(self) -> float:
        """All pixels together."""
        return float(self.values.sum(dtype=float))

    @property
    def missed(self) -> float:
        """By what part of the difference in score all pixels together miss it; infinite where there is none."""
        apart = abs(self.score - self.baseline)
        return abs(self.total - (self.score - self.baseline)) / apart if apart else float("inf")


def attribute(
    net: nn.Module,
    image: np.ndarray,
    mean: Sequence[float],
    std: Sequence[float],
    method: Method,
    class_index: int,
    layer: str = "",
    window: int = 0,
    stride: int = 0,
) -> Attribution:
    """Attribute a class's score to the pixels of an image.

    Args:
        net: on the CPU; it is not changed. image: uint8 (C, H, W).
        class_index: any class, not only the predicted one.
        layer: for Grad-CAM, a layer with maps; "" takes the last convolution.
        window, stride: of occlusion, in pixels; 0 takes an eighth of the image and half the window.

    Raises:
        InterpretError: there is no such method, class or layer, or the image has another shape; one line.
    """
    if method not in get_args(Method):
        raise InterpretError(f"There is no method {method!r}; there are {', '.join(METHODS)}")
    check_class(net, class_index)
    # captum hooks into layers, and gradients need modules of their own: other people use the network meanwhile.
    own = copy_network(net).eval()
    pixels = prepare_image(own, np.asarray(image)[None], mean, std)
    layer = _cam_layer(own, layer) if method == "grad_cam" else ""
    with torch.inference_mode(False), torch.autocast("cpu", enabled=False):
        with torch.no_grad():
            score, baseline = own(torch.cat([pixels, torch.zeros_like(pixels)]))[:, class_index].tolist()
        for steps in STEPS if method == "integrated_gradients" else (0,):
            with torch.enable_grad():
                found = _computed(own, pixels, method, class_index, layer, steps, (window, stride)).detach().numpy()
            values = np.ascontiguousarray(found, np.float32)
            finite = values[np.isfinite(values)]
            low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
            made = Attribution(method, class_index, layer, values, method in _SIGNED, low, high, score, baseline, steps)
            if not made.missed > CLOSE:  # nor where it is no number
                break
    return made


def _cam_layer(net: nn.Module, layer: str) -> str:
    if layer:
        return find_module(net, layer, "conv", "norm", "activation", "pool", "dropout")[0].name
    return next(step.name for step, _ in reversed(open_network(net)) if step.kind == "conv")


def _computed(
    net: nn.Module, pixels: Tensor, method: Method, target: int, layer: str, steps: int, occluder: tuple[int, int]
) -> Tensor:
    """Return (H, W). The baseline is 0, which after the normalisation is the average colour."""
    # Here, because captum brings matplotlib along: a second or two, and some 35 MB.
    from captum.attr import InputXGradient, IntegratedGradients, Saliency

    pixels = pixels.contiguous().requires_grad_()
    match method:
        case "saliency":
            return Saliency(net).attribute(pixels, target=target, abs=True)[0].amax(0)
        case "input_x_gradient":
            return InputXGradient(net).attribute(pixels, target=target)[0].sum(0)
        case "integrated_gradients":
            integrated = IntegratedGradients(net)
            return integrated.attribute(pixels, target=target, n_steps=steps, internal_batch_size=_AT_ONCE)[0].sum(0)
        case "grad_cam":
            return _grad_cam(net, pixels, target, layer)
        case "occlusion":
            return _occlusion(net, pixels.detach(), target, *occluder)


def _grad_cam(net: nn.Module, pixels: Tensor, target: int, layer: str) -> Tensor:
    """Selvaraju et al., "Grad-CAM", 2017: the maps weighted by their mean gradient, added up, cut off below 0."""
    from captum.attr import LayerAttribution, LayerGradCam

    found, module = find_module(net, layer)
    if len(found.out_shape) != 3:
        raise InterpretError(f"{layer} has no maps; Grad-CAM takes a layer before the flattening")
    coarse = LayerGradCam(net, module).attribute(pixels, target=target, relu_attributions=True)
    assert isinstance(coarse, Tensor)
    return LayerAttribution.interpolate(coarse, tuple(pixels.shape[2:]), "bilinear")[0, 0]


def _occlusion(net: nn.Module, pixels: Tensor, target: int, window: int, stride: int) -> Tensor:
    """Zeiler & Fergus, 2014. A pixel under several windows gets the mean of their differences."""
    from captum.attr import Occlusion

    channels, *sides = pixels.shape[1:]
    window = window or max(1, min(sides) // 8)
    stride = stride or max(1, window // 2)
    if not 1 <= stride <= window <= min(sides):
        raise InterpretError(
            f"A square of {window} px moved by {stride} px cannot hide each place in turn; "
            f"take a square of 1 to {min(sides)} px, and move it by no more than its side"
        )
    shape, strides = (channels, window, window), (channels, stride, stride)
    with torch.no_grad():
        found = Occlusion(net).attribute(
            pixels, shape, strides=strides, target=target, baselines=0, perturbations_per_eval=_AT_ONCE
        )
    return found[0, 0]


def draw_overlay(image: np.ndarray, values: np.ndarray, signed: bool, opacity: float = 0.6) -> np.ndarray:
    """Lay the colours of an attribution over its image: blue against and red for, or dark to yellow without a sign.

    Args:
        image: uint8 (C, H, W), 1 or 3 channels.
        values: (H, W) float.
        opacity: 0 shows the image alone, 1 the colours alone. A value that is no number stays the image.

    Returns:
        uint8 (H, W, 3).

    Raises:
        InterpretError: the map has another size than the image.
    """
    if values.shape != image.shape[1:]:
        raise InterpretError(f"A map of {values.shape} does not lie on an image of {image.shape[1:]}")
    back = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0).astype(np.float32)
    found = choose_limits([values], "layer")[0]
    if signed and not found.signed:  # nothing speaks against the class, but white still means nothing
        found = type(found)(-found.high, found.high, True)
    colours = make_palette(found.signed)[quantise(values, found)].astype(np.float32)
    weight = np.where(np.isnan(values), 0, np.clip(opacity, 0, 1))[..., None].astype(np.float32)
    return np.rint(back + (colours - back) * weight).astype(np.uint8)
