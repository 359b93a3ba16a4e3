"""The full CIFAR-10 from a folder into PLAYGROUND_HOME, as the download would leave it.

    python -m benchmarks.cifar10 FOLDER

FOLDER is one that `torchvision.datasets.CIFAR10` reads, or one with sheets (see `scripts/make_cifar10_mini.py`).
"""

import argparse
from pathlib import Path

import numpy as np

from playground.data import store
from playground.data.catalog import CATALOG, is_ready
from playground.data.load import load_dataset
from scripts.make_cifar10_mini import read_sheets, read_torchvision


def cifar10(folder: Path) -> store.Arrays:
    """Return the data set from PLAYGROUND_HOME; if it is not there yet, it is taken from the folder first."""
    if not is_ready("cifar10"):
        splits = (read_sheets if (folder / "labels.json").is_file() else read_torchvision)(folder)
        parts = [
            part
            for images, targets in (splits["train"], splits["test"])
            for part in (np.ascontiguousarray(images.transpose(0, 3, 1, 2)), targets)
        ]
        with store.locked("cifar10"):
            if not is_ready("cifar10"):
                store.write_arrays(CATALOG["cifar10"], *parts)
    return load_dataset("cifar10")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where CIFAR-10 is")
    print(cifar10(parser.parse_args().folder).info.title, "is ready")
