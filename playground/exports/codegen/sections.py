"""The code of the sections about knobs, data and network, written for one run; empty where nothing is needed."""

import json
import math
from textwrap import indent
from typing import Any

from playground.choices import ACTIVATIONS, LOSSES, NORMS, OPTIMIZERS, POOLINGS
from playground.config import KNOBS
from playground.exports.codegen.lift import class_name, class_source, source
from playground.exports.context import Facts
from playground.geometry import Layer

TORCHVISION = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "fashion-mnist": "FashionMNIST",
    "mnist": "MNIST",
    "svhn": "SVHN",
}
"""The data sets that torchvision downloads, by its name for them."""
CHUNK = 512
"""Gradient descent goes over all images in pieces of this size, as the trainer does."""
EVALUATION_BATCH, EVALUATION_PIXELS = 128, 2**19
"""Images that are evaluated at once, as in training; fewer where they are large."""

SAVE = """\
if OUTPUT:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    np.savez(OUTPUT / "weights.npz", **{name: tensor.cpu().numpy() for name, tensor in net.state_dict().items()})"""


def evaluation_batch(facts: Facts) -> int:
    """Return how many images are evaluated at once."""
    _, height, width = facts.dataset.shape
    return max(1, min(EVALUATION_BATCH, EVALUATION_PIXELS // (height * width)))


def full_batch(facts: Facts) -> bool:
    """Whether one step takes all images."""
    return OPTIMIZERS[facts.config.training.optimizer].full_batch


def uses_dropout(facts: Facts) -> bool:
    """Whether units are silenced, at least for a part of the run."""
    return facts.config.model.dropout > 0 or any(facts.changes.get("dropout", {}).values())


def uses_decay(facts: Facts) -> bool:
    """Whether weights decay, at least for a part of the run."""
    return facts.config.training.weight_decay > 0 or "weight_decay" in facts.changes


def splits_layers(facts: Facts) -> bool:
    """Whether hidden layers have an optimizer of their own, and there are such: the first and the last are none."""
    weighty = sum(layer.parameters > 0 and layer.kind != "norm" for layer in facts.chain)
    return bool(OPTIMIZERS[facts.config.training.optimizer].for_hidden) and weighty > 2


def augments(facts: Facts) -> bool:
    """Whether images are varied."""
    data = facts.config.data
    return bool(data.flip or data.shift or data.rotation or data.colour or data.cutout)


def moves(facts: Facts) -> bool:
    """Whether images are varied in a way that their masks have to follow."""
    data = facts.config.data
    return facts.masks and bool(data.flip or data.shift or data.rotation)


def moving_rate(facts: Facts) -> bool:
    """Whether the learning rate is set before each step."""
    return facts.config.training.schedule != "constant" or "learning_rate" in facts.changes or splits_layers(facts)


def used_knobs(facts: Facts) -> list[str]:
    """Return the numbers that the script needs, by their knobs' names."""
    data, training = facts.config.data, facts.config.training
    always = ["seed", "epochs", "learning_rate"] + ([] if full_batch(facts) else ["batch_size"])
    entry = OPTIMIZERS[training.optimizer]
    wanted = {
        "images_per_class": data.images_per_class > 0,
        "folds": data.folds > 0,
        "fold": data.folds > 0,
        "validation_share": data.validation_share > 0 and not data.folds,
        "shift": data.shift > 0,
        "rotation": data.rotation > 0,
        "colour": data.colour > 0,
        "cutout": data.cutout > 0,
        "momentum": entry.uses_momentum and (splits_layers(facts) or not entry.for_hidden),
        "weight_decay": uses_decay(facts),
        "l1": training.l1 > 0,
        "boundary_weight": facts.masks and training.boundary_weight > 0 and LOSSES[training.loss].averages,
        "label_smoothing": training.label_smoothing > 0 and LOSSES[training.loss].smooths,
        "dropout": uses_dropout(facts),
    }
    return always + [name for name, needed in wanted.items() if needed]


def knobs(facts: Facts) -> str:
    """Write each knob that counts as a constant, and what it was changed to on the way."""
    lines = []
    for name in used_knobs(facts):
        knob, value = KNOBS[name], getattr(getattr(facts.config, KNOBS[name].group), name)
        words = knob.label.lower() + (f", {knob.unit}" if knob.unit else "")
        lines.append(f"{name.upper()} = {value!r}" + (f"  # {words}" if words != name.replace("_", " ") else ""))
    if facts.epoch < facts.config.training.epochs:
        lines.append(f"LAST_EPOCH = {facts.epoch}  # where this script ends")
    if facts.changes:
        lines.append("# What was changed while the run went on: {steps taken until then: new value}")
    lines += [assignment(f"NEW_{knob.upper()}", steps) for knob, steps in facts.changes.items()]
    return "\n".join(lines)


def literal(value: Any) -> str:
    """Write a value as Python: what is not ours gets into the program through this alone. Text in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def assignment(name: str, value: dict[Any, Any]) -> str:
    """Write a dict as the formatter would."""
    line = f"{name} = {value!r}"
    if len(line) <= 120:
        return line
    return f"{name} = {{\n" + "".join(f"    {key!r}: {number!r},\n" for key, number in value.items()) + "}"


def machine(facts: Facts) -> str:
    """Set device, threads and precision as the run had them."""
    device, precision = facts.device, facts.config.training.precision
    lines = [f"DEVICE = {literal(device)}"]
    if facts.status.threads and device == "cpu":
        lines.append(f"torch.set_num_threads({facts.status.threads})")
    if precision == "auto" and device == "cpu":
        lines += [
            "# bfloat16 where the processor multiplies in it",
            "able = torch.cpu.get_capabilities()",
            'BFLOAT16 = bool(able.get("avx512_bf16") or able.get("amx_bf16"))',
        ]
    elif precision == "auto" and device.startswith("cuda"):
        lines.append("BFLOAT16 = torch.cuda.get_device_capability(DEVICE) >= (8, 0)  # where the GPU multiplies in it")
    return "\n".join(lines)


def autocast(facts: Facts) -> str:
    """Return the line that computes in bfloat16, or nothing where that is never done."""
    precision, kind = facts.config.training.precision, facts.device.split(":")[0]
    if precision == "float32" or (precision == "auto" and kind == "mps"):
        return ""
    enabled = "" if precision == "bfloat16" else ", enabled=BFLOAT16"
    return f"with torch.autocast({literal(kind)}, torch.bfloat16{enabled}):"


def images(facts: Facts) -> str:
    """Read the images, from a folder or through torchvision."""
    load = (
        'parts = ("train_images", "train_targets", "test_images", "test_targets")\n'
        'arrays = [np.load(DATA / f"{part}.npy") for part in parts]'
    )
    if name := TORCHVISION.get(facts.dataset.name):
        split = 'split="train" if train else "test"' if name == "SVHN" else "train=train"
        pixels, labels = {
            "SVHN": ("data.data", "data.labels"),
            "MNIST": ("data.data.numpy()[:, None]", "data.targets.numpy()"),
            "FashionMNIST": ("data.data.numpy()[:, None]", "data.targets.numpy()"),
        }.get(name, ("data.data.transpose(0, 3, 1, 2)", "data.targets"))
        fetch = (
            "from torchvision import datasets\n\narrays = []\nfor train in (True, False):\n"
            f'    data = datasets.{name}("downloads", {split}, download=True)\n'
            f"    arrays += [{pixels}, {labels}]"
        )
        load = f"if DATA:\n{indent(load, '    ')}\nelse:\n{indent(fetch, '    ')}"
    tail = (
        'arrays = [torch.from_numpy(np.array(part, order="C")).to(DEVICE) for part in arrays]\n'
        "train_images, train_targets, test_images, test_targets = arrays"
    )
    return f"{load}\n{tail}"


def split(facts: Facts) -> tuple[str, str]:
    """Choose the images to train on and those that are held back; returns words and code."""
    data = facts.config.data
    if not (data.folds or data.validation_share or data.images_per_class):
        return "The network learns from all training images.", "train_rows = torch.arange(len(train_images))"
    lines = ["targets = train_targets.cpu().numpy()", "order = np.random.default_rng(0).permutation(len(targets))"]
    per_class = "        rows = rows[:IMAGES_PER_CLASS]\n" if data.images_per_class else ""
    if data.folds:
        words = "The rows are cut into folds with equal shares of each class, and one fold is held back."
        lines = lines[:1]
        if data.images_per_class:
            lines += [
                "order = np.random.default_rng(0).permutation(len(targets))",
                "chosen = [order[targets[order] == c][:IMAGES_PER_CLASS] for c in np.unique(targets)]",
                "rows = np.sort(np.concatenate(chosen))",
            ]
        else:
            lines.append("rows = np.arange(len(targets))")
        lines += [
            "folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(rows, targets[rows])",
            "train, val = list(folds)[FOLD]",
            "train_rows, val_rows = torch.from_numpy(rows[train]), torch.from_numpy(rows[val])",
        ]
        return words, "\n".join(lines)
    if not data.validation_share:
        lines += [
            "train = [order[targets[order] == c][:IMAGES_PER_CLASS] for c in np.unique(targets)]",
            "train_rows = torch.from_numpy(np.sort(np.concatenate(train)))",
        ]
        return "The network learns from so many images of each class.", "\n".join(lines)
    loop = (
        "train, val = [], []\n"
        "for c in np.unique(targets):\n"
        "    rows = order[targets[order] == c]\n"
        f"{per_class.removeprefix('    ')}"
        "    held_back = min(round(len(rows) * VALIDATION_SHARE), len(rows) - 1)\n"
        "    val.append(rows[:held_back])\n"
        "    train.append(rows[held_back:])\n"
        "train_rows, val_rows = (torch.from_numpy(np.sort(np.concatenate(part))) for part in (train, val))"
    )
    words = "A share of each class is held back. The choice does not depend on the seed."
    return words, "\n".join([*lines, loop])


def normalisation(facts: Facts) -> str:
    """Turn bytes into what the network reads."""
    mean, std = facts.normalisation()
    return (
        f"MEAN = torch.tensor({list(mean)}, dtype=torch.float64)\n"
        f"STD = torch.tensor({list(std)}, dtype=torch.float64)\n"
        "scale = 1 / (255 * STD)\n"
        "offset = -MEAN * 255 * scale\n"
        "scale, offset = (t.float().view(1, -1, 1, 1).to(DEVICE) for t in (scale, offset))\n\n\n"
        "def prepare(images: Tensor) -> Tensor:\n"
        '    """Normalise images (N, C, H, W), uint8, into float32; channels last in memory are faster."""\n'
        "    pixels = images.to(torch.float32, memory_format=torch.contiguous_format) * scale + offset\n"
        "    return pixels.contiguous(memory_format=torch.channels_last)"
    )


def augmentation(facts: Facts) -> str:
    """Write the augmentations that are on: this program's own functions, and one that calls them in its order."""
    data, (_, height, width) = facts.config.data, facts.dataset.shape
    if not augments(facts):
        return ""

    def both(call: str, mode: str = "") -> str:
        """Move the images, and their masks along with them."""
        images = call.format("images", "")
        return f"images, masks = {images}, {call.format('masks', mode)}" if moves(facts) else f"images = {images}"

    calls, needed = [], []
    if data.flip:
        needed += ["flip"]
        calls += ["chosen = torch.randint(0, 2, (n,), generator=generator).to(DEVICE)", both("flip({}, chosen)")]
    if data.shift:
        needed += ["shift"]
        most = "SHIFT" if data.shift < min(height, width) else str(min(height, width) - 1)
        calls += [
            f"offsets = torch.randint(-{most}, {most} + 1, (2, n), generator=generator).to(DEVICE)",
            both(f"shift({{}}, offsets, {most})"),
        ]
    if data.rotation:
        needed += ["rotate"]
        calls += [
            "degrees = (torch.rand(n, generator=generator).to(DEVICE) * 2 - 1) * ROTATION",
            both("rotate({}, degrees{})", ', "nearest"'),
        ]
    if data.colour:
        needed += ["_GREY", "_grey", "recolour"]
        calls += [
            "factors = torch.rand((3, n), generator=generator).to(DEVICE)",
            "images = recolour(images, (factors * 2 - 1) * COLOUR + 1)",
        ]
    if data.cutout:
        needed += ["_bands", "cut_out"]
        calls += [
            f"rows = torch.randint(0, {height}, (n,), generator=generator)",
            f"columns = torch.randint(0, {width}, (n,), generator=generator)",
            "images = cut_out(images, rows.to(DEVICE), columns.to(DEVICE), CUTOUT)",
        ]
    if moves(facts):
        takes, gives = "images: Tensor, masks: Tensor", "tuple[Tensor, Tensor]"
        words = "Vary each of the images (N, C, H, W), uint8, in its own way, and move its mask along."
        calls = ["masks = masks[:, None]  # an image of one channel", *calls, "return images, masks[:, 0]"]
    else:
        takes, gives, words = "images: Tensor", "Tensor", "Vary each of the images (N, C, H, W), uint8, in its own way."
        calls[-1] = calls[-1].replace("images =", "return")
    body = "\n".join(f"    {call}" for call in ["n = len(images)", *calls])
    return (
        f"{source('playground.data.augment', *needed)}\n\n\n"
        f"def augment({takes}, generator: torch.Generator) -> {gives}:\n"
        f'    """{words}"""\n'
        f"{body}"
    )


def network_text(facts: Facts) -> str:
    """Say what goes in and out."""
    parameters = sum(layer.parameters for layer in facts.chain)
    shape = ", ".join(map(str, facts.dataset.shape))
    logits = f"{facts.dataset.num_classes} logits" + (" for each pixel" if facts.masks else "")
    return f"Images (N, {shape}) to {logits}, with {parameters:,} parameters."


def module(layer: Layer, facts: Facts) -> str:
    """Write one layer; what is as torch has it by default is left out. Empty for what does nothing."""
    model = facts.config.model
    match layer.kind:
        case "conv":
            extra = [f"{name}={value}" for name, value, usual in _window(layer) if value != usual]
            return f"nn.Conv2d({', '.join([str(layer.in_shape[0]), str(layer.out_shape[0]), *extra])})"
        case "norm":
            given = ", ".join(map(str, NORMS[model.norm].arguments(layer.out_shape[0])))
            return f"{class_name(norm_module(facts))}({given})"
        case "activation":
            return f"{class_name(ACTIVATIONS[model.activation].module)}()"
        case "pool":
            return f"{class_name(POOLINGS[model.pooling].module)}({layer.kernel_size})"
        case "dropout":
            return "nn.Dropout(DROPOUT)" if uses_dropout(facts) else ""
        case "flatten":
            return "nn.Flatten()"
        case "linear":
            return f"nn.Linear({layer.in_shape[0]}, {layer.out_shape[0]})"
        case "up" if layer.parameters:
            ends = f"{layer.in_shape[0]}, {layer.out_shape[0]}"
            return f"nn.ConvTranspose2d({ends}, kernel_size={layer.kernel_size}, stride={layer.stride})"
    raise ValueError(f"{layer.kind} layers are no modules of their own")


def _window(layer: Layer) -> list[tuple[str, int, int]]:
    return [
        ("kernel_size", layer.kernel_size, 0),
        ("stride", layer.stride, 1),
        ("padding", layer.padding, 0),
        ("dilation", layer.dilation, 1),
    ]


def tiny_maps(facts: Facts) -> bool:
    """Whether a map of one pixel is normalised, which torch refuses for a batch of one image."""
    return any(layer.kind == "norm" and math.prod(layer.out_shape[1:]) == 1 for layer in facts.chain)


def norm_module(facts: Facts) -> str:
    """Return where the norms' class is: torch's own, where that does the same."""
    entry = NORMS[facts.config.model.norm]
    return entry.module if tiny_maps(facts) or not entry.plain else entry.plain


def own_modules(facts: Facts) -> str:
    """Write the classes of the network's modules that are not torch's."""
    model = facts.config.model
    wheres = (norm_module(facts), ACTIVATIONS[model.activation].module, POOLINGS[model.pooling].module)
    return "".join(class_source(where) for where in wheres if where)


def network(facts: Facts) -> str:
    """Write the layers one by one, with the shape that comes out of each."""
    lines = []
    for layer in facts.chain:
        if code := module(layer, facts):
            shape = ", ".join(map(str, layer.out_shape))
            lines.append(f"    {layer.name.replace('.', '_')}={code},  # (N, {shape})")
    layers = "\n".join(lines)
    return (
        f"{own_modules(facts)}torch.manual_seed(SEED)\n"
        f"layers = OrderedDict(\n{layers}\n)\n"
        "net = nn.Sequential(layers).to(DEVICE).to(memory_format=torch.channels_last)"
    )
