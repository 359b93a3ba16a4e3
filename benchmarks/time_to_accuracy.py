"""Time until 70 % of CIFAR-10's test images are right: the article's program (`seed.py`) against ours, in one process.

    python -m benchmarks.time_to_accuracy --data FOLDER --seeds 5
    python -m benchmarks.time_to_accuracy --data FOLDER --seeds 1 --steps 500   # the article's time only estimated

FOLDER is one that `torchvision.datasets.CIFAR10` reads, or one with sheets (see `scripts/make_cifar10_mini.py`). Both
programs train the same network on the CPU, with torch's own number of threads, and are judged on the whole test set
after each epoch. Ours is `playground.training.fit` with the preset "fastest" on the full data set; of the training
images it holds back the share that the preset says.

A time counts from the call of the training function to the end of the first epoch that reaches the target. "training"
leaves the evaluations out (ours: with the one before the first step, and the copies that become checkpoints); "all"
takes everything in. Ours is trained once after each of the article's epochs, until all seeds are done, so that both
meet the machine in the same moods. If the article misses the target in its 10 epochs, its own best accuracy is the
target for both, and the output says so.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from benchmarks import seed
from benchmarks.cifar10 import cifar10
from benchmarks.seed import Result
from playground.config import RunConfig, from_flat
from playground.data.store import Arrays
from playground.events import Batch, Epoch
from playground.presets import PRESETS
from playground.training import fit


def ours(config: RunConfig, data: Arrays) -> Iterator[Result]:
    """Train with `fit` and yield the figures after each epoch."""
    evaluating, start = 0.0, time.perf_counter()
    last_step = start
    for event in fit(config, data):
        now = time.perf_counter()
        if isinstance(event, Batch):
            last_step = now
        elif isinstance(event, Epoch) and event.epoch == 0:
            evaluating += event.seconds  # its clock starts when the network is built, which counts as training
        elif isinstance(event, Epoch):
            evaluating += now - last_step
            yield Result(event.epoch, event.test.loss, event.test.accuracy, now - start - evaluating, now - start)


def until(target: float, results: Iterable[Result], who: str) -> Iterator[Result]:
    """Pass results on up to the first that reaches the target, printing each."""
    for result in results:
        print(f"  {who}, epoch {result.epoch}: {describe(result)}", flush=True)
        yield result
        if result.accuracy >= target:
            break


def describe(result: Result) -> str:
    return f"{result.accuracy:.2%}, {result.training_seconds:.1f} s training, {result.seconds:.1f} s all"


def first(results: list[Result], target: float) -> Result | None:
    """Return the first result that reaches the target."""
    return next((result for result in results if result.accuracy >= target), None)


def in_turn(arguments: argparse.Namespace, data: Arrays) -> tuple[list[Result], list[list[Result]]]:
    """Train the article's program, or estimate its time, and ours between its epochs; return the results of both."""
    train_set, test_set = seed.datasets(arguments.data)
    preset = {**PRESETS["fastest"].knobs, "dataset": "cifar10", "device": "cpu"}
    mine: list[list[Result]] = []

    def train_ours() -> None:
        number = len(mine)
        config = from_flat({**preset, "seed": number})
        mine.append(list(until(arguments.target, ours(config, data), f"ours, seed {number}")))

    theirs: list[Result] = []
    if arguments.steps:
        speed = seed.images_per_second(train_set, arguments.steps)
        seconds = seed.EPOCHS * len(train_set) / speed
        print(f"  article: {speed:,.0f} images/s over {arguments.steps} steps; its 10 epochs ESTIMATED from that")
        theirs.append(Result(seed.EPOCHS, float("nan"), arguments.target, seconds, seconds))
    else:
        for result in until(arguments.target, seed.train(train_set, test_set), "article"):
            theirs.append(result)
            if len(mine) < arguments.seeds:
                train_ours()
    while len(mine) < arguments.seeds:
        train_ours()
    return theirs, mine


def report(article: Result, times: list[Result]) -> None:
    """Print both programs' times and their ratio, with the spread over our seeds."""
    print("\n           article     ours: mean ± std (min to max)        ratio: mean (min to max)")
    for name in ("training_seconds", "seconds"):
        theirs, mine = getattr(article, name), [getattr(result, name) for result in times]
        std = statistics.stdev(mine) if len(mine) > 1 else 0.0
        print(
            f"{'training' if name == 'training_seconds' else 'all':9} {theirs:8.1f} s   "
            f"{statistics.mean(mine):6.2f} ± {std:.2f} s ({min(mine):.2f} to {max(mine):.2f})   "
            f"{theirs / statistics.mean(mine):6.1f} ({theirs / max(mine):.1f} to {theirs / min(mine):.1f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="where CIFAR-10 is")
    parser.add_argument("--target", type=float, default=0.70, help="test accuracy, a fraction (default: 0.70)")
    parser.add_argument("--seeds", type=int, default=3, help="how many times ours is trained (default: 3)")
    parser.add_argument("--steps", type=int, default=0, help="estimate the article's time from this many batches")
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads, target {arguments.target:.0%} test accuracy")
    theirs, mine = in_turn(arguments, cifar10(arguments.data))
    target = min(arguments.target, max(result.accuracy for result in theirs))
    if target < arguments.target:
        print(f"  the article's program missed {arguments.target:.0%}; its best, {target:.2%}, is the target now")
    article = first(theirs, target)
    assert article is not None
    times = [reached for results in mine if (reached := first(results, target))]
    print(f"\nours reached {target:.2%} with {len(times)} of {len(mine)} seeds")
    if times:
        report(article, times)


if __name__ == "__main__":
    main()
