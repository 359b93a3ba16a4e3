"""The code of the sections in which the network learns: loss, optimizer, schedule, evaluation and training."""

from textwrap import indent

from playground.choices import LOSSES, NORMS, OPTIMIZERS, SCHEDULES, Loss
from playground.exports.codegen.lift import class_name, class_source, lifted
from playground.exports.codegen.sections import (
    CHUNK,
    augments,
    autocast,
    evaluation_batch,
    full_batch,
    literal,
    moves,
    moving_rate,
    splits_layers,
    uses_decay,
    uses_dropout,
)
from playground.exports.context import Facts


def loss(facts: Facts) -> str:
    """Write the loss, and what each class counts where they do not count the same."""
    training, entry = facts.config.training, LOSSES[facts.config.training.loss]
    weighted = training.class_weights and entry.averages
    fills = {
        "weight": ", CLASS_WEIGHTS" if weighted else "",
        "smoothing": ", label_smoothing=LABEL_SMOOTHING" if training.label_smoothing else "",
        "smooth": " * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / logits.shape[1]" if training.label_smoothing else "",
        "mean": "(each * CLASS_WEIGHTS[targets]).sum() / CLASS_WEIGHTS[targets].sum()" if weighted else "each.mean()",
    }
    code = "\n".join(term.code for term in entry.terms).format(**fills)
    return (_class_weights(facts) if weighted else "") + loss_of(entry, code)


def loss_of(entry: Loss, code: str) -> str:
    """Write the function; `code` gives each term its value."""
    words, names = " plus ".join(term.words for term in entry.terms), [term.name for term in entry.terms]
    *lines, last = code.splitlines()
    lines += [last.replace(f"{names[0]} =", "return", 1)] if len(names) == 1 else [last, f"return {' + '.join(names)}"]
    body = indent("\n".join(lines), "    ")
    return f'def loss_function(logits: Tensor, targets: Tensor) -> Tensor:\n    """Return {words}."""\n{body}'


def _class_weights(facts: Facts) -> str:
    return (
        "# A rare class counts for more: the median frequency over its own (Eigen & Fergus, 2015).\n"
        f"counts = np.bincount(train_targets[train_rows].cpu().numpy(), minlength={facts.dataset.num_classes})\n"
        "share = counts / counts.sum()\n"
        "weights = np.divide(np.median(share[counts > 0]), share, out=np.ones(len(share)), where=counts > 0)\n"
        "CLASS_WEIGHTS = torch.from_numpy(weights.astype(np.float32)).to(DEVICE)\n\n\n"
    )


def optimizer(facts: Facts) -> tuple[str, str]:
    """Return words about the optimizer, and its code."""
    training = facts.config.training
    entry = OPTIMIZERS[training.optimizer]
    name = class_name(entry.optimizer, "torch.optim")
    rate = [] if moving_rate(facts) else ["lr=LEARNING_RATE"]
    if splits_layers(facts):
        words = f"{entry.title} for the hidden layers, {name} for the first, the last and the biases."
        return words, _two_optimizers(facts)
    options = [*rate, *([] if entry.for_hidden else _options(facts)), *(["fused=True"] if entry.fused else [])]
    own = class_source(entry.optimizer)
    matrices = "matrices = [p for p in net.parameters() if p.ndim > 1]\n" if training.l1 or uses_decay(facts) else ""
    if not uses_decay(facts):
        options += ["weight_decay=0.0"] if entry.decays_by_default else []
        code = f"{own}{matrices}optimizer = {name}({', '.join(['net.parameters()', *options])})"
        return "What makes a step of a gradient.", code
    code = (
        f"{own}{matrices}"
        "vectors = [p for p in net.parameters() if p.ndim == 1]\n"
        'groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]\n'
        f"optimizer = {name}({', '.join(['groups', *options])})"
    )
    return "Weight decay acts on kernels and matrices, not on biases and norms.", code


def _options(facts: Facts) -> list[str]:
    """Write what the optimizer is told besides parameters, rate and weight decay."""
    options = OPTIMIZERS[facts.config.training.optimizer].options(facts.config.training)
    return [f"{key}={value.upper() if isinstance(value, str) else literal(value)}" for key, value in options.items()]


def _two_optimizers(facts: Facts) -> str:
    entry = OPTIMIZERS[facts.config.training.optimizer]
    decay = "WEIGHT_DECAY" if uses_decay(facts) else "0.0"
    hidden, rest = (class_name(where, "torch.optim") for where in (entry.for_hidden, entry.optimizer))
    return (
        f"{class_source(entry.for_hidden)}"
        "matrices = [p for p in net.parameters() if p.ndim > 1]\n"
        "vectors = [p for p in net.parameters() if p.ndim == 1]\n"
        f'ends = {{"params": [matrices[0], matrices[-1]], "weight_decay": {decay}}}\n'
        f'rest = {rest}([ends, {{"params": vectors, "weight_decay": 0.0}}]{", fused=True" if entry.fused else ""})\n'
        f"optimizers = [{hidden}(matrices[1:-1], weight_decay={decay}, {', '.join(_options(facts))}), rest]"
    )


