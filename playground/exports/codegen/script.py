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

from playground.choices import AUGMENTATIONS, LOSSES, NORMS, OPTIMIZERS, SCHEDULES, Augmentation
from playground.config import KNOBS, RunConfig, flatten
from playground.exports.codegen.lift import Lifter, class_name, constant
from playground.exports.codegen.network import Network
from playground.exports.codegen.reads import Reads, refuse_unknown
from playground.exports.codegen.values import Code, written
from playground.exports.context import ExportContext
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


def write_script(facts: ExportContext) -> str:
    """Write the script.

    Raises:
        ExportError: the data set's mean and deviation, or what one of the settings does, are not known here.
    """
    introduction, parts = write_program(facts)
    code = "\n".join(part.code for part in parts)
    blocks = [f'"""{introduction}\n"""\n\n{write_imports(code)}\n']
    for part in parts:
        words = textwrap.wrap(f"{part.title}. {part.text}", WIDTH, initial_indent="# ", subsequent_indent="# ")
        blocks.append("\n".join([*words, part.code]))
    return f"{blocks[0]}\n" + "\n\n\n".join(blocks[1:]) + "\n"


def write_program(facts: ExportContext, notebook: bool = False) -> tuple[str, list[Section]]:
    """Return what is to be said of the run, and its sections in the order in which they are run.

    Raises:
        ExportError: the data set's mean and deviation, or what one of the settings does, are not known here.
    """
    read: set[str] = set()
    plain = cast(RunConfig, Reads(facts.config, read, named=False))
    chain = layers(plain.model, facts.dataset.shape, facts.dataset.num_classes, facts.dataset.task)
    noted = replace(facts, config=cast(RunConfig, Reads(facts.config, read)), chain=chain)
    text = _TEMPLATES.get_template("train.py.j2").render(_context(noted), notebook=notebook)
    text = re.sub(rf"^[ {_EMPTY}]*{_EMPTY}[ {_EMPTY}]*\n", "", text, flags=re.MULTILINE).replace(_EMPTY, "")
    introduction, *parts = re.split(r"^#%% ", text, flags=re.MULTILINE)
    found = [Section("Knobs", "What makes this run what it is.", _knobs(noted, text))]
    for part in parts:
        heading, _, code = part.partition("\n")
        found.append(Section(*heading.split(" | "), re.sub(r"\n{4,}", "\n\n\n", code.strip("\n"))))
    refuse_unknown(facts, read)
    return introduction.rstrip(), found


def _knobs(facts: ExportContext, code: str) -> str:
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
    for name, new in facts.changes.items():
        each = [f"{step}: {value!r}" for step, value in new.items()]
        lines.append(_in_brackets(f"NEW_{name.upper()} = {{", each, "}"))
    return "\n".join(lines)


def _in_brackets(start: str, parts: list[str], end: str) -> str:
    """Write a dict or a list as the formatter would."""
    line = f"{start}{', '.join(parts)}{end}"
    return line if len(line) <= WIDTH else f"{start}\n" + "".join(f"    {part},\n" for part in parts) + end


def quote(text: str) -> str:
    """Make text from outside fit to stand in a docstring."""
    return text.replace("\\", "/").replace('"', "'").replace("#%%", "#")


def _context(facts: ExportContext) -> dict[str, Any]:
    """Return what the template asks for, besides what it asks of the run itself."""
    training, data, changes, lifter = facts.config.training, facts.config.data, facts.changes, Lifter()
    loss, optimizer, factor = LOSSES[training.loss], OPTIMIZERS[training.optimizer], SCHEDULES[training.schedule].factor
    dropout = facts.config.model.dropout > 0 or any(changes.get("dropout", {}).values())
    scheduled = training.schedule != "constant"
    # Hidden layers have an optimizer of their own where there are such: the first and the last are none.
    weighty = sum(layer.parameters > 0 and layer.kind != "norm" for layer in facts.chain)
    hidden = bool(optimizer.for_hidden) and weighty > 2
    weights = Code("CLASS_WEIGHTS") if training.class_weights and loss.averages else None
    mean, std = facts.normalisation()
    most, pixels = (constant("playground.training.trainer", f"EVALUATION_{name}") for name in ("BATCH", "PIXELS"))
    return {
        "Code": Code,
        "augmentations": _augmentations(facts),
        "batch": max(1, min(most, pixels // math.prod(facts.dataset.shape[1:]))),
        "changes": changes,
        "classes": _in_brackets("CLASSES = [", [written(name) for name in facts.dataset.classes], "]"),
        "counts": optimizer.full_batch and loss.averages and (facts.masks or weights is not None),
        "counts_steps": (scheduled or bool(changes)) and not optimizer.full_batch,
        "data": data,
        "dropout": dropout,
        "factor": f"{factor.__module__}:{cast(Any, factor).__name__}" if scheduled else "",
        "full_batch": optimizer.full_batch,
        "groups": scheduled
        or hidden
        or training.weight_decay > 0
        or changes.keys() & {"learning_rate", "weight_decay"},
        # A small share of few images is none of them.
        "holds_back": (data.folds or data.validation_share) and not (facts.scores and facts.scores.val is None),
        "lift": lifter.define,
        "loss": loss,
        "masks": facts.masks,
        "mean": mean,
        "ndim": 3 if facts.masks else 1,
        "network": Network(facts, lifter, dropout).code,
        "norm": NORMS[facts.config.model.norm],
        "optimizer": optimizer,
        "optimizer_known": {
            "OPTIMIZERS[config.optimizer]": optimizer,
            "len(matrices) > 2": hidden,
            "entry.optimizer_class": Code(class_name(optimizer.optimizer, "torch.optim")),
            "entry.hidden_class": Code(class_name(optimizer.for_hidden, "torch.optim")),
        },
        "own_optimizers": [optimizer.optimizer, *[optimizer.for_hidden] * hidden],
        "parameters": f"{sum(layer.parameters for layer in facts.chain):,}",
        "quoted": quote,
        "rate": "learning_rate" if "learning_rate" in changes else "LEARNING_RATE",
        "run": facts,
        "shape": ", ".join(map(str, facts.dataset.shape)),
        "std": std,
        "torchvision": TORCHVISION.get(facts.dataset.name, ""),
        "training": training,
        "weights": weights,
        "written": written,
        **_machine(facts),
    }


def _augmentations(facts: ExportContext) -> list[tuple[Augmentation, str]]:
    """Return those that are on, each with the arguments that it is given to draw."""
    amounts = {name: getattr(facts.config.data, name) for name in AUGMENTATIONS}
    found = [(entry, entry.settings(amounts[name])) for name, entry in AUGMENTATIONS.items() if amounts[name]]
    return [(entry, ", ".join(["images", "generator", *map(written, given)])) for entry, given in found]


def _machine(facts: ExportContext) -> dict[str, Any]:
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


def write_imports(code: str) -> str:
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


def describe_settings(facts: ExportContext) -> dict[str, str]:
    """Return the knobs that differ from their default, each with its value, as a person reads them."""
    values = flatten(facts.config)
    return {
        knob.label: f"{knob.format(values[name])} {knob.unit}".strip()
        for name, knob in KNOBS.items()
        if values[name] != knob.default
    }
