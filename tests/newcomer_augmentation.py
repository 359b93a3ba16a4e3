"""An augmentation from outside, and a program that uses it: `test_choices` runs it in a process of its own.

An entry brings a setting, so it has to be in the table before the config is made of it.
"""

import sys
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Generator, Tensor

from playground.choices import AUGMENTATIONS, Augmentation

ROLL = Augmentation(
    name="roll",
    title="Roll",
    help="Move a batch sideways; what leaves at one side comes in at the other.",
    default=0,
    high=9,
    unit="px",
    draw="newcomer_augmentation:draw_roll",
    vary="newcomer_augmentation:roll",
    move="newcomer_augmentation:roll",
)


def draw_roll(images: Tensor, generator: Generator, pixels: int) -> tuple[int]:
    """Draw how far the images move."""
    return (int(torch.randint(1, pixels + 1, (1,), generator=generator)),)


def roll(maps: Tensor, pixels: int) -> Tensor:
    """Move images or masks sideways."""
    return maps.roll(pixels, 3)


def main(folder: Path) -> None:
    """See it in the form, train with it, and run the exported script."""
    AUGMENTATIONS["roll"] = ROLL
    from exports_support import few_pixels, run_scripts, same_weights, trained
    from ui_support import open_page

    from playground.config import KNOBS, DataConfig, RunConfig, from_flat, from_json, to_json
    from playground.data.augment import augment_pairs
    from playground.exports.codegen.script import write_script
    from playground.exports.context import load_context
    from playground.home import home
    from playground.jobs import client

    config = from_flat({"roll": "3"})
    assert (KNOBS["roll"].default, config.data.roll, from_json(to_json(config))) == (0, 3, config)
    assert KNOBS["roll"].allowed == "a whole number from 0 to 9" and RunConfig().data.roll == 0

    images, masks = torch.arange(24, dtype=torch.uint8).view(2, 1, 3, 4), torch.arange(24).byte().view(2, 3, 4)
    moved, labels = augment_pairs(images, masks, DataConfig(flip=False, roll=1), Generator())
    assert labels is not None and torch.equal(moved[:, 0], labels) and torch.equal(labels, masks.roll(1, 2))

    with patch.object(client, "ensure_service"):  # nobody here would start a run
        slider = next(box for box in open_page("train", roll="3").slider if box.label == "Roll (px)")
    assert slider.value == 3 and slider.max == 9

    few_pixels()
    knobs = {"dataset": "few-pixels", "images_per_class": 0, "channels": "4-6", "cutout": 4, "epochs": 1}
    run, other = trained("rolled", **knobs, roll=3), trained("not rolled", **knobs)
    assert any((run.weights(1)[name] != weights).any() for name, weights in other.weights(1).items())
    made = write_script(load_context(run, 1))
    assert "ROLL = 3  # roll, px\n" in made and "    masks = roll(masks, *drawn)\n" in made
    run_scripts([made], home() / "data" / "few-pixels", folder)
    assert same_weights(run, 1, folder / "0" / "weights.npz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