def schedule(facts: Facts) -> str:
    """Write how the learning rate moves; nothing for a constant one."""
    if facts.config.training.schedule == "constant":
        return ""
    return lifted(SCHEDULES[facts.config.training.schedule].factor, "factor")


def evaluation(facts: Facts) -> str:
    """Judge the network on some images."""
    size = evaluation_batch(facts)
    call = f"net(prepare(images[i : i + {size}]))"
    lines = [f"for i in range(0, len(images), {size}):"]
    if cast := autocast(facts):
        lines += [f"    {cast}", f"        logits.append({call}.float())"]
    else:
        lines += [f"    logits.append({call})"]
    body = "\n".join(f"    {line}" for line in lines)
    return (
        "@torch.inference_mode()\n"
        "def evaluate(images: Tensor, targets: Tensor) -> str:\n"
        '    """Return the mean loss and the accuracy, as words."""\n'
        "    net.eval()\n"
        "    logits = []\n"
        f"{body}\n"
        "    net.train()\n"
        "    logits = torch.cat(logits)\n"
        "    right = (logits.argmax(1) == targets).sum().item()\n"
        '    return f"loss {loss_function(logits, targets):.4f}, accuracy {right / len(targets):.2%}"'
    )


def training_text(facts: Facts) -> str:
    """Say how a pass goes."""
    if full_batch(facts):
        words = [f"One step takes all images: their gradients are added up in pieces of {CHUNK}"]
        norm = NORMS[facts.config.model.norm]
        words += (
            [f"{norm.title.lower()} normalisation centres and scales each piece by itself"]
            if norm.keeps_averages
            else []
        )
        whole = [term.words for term in LOSSES[facts.config.training.loss].terms if not term.averages]
        words += [f"{of.partition(' (')[0]} is the mean of that of the pieces" for of in whole]
        return "; ".join(words) + "."
    return "One pass over all images is an epoch; each has random numbers of its own."


def training(facts: Facts) -> str:
    """Write the loop."""
    stops = facts.epoch < facts.config.training.epochs
    every = [_seeds(facts), _batches(facts), _report(facts)]
    head = []
    if augments(facts):
        head.append("generator = torch.Generator()  # of the augmentation; on the CPU, whatever the device")
    if facts.config.training.schedule != "constant" and not full_batch(facts):
        head.append("total_steps = -(-len(train_rows) // BATCH_SIZE) * EPOCHS  # the last batch may be smaller")
    if "learning_rate" in facts.changes:
        head.append("learning_rate = LEARNING_RATE")
    if counts_steps(facts):
        head.append("step = 0")
    if counts_differ(facts):
        head.append(_counts(facts))
    body = indent("\n".join(every), "    ")
    return "\n".join([*head, f"for epoch in range({'LAST_EPOCH' if stops else 'EPOCHS'}):", body])


def counts_steps(facts: Facts) -> bool:
    """Whether anything depends on how many steps were taken, and these are not the epochs."""
    return (facts.config.training.schedule != "constant" or bool(facts.changes)) and not full_batch(facts)


def _holds_back(facts: Facts) -> bool:
    data = facts.config.data
    return bool(data.folds or data.validation_share)


def _report(facts: Facts) -> str:
    """Say how good the network is after an epoch."""
    val = "evaluate(train_images[val_rows], train_targets[val_rows])"
    test = "evaluate(test_images, test_targets)"
    lines, words = [], "test {test}"
    if facts.masks:
        lines, ious = [f"test, ious = {test}"], ", _"
    else:
        words, ious = f"test {{{test}}}", ""
    if _holds_back(facts):
        lines.insert(0, f"val{ious} = {val}")
        words = f"validation {{val}}; {words}"
    return "\n".join([*lines, f'print(f"epoch {{epoch + 1}}: {words}", flush=True)'])


def _seeds(facts: Facts) -> str:
    """Start the epoch's random numbers: of dropout, of the augmentation, of the order."""
    names = ["dropout_seed" if uses_dropout(facts) else "_", "augment_seed" if augments(facts) else "_", "order_seed"]
    lines = [f"{', '.join(names)} = np.random.SeedSequence((SEED, epoch)).generate_state(3).tolist()"]
    if uses_dropout(facts):
        lines.append("torch.manual_seed(dropout_seed)")
    if augments(facts):
        lines.append("generator.manual_seed(augment_seed)")
    lines.append("order = torch.randperm(len(train_rows), generator=torch.Generator().manual_seed(order_seed))")
    return "\n".join([*lines, "order = train_rows[order]"])


