"""`playground predict`: what networks make of photos: classes of the whole, or a mask with a class for each pixel."""

import argparse
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from playground.cli.parser import BAD_INPUT
from playground.config import ConfigError
from playground.errors import PlaygroundError
from playground.images import read_photo
from playground.inference import preprocess
from playground.metrics.mask_scores import class_fractions
from playground.plots.masks import indexed_png
from playground.runs import RunError, RunFolder, open_run, usable_runs
from playground.tasks import TASKS

TOP = 3


def add(commands: Any) -> None:
    """Add `predict`."""
    predict = commands.add_parser(
        "predict",
        help="say what is on images, or label their pixels",
        description="Say what is on images; of a run that labels pixels, what covers how much of them.",
    )
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument("--run", help="default: the newest finished run that beats guessing, which is named")
    predict.add_argument("--epoch", type=int, help="default: the best epoch, or the last one that is kept")
    predict.add_argument(
        "--top", type=int, metavar="K", help=f"how many classes to name; default {TOP}, or all that are in a mask"
    )
    predict.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write a mask for each image into it, NAME-mask.png, by a run that labels pixels: as large as the image, "
        "one byte a pixel, the number of its class in the data set's order; with a palette",
    )
    predict.add_argument(
        "--side",
        type=int,
        metavar="PIXELS",
        help="the longer side at which such a run is shown the images; default: as it was trained, at most their own",
    )
    predict.set_defaults(do=_predict)


def default_run(target: str = "label") -> RunFolder | None:
    """Return the run to ask unless another is named: the newest that is finished and beats guessing.

    Without one the newest that is at work or was stopped, then any that kept weights. Runs that cannot be read are left
    out; None if nothing is left.

    Args:
        target: what it shall predict, as `Task.target` says it: a "label" for the whole image, or a "mask".
    """
    found: list[tuple[int, RunFolder]] = []
    for run in usable_runs():
        with suppress(ValueError):  # its data set is not known here
            dataset, status = run.dataset, run.status()
            if TASKS[dataset.task].target != target or not run.epochs():
                continue
            beats = (status.best_score or 0) > 1 / dataset.num_classes
            rank = 0 if status.state == "finished" and beats else 2 if status.state in ("diverged", "failed") else 1
            if not rank:
                return run
            found.append((rank, run))
    return min(found, key=lambda ranked: ranked[0], default=(0, None))[1]


def _predict(options: argparse.Namespace) -> int:
    masks = options.out is not None or options.side is not None
    run = open_run(options.run) if options.run else default_run("mask" if masks else "label")
    if run is None or not (kept := run.epochs()):
        raise RunError("there is no network yet; train one with: playground train")
    _check(options, run)
    best = run.status().best_epoch
    epoch = options.epoch if options.epoch is not None else best if best in kept else kept[-1]
    if not options.run:  # beside the answers, whose lines are the images'
        print(f"playground: {run.name} ({run.id}) after epoch {epoch}", file=sys.stderr)
    worst = 0
    for path in options.images:
        try:
            answer = _answer(options, run, epoch, path)
        except (PlaygroundError, OSError) as error:
            print(f"playground: {path}: {' '.join(str(error).split())}", file=sys.stderr)
            worst = BAD_INPUT
        else:
            print(f"{path}: {answer}", flush=True)
    return worst


def _check(options: argparse.Namespace, run: RunFolder) -> None:
    """Refuse options that do not fit the run, before anything is computed."""
    if TASKS[run.dataset.task].target != "mask" and (options.out or options.side is not None):
        raise ConfigError(f"{run.name} labels whole images; --out and --side are for runs that label pixels")
    if options.side is not None and options.side < 1:
        raise ConfigError(f"--side {options.side} is too small; 1 pixel is the least")
    names = Counter(_mask_path(options.out, path) for path in options.images if options.out)
    if twice := [path for path, count in names.items() if count > 1]:
        raise ConfigError(f"two of the images would both become {twice[0]}; name them one by one")


def _answer(options: argparse.Namespace, run: RunFolder, epoch: int, path: Path) -> str:
    """Say what is in an image, and write its mask if that is asked for."""
    photo, size = read_photo(path.read_bytes())
    if TASKS[run.dataset.task].target == "label":
        found = _classify(run, epoch, photo)
        top = TOP if options.top is None else options.top
    else:
        mask = _label_pixels(run, epoch, photo, size, options.side)
        if options.out:
            _write_mask(mask, _mask_path(options.out, path))
        found = class_fractions(mask, run.dataset.num_classes)
        occur = int(np.count_nonzero(found))
        top = occur if options.top is None else min(options.top, occur)
    return _name_largest(found, run.dataset.classes, top)


def _classify(run: RunFolder, epoch: int, photo: np.ndarray) -> np.ndarray:
    """Return the probabilities (num_classes,) of the classes of a photo (h, w, 3) as a whole."""
    from playground.inference.classify import predict  # after the images: torch takes seconds

    return predict(run, epoch, preprocess.crop_square(photo, run.dataset)[None])[0]


def _label_pixels(run: RunFolder, epoch: int, photo: np.ndarray, size: tuple[int, int], side: int | None) -> np.ndarray:
    """Return the mask of a photo (h, w, 3) at the (height, width) that its file has."""
    from playground.inference.segment import label_photo

    sides = preprocess.offer_sides(photo, run.dataset)
    return preprocess.restore_size(label_photo(run, epoch, photo, min(side or sides[0], sides[-1])), size)


def _mask_path(folder: Path, image: Path) -> Path:
    return folder / f"{image.stem}-mask.png"


def _write_mask(mask: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(indexed_png(mask))


def _name_largest(fractions: np.ndarray, classes: tuple[str, ...], count: int) -> str:
    """Name classes with their fractions (num_classes,), the largest first; one at least."""
    order = np.argsort(-fractions, kind="stable")[: max(1, count)]
    return ", ".join(f"{classes[c]} {fractions[c]:.1%}" for c in order)
