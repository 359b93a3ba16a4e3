"""Compare `fit` with everything on against a bare loop: forward, backward, step, on tensors that lie ready.

    python -m benchmarks.throughput [--dataset cifar10-mini] [--rounds 5] [--preset default]

Both train the same network in the same precision on the same images, in turn, in one process. `fit` shuffles,
gathers uint8 images, normalises, adds up loss and accuracy and reports; it is timed over its training steps (what the
screen calls images/s) and, as "all in", over everything: evaluation on the validation and test images after each
epoch and a snapshot of the exact state as well. Augmentation is off, as the bare loop has none.
"""

import argparse
import itertools
import time
from statistics import median

import torch
import torch.nn.functional as F

from playground.config import RunConfig, from_flat
from playground.data.augment import normalise
from playground.data.load import load_dataset
from playground.data.splits import split
from playground.data.store import Arrays
from playground.events import Epoch, Progress
from playground.models import build
from playground.presets import PRESETS
from playground.training import choose_device, fit, uses_bfloat16


def bare_loop(config: RunConfig, data: Arrays) -> float:
    """Return images/s of forward + backward + step over one epoch, after a warm-up."""
    device = choose_device(config.training.device)
    rows = torch.from_numpy(split(data.train_targets, config.data)[0])
    images = normalise(torch.from_numpy(data.train_images)[rows].to(device), data.info.mean, data.info.std)
    targets = torch.from_numpy(data.train_targets)[rows].to(device)
    net = build(config.model, data.info.shape, data.info.num_classes).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.training.learning_rate, fused=True)
    bfloat16 = uses_bfloat16(config.training, device)
    batch = config.training.batch_size

    def one(start: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = net(images[start : start + batch])
        loss = F.cross_entropy(logits.float(), targets[start : start + batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for start in range(0, 10 * batch, batch):
        one(start)
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for start in range(0, len(images), batch):
        one(start)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return len(images) / (time.perf_counter() - began)


def fitted(config: RunConfig, data: Arrays) -> tuple[float, float]:
    """Return images/s of one epoch of `fit`, the second: over its steps, and over everything."""
    images = len(split(data.train_targets, config.data)[0])
    ends: list[float] = []
    reports: list[Progress] = []
    for event in fit(config, data):
        if isinstance(event, Epoch):
            ends.append(time.perf_counter())
        if isinstance(event, Progress) and len(ends) == 2:
            reports.append(event)
    seen = [(b.step - a.step) * config.training.batch_size for a, b in itertools.pairwise(reports)]
    stepping = sum(seen) / sum(n / r.images_per_second for n, r in zip(seen, reports[1:], strict=True))
    return stepping, images / (ends[2] - ends[1])


def main() -> None:
    """Time both in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10-mini")
    parser.add_argument("--preset", default="default", choices=["default", *PRESETS])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    base = RunConfig() if options.preset == "default" else PRESETS[options.preset].config
    plain = {"flip": False, "shift": 0, "rotation": 0, "colour": 0, "cutout": 0, "dropout": 0, "epochs": 2}
    config = from_flat({**plain, "dataset": options.dataset}, base=base)
    data = load_dataset(options.dataset)
    print(f"{torch.get_num_threads()} threads, batch {config.training.batch_size}, {options.dataset}")
    stepping, all_in = [], []
    for _ in range(options.rounds):
        before, (steps, whole), after = bare_loop(config, data), fitted(config, data), bare_loop(config, data)
        bare = (before + after) / 2
        stepping.append(steps / bare)
        all_in.append(whole / bare)
        print(f"bare {before:8.0f} {after:8.0f}   fit {steps:8.0f} ({steps / bare:.3f})   all in {whole:8.0f}")
    for name, ratios in (("fit / bare", stepping), ("all in / bare", all_in)):
        print(f"{name}: median {median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
