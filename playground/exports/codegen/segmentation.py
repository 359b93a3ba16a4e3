"""The sections of a run that labels pixels, where they are others than those of a run that labels images."""

from textwrap import indent

from playground.choices import LOSSES
from playground.choices.losses import CROSS_ENTROPY
from playground.exports.codegen.learning import loss_of
from playground.exports.codegen.lift import source
from playground.exports.codegen.sections import autocast, evaluation_batch, literal, module, own_modules, uses_dropout
from playground.exports.context import Facts
from playground.geometry import INPUT, Layer


def name(facts: Facts) -> str:
    """Name the network."""
    return "a fully convolutional network" if facts.config.model.architecture == "fcn" else "a U-Net"


def about_data(facts: Facts) -> str:
    """Say what the script reads."""
    channels, height, width = facts.dataset.shape
    return (
        f"It reads the images and masks as the run had them, drawn or scaled already: arrays of bytes (N, {channels}, "
        f"{height}, {width}) and (N, {height}, {width}). A byte of a mask is the number of a pixel's class, or 255 for "
        "none."
    )


def labels(facts: Facts) -> str:
    """Say what the values in a mask mean."""
    names = [literal(name) for name in facts.dataset.classes]
    line = f"CLASSES = [{', '.join(names)}]"
    if len(line) > 120:
        line = "CLASSES = [\n" + "".join(f"    {name},\n" for name in names) + "]"
    return f"\n{line}\nIGNORE = 255  # a pixel of no class: it counts for nothing"


def split(facts: Facts) -> tuple[str, str]:
    """Choose the images to train on and those that are held back; returns words and code."""
    data = facts.config.data
    some = "[:IMAGES_PER_CLASS]" if data.images_per_class else ""
    words = " Only so many are used; an image has no class of its own." if some else ""
    shuffled = f"rows = np.random.default_rng(0).permutation(len(train_images)){some}\n"
    if data.folds:
        rows = f"{shuffled}rows = np.sort(rows)\n" if some else "rows = np.arange(len(train_images))\n"
        return f"The images are cut into folds, and one fold is held back.{words}", (
            f"{rows}"
            "fold_of = np.sort(np.arange(len(rows)) % FOLDS)\n"
            "np.random.RandomState(0).shuffle(fold_of)\n"
            "train_rows = torch.from_numpy(rows[fold_of != FOLD])\n"
            "val_rows = torch.from_numpy(rows[fold_of == FOLD])"
        )
    if data.validation_share:
        return f"A share is held back. The choice does not depend on the seed.{words}", (
            f"{shuffled}"
            "held_back = min(round(len(rows) * VALIDATION_SHARE), len(rows) - 1)\n"
            "train_rows = torch.from_numpy(np.sort(rows[held_back:]))\n"
            "val_rows = torch.from_numpy(np.sort(rows[:held_back]))"
        )
    if some:
        return f"None is held back.{words}", f"{shuffled}train_rows = torch.from_numpy(np.sort(rows))"
    return "The network learns from all training images.", "train_rows = torch.arange(len(train_images))"


# Network


def network(facts: Facts) -> str:
    """Write the network as a class: what has weights, and how the maps go through it."""
    parts = [f"self.{_name(layer)} = {module(layer, facts)}" for layer in facts.chain if layer.parameters]
    activation = next(layer for layer in facts.chain if layer.kind == "activation")
    parts.append(f"self.activation = {module(activation, facts)}")
    if pool := next((layer for layer in facts.chain if layer.kind == "pool"), None):
        parts.append(f"self.pool = {module(pool, facts)}")
    if uses_dropout(facts):
        parts.append("self.dropout = nn.Dropout(DROPOUT)")
    own = own_modules(facts)
    return (
        f"{own}class Net(nn.Module):\n"
        f'    """{_about(facts)}"""\n\n'
        "    def __init__(self) -> None:\n"
        "        super().__init__()\n"
        f"{indent(chr(10).join(parts), ' ' * 8)}\n\n"
        "    def forward(self, images: Tensor) -> Tensor:\n"
        '        """Map images (N, C, H, W) to logits (N, classes, H, W)."""\n'
        f"{indent(chr(10).join(_steps(facts)), ' ' * 8)}\n\n\n"
        "torch.manual_seed(SEED)\n"
        "net = Net().to(DEVICE).to(memory_format=torch.channels_last)"
    )