def _batches(facts: Facts) -> str:
    """Write the loop over the batches, with a step after each or after all."""
    size = str(CHUNK) if full_batch(facts) else "BATCH_SIZE"
    targets = "train_targets[rows].long()" if facts.masks else "train_targets[rows]"
    varied = "augment(train_images[rows], generator)" if augments(facts) else "train_images[rows]"
    prepared = [f"images = prepare({varied})"]
    if moves(facts):
        prepared = [
            "images, masks = augment(train_images[rows], train_targets[rows], generator)",
            "images = prepare(images)",
        ]
        targets = "masks.long()"
    cast = autocast(facts)
    forward = f"{cast}\n    logits = net(images).float()" if cast else "logits = net(images)"
    gradient = [
        f"rows = order[start : start + {size}].to(DEVICE)",
        *prepared,
        forward,
        f"loss = loss_function(logits, {targets})",
        f"(loss * ({_share(facts)})).backward()" if full_batch(facts) else "loss.backward()",
    ]
    changes, step = _changes(facts), _step(facts)
    inner = "\n".join(gradient) if full_batch(facts) else "\n".join(filter(None, [changes, *gradient, step]))
    loop = f"for start in range(0, len(order), {size}):\n{indent(inner, '    ')}"
    return "\n".join(filter(None, [changes, loop, step])) if full_batch(facts) else loop


def _share(facts: Facts) -> str:
    """Write the part of the step's gradient that is a piece's: what its images count in the loss."""
    if counts_differ(facts):
        return "counts[rows].sum() / counts[order].sum()"
    return "len(rows) / len(order)"


def counts_differ(facts: Facts) -> bool:
    """Whether some images count for more than others in a step that takes all of them."""
    weighted = facts.masks or facts.config.training.class_weights
    return full_batch(facts) and LOSSES[facts.config.training.loss].averages and bool(weighted)


def _counts(facts: Facts) -> str:
    """Write down what each image counts in the loss."""
    if not facts.masks:
        return "counts = CLASS_WEIGHTS[train_targets]  # what each image counts in the loss"
    training = facts.config.training
    weights = "CLASS_WEIGHTS[masks.long()]" if training.class_weights else "(masks != IGNORE).float()"
    edges = " * (1 + BOUNDARY_WEIGHT * boundary(masks.long()))" if training.boundary_weight else ""
    return (
        "counts = []  # what each image counts in the loss: its pixels\n"
        "for masks in train_targets.split(256):\n"
        f"    weights = {weights}{edges}\n"
        "    counts.append(weights.flatten(1).sum(1))\n"
        "counts = torch.cat(counts)"
    )


def _changes(facts: Facts) -> str:
    """Give the knobs their new values, at the step at which the run was given them."""
    lines = []
    if "learning_rate" in facts.changes:
        lines.append("learning_rate = NEW_LEARNING_RATE.get(step, learning_rate)")
    if "dropout" in facts.changes and facts.masks:
        lines.append("if step in NEW_DROPOUT:\n    net.dropout.p = NEW_DROPOUT[step]")
    elif "dropout" in facts.changes:
        lines.append(
            "if step in NEW_DROPOUT:\n"
            "    for layer in net:\n"
            "        if isinstance(layer, nn.Dropout):\n"
            "            layer.p = NEW_DROPOUT[step]"
        )
    if "weight_decay" in facts.changes:
        change = 'optimizer.param_groups[0]["weight_decay"] = NEW_WEIGHT_DECAY[step]'
        if splits_layers(facts):
            lines.append(f"if step in NEW_WEIGHT_DECAY:\n    for optimizer in optimizers:\n        {change}")
        else:
            lines.append(f"if step in NEW_WEIGHT_DECAY:\n    {change}")
    return "\n".join(lines).replace("step", "epoch") if full_batch(facts) else "\n".join(lines)


def _step(facts: Facts) -> str:
    """Take a step along the gradient."""
    training, lines = facts.config.training, []
    if training.l1:
        lines.append("for weight in matrices:\n    weight.grad.add_(weight.detach().sign(), alpha=L1)")
    rate = "learning_rate" if "learning_rate" in facts.changes else "LEARNING_RATE"
    done = "epoch / EPOCHS" if full_batch(facts) else "step / total_steps"
    rate += f" * factor({done})" if training.schedule != "constant" else ""
    turn = f'for group in optimizer.param_groups:\n    group["lr"] = {rate}\n' if moving_rate(facts) else ""
    take = f"{turn}optimizer.step()"
    lines.append(f"for optimizer in optimizers:\n{indent(take, '    ')}" if splits_layers(facts) else take)
    lines.append("net.zero_grad()")
    if counts_steps(facts):
        lines.append("step += 1")
    return "\n".join(lines)
