"""The augmentations of a run as code: what draws, varies and moves, and a function that calls them in their order."""

from textwrap import indent

from playground.choices import AUGMENTATIONS
from playground.exports.codegen.lift import Lifter, class_name
from playground.exports.codegen.values import written
from playground.exports.context import Facts


def augmentation(facts: Facts, lifter: Lifter) -> str:
    """Write `augment`, and the functions that it calls; nothing where images are left as they are."""
    lifted, lines = [], []
    for name, entry in AUGMENTATIONS.items():
        if not (amount := getattr(facts.config.data, name)):
            continue
        move = entry.move if facts.masks else ""
        lifted += [lifter.define(where) for where in (entry.draw, entry.vary, move) if where]
        given = ", ".join(["images", "generator", *map(written, entry.settings(amount))])
        lines += [f"drawn = {class_name(entry.draw)}({given})", f"images = {class_name(entry.vary)}(images, *drawn)"]
        lines += [f"masks = {class_name(move)}(masks, *drawn)"] if move else []
    if not lines:
        return ""
    if facts.masks:
        head = "def augment(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:"
        words = "Vary each image (N, C, H, W) uint8 in its own way, and move its mask (N, H, W) uint8 along."
        lines = ["masks = masks[:, None]", *lines, "return images, masks[:, 0]"]
    else:
        head = "def augment(images: Tensor, generator: Generator) -> Tensor:"
        words = "Vary each image (N, C, H, W) uint8 in its own way."
        lines[-1] = lines[-1].replace("images =", "return")
    function = "\n".join([head, indent("\n".join([f'"""{words}"""', *lines]), "    ")])
    return "\n\n\n".join([*filter(None, lifted), function])