def _about(facts: Facts) -> str:
    skips = facts.config.model.skips
    if facts.config.model.architecture == "fcn":
        return "A score for each class, scaled up to the image" + (", with the scores of finer maps." if skips else ".")
    return "Down in steps, and up again" + (", each with what was seen at its size on the way down." if skips else ".")


def _name(layer: Layer) -> str:
    return layer.name.replace(".", "_")


def _kept(source: str) -> str:
    """Name the variable that keeps an earlier layer's maps."""
    return "images" if source == INPUT else source.split(".")[0]


def _steps(facts: Facts) -> list[str]:
    """Write the forward pass: a line for each convolution with its norm and activation, and for all that follows."""
    sources = {layer.source for layer in facts.chain}
    steps: list[tuple[str, str, Layer]] = []  # variable, what it is given, the layer that ends there
    maps = "images"
    for layer, following in zip(facts.chain, [*facts.chain[1:], None], strict=True):
        code = _call(layer, maps, facts)
        variable = _kept(layer.name) if layer.name in sources else "x"
        if code == maps:  # dropout that is off
            if variable != "x":
                steps[-1] = (variable, *steps[-1][1:])
                maps = variable
        elif variable == "x" and following and following.kind in ("norm", "activation", "add"):
            maps = code
        else:
            steps.append((variable, code, layer))
            maps = variable
    lines = [f"{variable} = {code}" for variable, code, _ in steps[:-1]] + [f"return {steps[-1][1]}"]
    shapes = [", ".join(map(str, layer.out_shape)) for *_, layer in steps]
    return [f"{line}  # (N, {shape})" for line, shape in zip(lines, shapes, strict=True)]


def _call(layer: Layer, maps: str, facts: Facts) -> str:
    """Write what a layer makes of the maps, which are a variable or an expression."""
    match layer.kind:
        case "conv":
            return f"self.{_name(layer)}({_kept(layer.source) if layer.source else maps})"
        case "norm":
            return f"self.{_name(layer)}({maps})"
        case "activation":
            return f"self.activation({maps})"
        case "pool":
            return f"self.pool({maps})"
        case "dropout":
            return f"self.dropout({maps})" if uses_dropout(facts) else maps
        case "up" if layer.parameters:
            return _fitted(f"self.{_name(layer)}({maps})", layer)
        case "up":
            return f'F.interpolate({maps}, {_kept(layer.source)}.shape[2:], mode="bilinear")'
        case "concat":
            return f"torch.cat([{maps}, {_kept(layer.source)}], 1)"
        case "add":
            return f"{maps} + {_kept(layer.source)}"
    raise ValueError(f"{layer.kind} layers are none of a network that labels pixels")


def _fitted(doubled: str, layer: Layer) -> str:
    """Cut off or repeat the last rows and columns of doubled maps, where they are not the size they should be."""
    sides = list(zip(layer.in_shape[1:], layer.out_shape[1:], strict=True))
    if any(layer.stride * old > new for old, new in sides):
        doubled += f"[..., :{sides[0][1]}, :{sides[1][1]}]"
    below, right = (max(0, new - layer.stride * old) for old, new in sides)
    return f'F.pad({doubled}, (0, {right}, 0, {below}), mode="replicate")' if below or right else doubled


# Loss


