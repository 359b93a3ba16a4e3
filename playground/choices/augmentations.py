"""Augmentations: how each image is varied, anew in each epoch. The order of the table is that in which it happens."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Augmentation:
    """One of them, and the setting that says how strong it is: its field in `DataConfig` is made from this.

    Attributes:
        name: of the setting; title, help, unit, default: the setting's, which is on or off, or a number.
        high: what a number may be at most; 0, the least, leaves images alone.
        draw: where its random numbers are drawn, as "playground.data.augment:draw_shift": a function of the images
            (N, C, H, W) uint8, a generator on the CPU and, if it is a number, the setting; it returns a tuple.
        vary: where images are varied: a function of the images and what was drawn, one argument each.
        move: where their masks (N, 1, H, W) uint8 are moved along, in the same way; empty: masks stay as they are.
    """

    name: str
    title: str
    help: str
    default: bool | int | float
    draw: str
    vary: str
    move: str = ""
    high: float = 1
    unit: str = ""

    def settings(self, amount: Any) -> tuple[Any, ...]:
        """Return what `draw` is given of the setting."""
        return () if isinstance(amount, bool) else (amount,)

    @property
    def functions(self) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any] | None]:
        """What draws, varies and moves."""
        move = pkgutil.resolve_name(self.move) if self.move else None
        return pkgutil.resolve_name(self.draw), pkgutil.resolve_name(self.vary), move


_ENTRIES = (
    Augmentation(
        name="flip",
        title="Random flip",
        help="Mirror half of the images left to right. A cat is still a cat, so one image does the work of two; "
        "a mirrored digit or letter is none, so leave it off for those.",
        default=True,
        draw="playground.data.augment:draw_flip",
        vary="playground.data.augment:flip",
        move="playground.data.augment:flip",
    ),
    Augmentation(
        name="shift",
        title="Random shift",
        help="Move each image by up to this many pixels. It teaches the network that position does not matter.",
        default=0,
        high=16,
        unit="px",
        draw="playground.data.augment:draw_shift",
        vary="playground.data.augment:shift",
        move="playground.data.augment:shift",
    ),
    Augmentation(
        name="rotation",
        title="Random rotation",
        help="Turn each image by up to this angle either way. A little helps against tilted photos; too much loses "
        "cues.",
        default=0.0,
        high=180,
        unit="°",
        draw="playground.data.augment:draw_rotation",
        vary="playground.data.augment:rotate",
        move="playground.data.augment:rotate_masks",
    ),
    Augmentation(
        name="colour",
        title="Colour jitter",
        help="Vary brightness, contrast and saturation by up to this share. It helps when the lighting changes.",
        default=0.0,
        draw="playground.data.augment:draw_colour",
        vary="playground.data.augment:recolour",
    ),
    Augmentation(
        name="cutout",
        title="Cutout",
        help="Erase a random square of this size. The network has to look at more than one telling detail.",
        default=0,
        high=32,
        unit="px",
        draw="playground.data.augment:draw_cutout",
        vary="playground.data.augment:cut_out",
    ),
)
AUGMENTATIONS = {entry.name: entry for entry in _ENTRIES}
