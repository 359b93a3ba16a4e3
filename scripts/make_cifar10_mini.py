"""Make the bundled data set cifar10-mini from CIFAR-10.

    python scripts/make_cifar10_mini.py FOLDER [--out OUT]

FOLDER is any folder that `torchvision.datasets.CIFAR10` reads (it holds `cifar-10-batches-py`), or one that holds
CIFAR-10 as sheets: `data_batch_1.png` … `data_batch_5.png` and `test_batch.png`, one image a row (height, width,
channel), and `labels.json` with `classes`, `train` and `test`.

The first 1,000 training and 200 test images of each class are kept, in their original order, and written as two
lossless WebP sheets of 32 × 32 tiles, row by row, with `labels.json`. WebP rather than PNG because it takes 20.5 MB
instead of 25.9 MB for the same pixels.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from playground.data.catalog import CATALOG

OUT = Path(__file__).resolve().parent.parent / "playground" / "data" / "bundled" / "cifar10-mini"
PER_CLASS = {"train": 1000, "test": 200}
COLUMNS = {"train": 100, "test": 50}


def read_sheets(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read `{"train" or "test": (images (N, 32, 32, 3) uint8, targets (N,) int64)}` from sheets with an image a row."""
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    names = {"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]}
    return {
        split: (
            np.concatenate([np.asarray(Image.open(folder / f"{file}.png")).reshape(-1, 32, 32, 3) for file in files]),
            np.array(labels[split]),
        )
        for split, files in names.items()
    }


def read_torchvision(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the same from the official archive's files; torchvision checks their sums."""
    from torchvision.datasets import CIFAR10

    sets = {"train": CIFAR10(folder, train=True), "test": CIFAR10(folder, train=False)}
    return {split: (data.data, np.array(data.targets)) for split, data in sets.items()}


def first_of_each(targets: np.ndarray, count: int) -> np.ndarray:
    """Return the indices (ascending) of the first `count` images of each class."""
    return np.sort(np.concatenate([np.flatnonzero(targets == k)[:count] for k in np.unique(targets)]))


def to_sheet(images: np.ndarray, columns: int) -> Image.Image:
    """Lay images (N, 32, 32, 3) out as tiles, `columns` in each row."""
    n, height, width, channels = images.shape
    tiles = images.reshape(n // columns, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(np.ascontiguousarray(tiles.reshape(n // columns * height, columns * width, channels)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where CIFAR-10 is")
    parser.add_argument("--out", type=Path, default=OUT, help="where to write (default: into the package)")
    arguments = parser.parse_args()
    read = read_sheets if (arguments.folder / "labels.json").is_file() else read_torchvision
    entry = CATALOG["cifar10-mini"]
    labels: dict[str, object] = {
        "source": entry.source,
        "licence": entry.licence,
        "citation": entry.citation,
        "classes": entry.classes,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for split, (images, targets) in read(arguments.folder).items():
        keep = first_of_each(targets, PER_CLASS[split])
        file = arguments.out / f"{split}.webp"
        # `exact` keeps pixels as they are, whatever the encoder thinks of them.
        to_sheet(images[keep], COLUMNS[split]).save(file, lossless=True, quality=80, method=4, exact=True)
        labels[split] = targets[keep].tolist()
        print(f"{file}: {len(keep)} images, {file.stat().st_size / 1e6:.1f} MB")
    (arguments.out / "labels.json").write_text(json.dumps(labels, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
