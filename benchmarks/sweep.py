"""Compare a sweep of 8 short runs side by side with the same runs one after the other.

    python -m benchmarks.sweep [--rounds 5] [--runs 8] [--epochs 2]

Both go through the job service, in turn, each in a home of its own. Side by side each run has one thread, and as many
run as there are cores; one after the other each has all cores. The time is from the start of the study until its last
run is finished, the service being there already. The order within a round changes from round to round.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from playground.config import RunConfig, from_flat
from playground.data import store
from playground.jobs import client
from playground.studies import Study, lifecycle, parse_axis
from playground.studies.results import StudyReader


def sweep(base: RunConfig, count: int) -> float:
    """Return the seconds that a sweep of `count` learning rates takes."""
    axis = parse_axis(f"learning_rate=1e-4..1e-1:log:{count}")
    client.ensure_service()
    began = time.perf_counter()
    feed = StudyReader(lifecycle.start_study(Study("sweep", base, axes=(axis,))))
    while feed.update() or feed.state != "finished":
        time.sleep(0.05)
    took = time.perf_counter() - began
    assert [result.state for result in feed.results] == ["finished"] * count
    return took


def main() -> None:
    """Time both in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="benchmark-sweep-"))
    os.environ["PLAYGROUND_HOME"] = str(home)
    cores, ratios = client.count_cores(), []
    print(f"{options.runs} runs of {options.epochs} epochs on the bundled images, {cores} cores", flush=True)
    try:
        store.open_arrays("cifar10-mini")
        with client.hold_presence():
            sweep(from_flat({"epochs": 1, "device": "cpu"}), 2)  # warm up: the service imports torch
            for turn in range(options.rounds):
                took = {}
                for threads in (1, cores) if turn % 2 else (cores, 1):
                    base = from_flat({"epochs": options.epochs, "threads": threads, "device": "cpu"})
                    took[threads] = sweep(base, options.runs)
                ratios.append(took[cores] / took[1])
                line = f"one after the other {took[cores]:6.1f} s   side by side {took[1]:6.1f} s"
                print(f"{line}   {ratios[-1]:.2f} times sooner", flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"median {median(ratios):.2f} times sooner, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
