"""Show that the memory of a run stays flat over its epochs: a worker's, with all that it writes.

    python -m benchmarks.memory [--epochs 100] [--images-per-class 100]

A worker trains in this process, in a home of its own that is removed at the end. Its resident memory is read after each
epoch; what counts is the growth from epoch 10, when all is warm, to the last.
"""

import argparse
import os
import tempfile

from playground.config import from_flat
from playground.events import Epoch, Event


def resident_mb(pid: int | str = "self") -> float:
    """Return a process's resident memory in MB (Linux)."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Train, read the memory after each epoch, print the growth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--images-per-class", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PLAYGROUND_HOME"] = home
        from playground import runs
        from playground.jobs.slots import Slot
        from playground.jobs.worker import run_worker

        sizes: list[float] = []

        def watch(event: Event | str, _: runs.Status) -> None:
            if isinstance(event, Epoch):
                sizes.append(resident_mb())

        config = from_flat({"epochs": options.epochs, "images_per_class": options.images_per_class})
        status = run_worker(runs.create_run(config), Slot("cpu", 1), watch)
    warm, last = sizes[min(10, len(sizes) - 1)], sizes[-1]
    print(f"{status.state} after {status.epoch} epochs, {status.step} steps")
    print(f"resident memory: epoch 10 {warm:.1f} MB, epoch {status.epoch} {last:.1f} MB ({last - warm:+.1f} MB)")
    print(f"from epoch 10 on: {min(sizes[10:]):.1f} to {max(sizes[10:]):.1f} MB")


if __name__ == "__main__":
    main()