def loss(facts: Facts) -> str:
    """Write the loss, a mean over the pixels that have a class, and what each of them counts."""
    training, entry = facts.config.training, LOSSES[facts.config.training.loss]
    averages = entry.averages
    weighted, edges = averages and training.class_weights, averages and training.boundary_weight > 0
    lines = []
    if entry.terms != (CROSS_ENTROPY,):
        lines.append("logits = logits.contiguous()  # softmax is faster with each class's plane in one piece")
    known = "(targets != IGNORE)"
    if any(term.masks_out for term in entry.terms):
        lines += ["known = targets != IGNORE", "classes = targets.masked_fill(~known, 0)"]
        known = "known"
    if averages:
        weights = "CLASS_WEIGHTS[targets]" if weighted else f"{known}.float()"
        lines.append(f"weights = {weights}" + (" * (1 + BOUNDARY_WEIGHT * boundary(targets))" if edges else ""))
    smoothing = training.label_smoothing
    fills = {
        "smoothing": ", label_smoothing=LABEL_SMOOTHING" if smoothing else "",
        "smooth": "\nwanted = wanted * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / logits.shape[1]" if smoothing else "",
    }
    code = "\n".join([*lines, *(term.pixel_code.format(**fills) for term in entry.terms)])
    head = _CLASS_WEIGHTS if weighted else ""
    head += f"{source('playground.metrics.boundaries', 'boundary')}\n\n\n" if edges else ""
    return head + loss_of(entry, code)


_CLASS_WEIGHTS = """\
# A rare class counts for more: the median frequency over its own, which is its share of the pixels of those images that
# show it (Eigen & Fergus, 2015).
counts, seen = np.zeros(len(CLASSES)), np.zeros(len(CLASSES))
for mask in train_targets[train_rows].cpu().numpy():
    here = np.bincount(mask[mask != IGNORE], minlength=len(CLASSES))
    counts += here
    seen += here.sum() * (here > 0)
share = np.divide(counts, seen, out=np.ones(len(CLASSES)), where=counts > 0)
weights = np.where(counts > 0, np.median(share[counts > 0]) / share, 1.0)
CLASS_WEIGHTS = torch.zeros(256, device=DEVICE)  # by the value in a mask; IGNORE counts 0
CLASS_WEIGHTS[: len(CLASSES)] = torch.from_numpy(weights)


"""


# Evaluation


def evaluation(facts: Facts) -> str:
    """Judge the network on some images, by the pixels of all of them together."""
    size = evaluation_batch(facts)
    forward = [f"logits = net(prepare(images[i : i + {size}]))"]
    if cast := autocast(facts):
        forward = [cast, f"    {forward[0]}.float()"]
    lines = "\n".join(f"        {line}" for line in forward)
    return f"""\
@torch.inference_mode()
def evaluate(images: Tensor, targets: Tensor) -> tuple[str, Tensor]:
    \"""Return mean loss, mean IoU and pixel accuracy, as words; and the IoU of each class.\"""
    net.eval()
    loss = 0.0
    counts = torch.zeros(len(CLASSES) ** 2, dtype=torch.int64, device=DEVICE)
    for i in range(0, len(images), {size}):
        masks = targets[i : i + {size}].long()
{lines}
        loss += loss_function(logits, masks).item() * len(masks) / len(images)
        known = masks != IGNORE
        pairs = masks[known] * len(CLASSES) + logits.argmax(1)[known]
        counts += torch.bincount(pairs, minlength=len(counts))
    net.train()
    counts = counts.view(len(CLASSES), -1).cpu().double()  # row: true class, column: predicted class
    right, true, predicted = counts.diag(), counts.sum(1), counts.sum(0)
    ious = right / (true + predicted - right).clamp(min=1)
    mean = ious[true > 0].mean()  # over the classes that occur
    return f"loss {{loss:.4f}}, mean IoU {{mean:.4f}}, pixel accuracy {{right.sum() / true.sum():.2%}}", ious"""


def result(facts: Facts) -> str:
    """Print what was reached for each class on the test images."""
    first = 'test, ious = evaluate(test_images, test_targets)\nprint(f"test {test}")\n' if facts.epoch == 0 else ""
    return (
        f"{first}for name, iou in zip(CLASSES, ious.tolist(), strict=True):\n"
        '    print(f"IoU of {name}: {iou:.4f}", flush=True)'
    )
