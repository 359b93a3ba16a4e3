"""A run as a PyTorch script that stands alone: what a student reads, runs and changes.

It is made of sections, of which the notebook makes cells. Only what this run's knobs need is written: no schedule for a
constant rate, no augmentation that is off. Where the arithmetic has to be the same to the bit, the code is this
program's own, taken from its source.
"""

import re
import textwrap
from dataclasses import dataclass

from playground.config import KNOBS, flatten
from playground.exports.codegen import learning, sections, segmentation
from playground.exports.context import Facts

WIDTH = 120
_IMPORTS = {
    r"\bargparse\.": "import argparse",
    r"\bmath\.": "import math",
    r"\bOrderedDict\(": "from collections import OrderedDict",
    r"\bIterable\b": "from collections.abc import Iterable",
    r"\blru_cache\b": "from functools import lru_cache",
    r"\bPath\b": "from pathlib import Path",
    r"\bnp\.": "import numpy as np",
    r"\btorch\.": "import torch",
    r"\bF\.": "import torch.nn.functional as F",
    r"\bStratifiedKFold\(": "from sklearn.model_selection import StratifiedKFold",
}
"""What the code needs, by what it says, in the order in which it is imported."""
_STANDARD = 6
"""So many of them are of the standard library."""


@dataclass(frozen=True)
class Section:
    """A stretch of the script: a heading with a few words, and code. `code` is empty where there is nothing to do."""

    title: str
    text: str
    code: str


def script(facts: Facts) -> str:
    """Write the script.

    Raises:
        ExportError: the data set's mean and deviation are not known here.
    """
    parts = [*all_sections(facts, _arguments(facts))]
    code = "\n".join(part.code for part in parts)
    blocks = [f'"""{introduction(facts)}\n\n{usage(facts)}"""\n\n{imports(code)}']
    for part in parts:
        words = textwrap.wrap(f"{part.title}. {part.text}", WIDTH - 2)
        blocks.append("\n".join(f"# {line}" for line in words) + "\n" + part.code)
    return blocks[0] + "\n\n" + "\n\n\n".join(blocks[1:]) + "\n"


def all_sections(facts: Facts, paths: str) -> list[Section]:
    """Return the run as sections, in the order in which they are run; `paths` is code that sets DATA and OUTPUT."""
    per_pixel = facts.masks
    data, learn = (segmentation, segmentation) if per_pixel else (sections, learning)
    labels, bytes_of = "", "bytes (N, C, H, W)"
    if per_pixel:
        labels, bytes_of = (
            segmentation.labels(facts),
            "bytes: images (N, C, H, W), and as targets their masks (N, H, W)",
        )
    made = [
        Section("Knobs", "What makes this run what it is.", sections.knobs(facts)),
        Section("Files", "Where the images come from, and where the weights go.", paths),
        Section("Machine", "Sums depend on all of this, in their last digits.", sections.machine(facts)),
        Section("Images", f"All of them in memory, as {bytes_of}.", sections.images(facts) + labels),
        Section("Split", *data.split(facts)),
        Section("Normalisation", "Each channel gets mean 0 and deviation 1.", sections.normalisation(facts)),
        Section(
            "Augmentation", "Each image is varied in its own way, anew in each epoch.", sections.augmentation(facts)
        ),
        Section("Network", sections.network_text(facts), data.network(facts)),
        Section("Loss", "What is made small.", learn.loss(facts)),
        Section("Optimizer", *learning.optimizer(facts)),
        Section("Schedule", "The factor on the learning rate.", learning.schedule(facts)),
        Section("Evaluation", "How good is the network on images it does not learn from?", learn.evaluation(facts)),
        Section("Training", learning.training_text(facts), learning.training(facts)),
        Section("Result", "Each class's IoU on the test images.", segmentation.result(facts) if per_pixel else ""),
        Section("Weights", "Each one by its name; numpy.load reads them.", sections.SAVE),
    ]
    return [section for section in made if section.code]


def introduction(facts: Facts) -> str:
    """Say what the script is and how good the run was."""
    network = segmentation.name(facts) if facts.masks else "a convolutional network"
    words = [f"Train {network} on {quoted(facts.dataset.title)}, with PyTorch alone.", ""]
    epochs = f"epoch {facts.epoch} of {facts.config.training.epochs}"
    words += [f"It repeats the run {quoted(facts.name)}: it goes through {epochs}{_reached(facts)}."]
    if facts.masks:
        words += [segmentation.about_data(facts)]
    if facts.masks and facts.device.startswith("cuda"):
        words += ["On a GPU torch adds up some sums of this network in any order: the last digits of its weights vary."]
    else:
        words += ["On the same machine, with the same version of torch, it makes the same weights to the last bit."]
    return "\n".join(line for text in words for line in (textwrap.wrap(text, WIDTH - 4) or [""]))


def _reached(facts: Facts) -> str:
    if facts.masks:
        overlap = facts.scores.test.iou if facts.scores else None
        return f" and reaches a mean IoU of {overlap:.4f} on the test images" if overlap is not None else ""
    return f" and gets {facts.test_accuracy:.2%} of the test images right" if facts.test_accuracy is not None else ""


def usage(facts: Facts) -> str:
    """Say how to run the script."""
    packages = ["numpy", "torch"]
    packages += ["scikit-learn"] if facts.config.data.folds and not facts.masks else []
    packages += ["torchvision"] if facts.dataset.name in sections.TORCHVISION else []
    where = "downloads the images the first time"
    if facts.dataset.name not in sections.TORCHVISION:
        what = "images and masks" if facts.masks else "images"
        where = f"reads the {what} in the folder data, beside this file"
    return (
        f"    pip install {' '.join(packages)}\n"
        f"    python train.py                    {where}\n"
        "    python train.py --data FOLDER      reads train_images.npy, train_targets.npy, test_images.npy and\n"
        "                                       test_targets.npy there\n"
        "    python train.py --output FOLDER    keeps the weights there, as weights.npz\n"
    )


def quoted(text: str) -> str:
    """Make text from outside fit to stand in a docstring."""
    return text.replace("\\", "/").replace('"', "'")


def imports(code: str) -> str:
    """Return the imports that the code needs."""
    needed = [line if re.search(sign, code) else "" for sign, line in _IMPORTS.items()]
    names = [name for name in ("Generator", "Tensor", "nn") if re.search(rf"(?<![\w.]){name}\b", code)]
    groups = needed[:_STANDARD], [*needed[_STANDARD:], f"from torch import {', '.join(names)}" if names else ""]
    # As isort wants them: `import x` before `from x import y`.
    return "\n\n".join(
        "\n".join(sorted(filter(None, group), key=lambda line: line.startswith("from ")))
        for group in groups
        if any(group)
    )


def _arguments(facts: Facts) -> str:
    own = facts.dataset.name not in sections.TORCHVISION
    default = 'default=Path(__file__).parent / "data", ' if own else ""
    return (
        "parser = argparse.ArgumentParser()\n"
        f'parser.add_argument("--data", type=Path, {default}help="the folder of the .npy files")\n'
        'parser.add_argument("--output", type=Path, help="a folder for the weights")\n'
        "options = parser.parse_args()\n"
        "DATA, OUTPUT = options.data, options.output"
    )


def described(facts: Facts) -> dict[str, str]:
    """Return the knobs that differ from their default, each with its value, as a person reads them."""
    values = flatten(facts.config)
    return {
        knob.label: f"{knob.format(values[name])} {knob.unit}".strip()
        for name, knob in KNOBS.items()
        if values[name] != knob.default
    }
