"""A run as a PyTorch script that stands alone: what a student reads, runs and changes.

It is made of sections, of which the notebook makes cells: `templates/train.py.j2` has them one below the other. What
computes is lifted from where this program itself has it, simplified for the run, so that it is the same to the bit.
Only what this run's knobs need is there: no schedule for a constant rate, no augmentation that is off.
"""

import math
import re
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

from playground.choices import LOSSES, NORMS, OPTIMIZERS, SCHEDULES
from playground.config import KNOBS, RunConfig, flatten
from playground.exports.codegen.augmentation import augmentation
from playground.exports.codegen.lift import Lifter, class_name, constant
from playground.exports.codegen.network import Network
from playground.exports.codegen.reads import Reads, refuse_unknown
from playground.exports.codegen.values import Code, written
from playground.exports.context import Facts
from playground.geometry import layers

WIDTH = 120
TORCHVISION = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "fashion-mnist": "FashionMNIST",
    "mnist": "MNIST",
    "svhn": "SVHN",
}
"""The data sets that torchvision downloads, by its name for them."""
_EMPTY = "\0"
"""What an empty expression of the template becomes, to leave out its line."""
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: _EMPTY if value == "" or type(value) is Undefined else value,
    autoescape=False,  # this is no HTML; text from outside is written by `written` alone
)
_IMPORTS = {
    r"\bargparse\.": "import argparse",
    r"\bmath\.": "import math",
    r"\bOrderedDict\(": "from collections import OrderedDict",
    r"\b(Iterable|Sequence)\b": "from collections.abc import {}",
    r"\blru_cache\b": "from functools import lru_cache",
    r"\bPath\b": "from pathlib import Path",
    r"\bnp\.": "import numpy as np",
    r"\btorch\.": "import torch",
    r"\bF\.": "import torch.nn.functional as F",
    r"\b(ArrayLike|NDArray)\b": "from numpy.typing import {}",
    r"(?<![\w.])(Generator|Tensor|nn)\b": "from torch import {}",
}
"""What the code needs, by what it says, in the order in which it is imported."""
_STANDARD = 6
"""So many of them are of the standard library."""


@dataclass(frozen=True)
class Section:
    """A stretch of the script: a heading with a few words, and code."""

    title: str
    text: str
    code: str


def script(facts: Facts) -> str:
    """Write the script.

    Raises:
        ExportError: the data set's mean and deviation, or what one of the settings does, are not known here.
    """
    parts = sections(facts)
    code = "\n".join(part.code for part in parts)
    blocks = [f'"""{introduction(facts)}\n\n{usage(facts)}"""\n\n{imports(code)}']
    for part in parts:
        words = textwrap.wrap(f"{part.title}. {part.text}", WIDTH - 2)
        blocks.append("\n".join(f"# {line}" for line in words) + "\n" + part.code)
    return blocks[0] + "\n\n" + "\n\n\n".join(blocks[1:]) + "\n"


def sections(facts: Facts, notebook: bool = False) -> list[Section]:
    """Return the run as sections, in the order in which they are run.

    Raises:
        ExportError: the data set's mean and deviation, or what one of the settings does, are not known here.
    """
    read: set[str] = set()
    plain = cast(RunConfig, Reads(facts.config, read, named=False))
    chain = layers(plain.model, facts.dataset.shape, facts.dataset.num_classes, facts.dataset.task)
    noted = replace(facts, config=cast(RunConfig, Reads(facts.config, read)), chain=chain)
    text = _TEMPLATES.get_template("train.py.j2").render(_context(noted), notebook=notebook)
    text = re.sub(rf"^[ {_EMPTY}]*{_EMPTY}[ {_EMPTY}]*\n", "", text, flags=re.MULTILINE).replace(_EMPTY, "")
    found = [Section("Knobs", "What makes this run what it is.", _knobs(noted, text))]
    for part in text.split("#%% ")[1:]:
        heading, _, code = part.partition("\n")
        found.append(Section(*heading.split(" | "), re.sub(r"\n{4,}", "\n\n\n", code.strip("\n"))))
    refuse_unknown(facts, read)
    return found


def _knobs(facts: Facts, code: str) -> str:
    """Write each setting that the code names as a constant, and what it was changed to on the way."""
    lines, named = [], set(re.findall(r"\b[A-Z][A-Z0-9_]*\b", code)) - {*re.findall(r"^(\w+) = ", code, re.MULTILINE)}
    for name, knob in KNOBS.items():
        if name.upper() in named:
            words = knob.label.lower() + (f", {knob.unit}" if knob.unit else "")
            line = f"{name.upper()} = {getattr(getattr(facts.config, knob.group), name)!r}"
            lines.append(line + (f"  # {words}" if words != name.replace("_", " ") else ""))
    if facts.epoch < facts.config.training.epochs:
        lines.append(f"LAST_EPOCH = {facts.epoch}  # where this script ends")
    if facts.changes:
        lines.append("# What was changed while the run went on: {steps taken until then: new value}")
    return "\n".join([*lines, *(_assignment(f"NEW_{name.upper()}", new) for name, new in facts.changes.items())])


def _assignment(name: str, value: dict[int, float]) -> str:
    """Write a dict as the formatter would."""
    line = f"{name} = {value!r}"
    if len(line) <= WIDTH:
        return line
    return f"{name} = {{\n" + "".join(f"    {key!r}: {number!r},\n" for key, number in value.items()) + "}"


def _context(facts: Facts) -> dict[str, Any]:
    """Return what the template asks for."""
    training, data, changes, lifter = facts.config.training, facts.config.data, facts.changes, Lifter()
    loss, full_batch = LOSSES[training.loss], OPTIMIZERS[training.optimizer].full_batch
    dropout = facts.config.model.dropout > 0 or any(changes.get("dropout", {}).values())
    scheduled, factor = training.schedule != "constant", SCHEDULES[training.schedule].factor
    groups = scheduled or bool({"learning_rate", "weight_decay"} & changes.keys())
    groups |= training.weight_decay > 0 or _has_hidden(facts)
    weights = Code("CLASS_WEIGHTS") if training.class_weights and loss.averages else None
    mean, std = facts.normalisation()
    most, pixels = (constant("playground.training.trainer", f"EVALUATION_{name}") for name in ("BATCH", "PIXELS"))
    return {
        "Code": Code,
        "augmentation": augmentation(facts, lifter),
        "batch": max(1, min(most, pixels // math.prod(facts.dataset.shape[1:]))),
        "changes": changes,
        "classes": _classes(facts),
        "counts": full_batch and loss.averages and (facts.masks or weights is not None),
        "counts_steps": (scheduled or bool(changes)) and not full_batch,
        "data": data,
        "dropout": dropout,
        "epoch": facts.epoch,
        "factor": f"{factor.__module__}:{cast(Any, factor).__name__}" if scheduled else "",
        "full_batch": full_batch,
        "groups": groups,
        # A small share of few images is none of them.
        "holds_back": bool(data.folds or data.validation_share) and not (facts.scores and facts.scores.val is None),
        "lift": lifter.define,
        "loss": loss,
        "masks": facts.masks,
        "mean": mean,
        "ndim": 3 if facts.masks else 1,
        "network": Network(facts, lifter, dropout).code,
        "num_classes": facts.dataset.num_classes,
        "optimizer": lambda: _optimizer(facts, lifter, groups),
        "parameters": f"{sum(layer.parameters for layer in facts.chain):,}",
        "rate": "learning_rate" if "learning_rate" in changes else "LEARNING_RATE",
        "shape": ", ".join(map(str, facts.dataset.shape)),
        "size": "FULL_BATCH_CHUNK" if full_batch else "BATCH_SIZE",
        "split_words": _split_words(facts),
        "std": std,
        "torchvision": TORCHVISION.get(facts.dataset.name, ""),
        "training": training,
        "training_words": _training_words(facts),
        "weights": weights,
        **_machine(facts),
    }


def _machine(facts: Facts) -> dict[str, Any]:
    """Say where the run was computed, and in which precision: `cast` is "", "maybe" or "always"."""
    kind, precision = facts.device.split(":")[0], facts.config.training.precision
    cast = {"float32": "", "bfloat16": "always"}.get(precision, "" if kind == "mps" else "maybe")
    enabled = ", enabled=BFLOAT16" if cast == "maybe" else ""
    return {
        "cast": cast,
        "device": written(facts.device),
        "kind": kind,
        "threads": facts.status.threads if kind == "cpu" else 0,
        "with_cast": f"with torch.autocast({written(kind)}, torch.bfloat16{enabled}):",
    }


def _classes(facts: Facts) -> str:
    """Write what the values in a mask mean."""
    names = [written(name) for name in facts.dataset.classes]
    line = f"CLASSES = [{', '.join(names)}]"
    return line if len(line) <= WIDTH else "CLASSES = [\n" + "".join(f"    {name},\n" for name in names) + "]"


def _has_hidden(facts: Facts) -> bool:
    """Whether hidden layers have an optimizer of their own, and there are such: the first and the last are none."""
    weighty = sum(layer.parameters > 0 and layer.kind != "norm" for layer in facts.chain)
    return bool(OPTIMIZERS[facts.config.training.optimizer].for_hidden) and weighty > 2


def _optimizer(facts: Facts, lifter: Lifter, groups: bool) -> str:
    """Write what makes the optimizer, and its class where that is not torch's."""
    training, entry = facts.config.training, OPTIMIZERS[facts.config.training.optimizer]
    hidden = _has_hidden(facts)
    names = {key: Code(class_name(getattr(entry, key), "torch.optim")) for key in ("optimizer", "for_hidden")}
    own = [lifter.define(where) for where in (entry.optimizer, entry.for_hidden if hidden else "") if where]
    if groups:
        known: dict[str, Any] = {"OPTIMIZERS[config.optimizer]": entry, "len(matrices) > 2": hidden}
        known |= {"entry.optimizer_class": names["optimizer"], "entry.hidden_class": names["for_hidden"]}
        where = "playground.training.optim:optimizers"
        code = lifter.define(where, "make_optimizers", config=training, fused=True, **known)
    else:
        options = {} if entry.for_hidden else dict(entry.options(training))
        options |= {"weight_decay": 0.0} if entry.decays_by_default else {}
        options |= {"fused": True} if entry.fused else {}
        given = ["net.parameters()", "lr=LEARNING_RATE", *(f"{key}={written(value)}" for key, value in options.items())]
        code = f"optimizer = {names['optimizer']}({', '.join(given)})"
    return "\n\n\n".join([*filter(None, own), code])


# Words


def _split_words(facts: Facts) -> str:
    data = facts.config.data
    words = "The network learns from all training images."
    if data.folds:
        words = "The images are cut into folds, and one fold is held back."
    elif data.validation_share:
        words = "A share is held back. The choice does not depend on the seed."
    elif data.images_per_class:
        words = "None is held back."
    return words + (" Only so many of each class are used." if data.images_per_class else "")


def _training_words(facts: Facts) -> str:
    if not OPTIMIZERS[facts.config.training.optimizer].full_batch:
        return "One pass over all images is an epoch; each has random numbers of its own."
    words = ["One step takes all images: their gradients are added up in pieces"]
    norm = NORMS[facts.config.model.norm]
    words += [f"{norm.title.lower()} normalisation centres and scales each piece by itself"] * norm.keeps_averages
    whole = [term.words.partition(" (")[0] for term in LOSSES[facts.config.training.loss].terms if not term.averages]
    return "; ".join([*words, *(f"{of} is the mean of that of the pieces" for of in whole)]) + "."


def introduction(facts: Facts) -> str:
    """Say what the script is and how good the run was."""
    network = _network_name(facts)
    words = [f"Train {network} on {quoted(facts.dataset.title)}, with PyTorch alone.", ""]
    epochs = f"epoch {facts.epoch} of {facts.config.training.epochs}"
    words += [f"It repeats the run {quoted(facts.name)}: it goes through {epochs}{_reached(facts)}."]
    if facts.masks:
        channels, height, width = facts.dataset.shape
        words += [
            "It reads the images and masks as the run had them, drawn or scaled already: arrays of bytes (N, "
            f"{channels}, {height}, {width}) and (N, {height}, {width}). A byte of a mask is the number of a pixel's "
            "class, or 255 for none."
        ]
    if facts.masks and facts.device.startswith("cuda"):
        words += ["On a GPU torch adds up some sums of this network in any order: the last digits of its weights vary."]
    else:
        words += ["On the same machine, with the same version of torch, it makes the same weights to the last bit."]
    return "\n".join(line for text in words for line in (textwrap.wrap(text, WIDTH - 4) or [""]))


def _network_name(facts: Facts) -> str:
    if not facts.masks:
        return "a convolutional network"
    return "a fully convolutional network" if facts.config.model.architecture == "fcn" else "a U-Net"


def _reached(facts: Facts) -> str:
    if facts.masks:
        overlap = facts.scores.test.iou if facts.scores else None
        return f" and reaches a mean IoU of {overlap:.4f} on the test images" if overlap is not None else ""
    return f" and gets {facts.test_accuracy:.2%} of the test images right" if facts.test_accuracy is not None else ""


def usage(facts: Facts) -> str:
    """Say how to run the script."""
    packages = ["numpy", "torch"]
    packages += ["torchvision"] if facts.dataset.name in TORCHVISION else []
    where = "downloads the images the first time"
    if facts.dataset.name not in TORCHVISION:
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
    needed = []
    for sign, line in _IMPORTS.items():
        names = sorted({match[1] for match in re.finditer(sign, code)} if "{}" in line else ())
        needed.append(line.format(", ".join(names)) if names or ("{}" not in line and re.search(sign, code)) else "")
    # As isort wants them: `import x` before `from x import y`.
    groups = (sorted(filter(None, group), key=_is_from) for group in (needed[:_STANDARD], needed[_STANDARD:]))
    return "\n\n".join("\n".join(group) for group in groups if group)


def _is_from(line: str) -> bool:
    return line.startswith("from ")


def described(facts: Facts) -> dict[str, str]:
    """Return the knobs that differ from their default, each with its value, as a person reads them."""
    values = flatten(facts.config)
    return {
        knob.label: f"{knob.format(values[name])} {knob.unit}".strip()
        for name, knob in KNOBS.items()
        if values[name] != knob.default
    }
