"""Make a bundled demo run out of a finished run: on the full CIFAR-10, or on the drawn shapes.

    python -m playground train --preset good --dataset cifar10 --validation-share 0.02 --name "Demo: CIFAR-10"
    python -m playground train --preset pixels --epochs 8 --name "Demo: shapes"
    python -m scripts.make_demo RUN_ID [CHECKPOINTS PREDICTIONS]

The rows, the config and the status are the run's own. To stay under 3 MB, weights are kept for a few epochs, as
float16, and of CIFAR-10 the probabilities for the 2,000 test images that are bundled too, so that the demo needs no
download.
"""

import shutil
import sys
from dataclasses import replace

import numpy as np
from safetensors.numpy import save

from playground.data.load import load_dataset
from playground.runs import RunFolder, open_run
from playground.runs.about import ABOUT
from playground.runs.folder import DEMO
from playground.tasks import TASKS

LIMIT = 3_000_000
BUNDLED = "cifar10-mini"


def rows_of_bundled(dataset: str) -> np.ndarray:
    """Return where each bundled test image stands in the data set's test images."""
    places = {image.tobytes(): i for i, image in enumerate(load_dataset(dataset).test_images)}
    return np.array([places[image.tobytes()] for image in load_dataset(BUNDLED).test_images])


def kept_epochs(run: RunFolder, count: int) -> list[int]:
    """Choose epochs, close together at the beginning, where most happens; the first and the last are always there."""
    epochs = run.epochs()
    wanted = np.linspace(0, 1, count) ** 2 * epochs[-1]
    return sorted({min(epochs, key=lambda epoch: abs(epoch - w)) for w in wanted})


def half(array: np.ndarray) -> np.ndarray:
    """Store real numbers as float16."""
    return array.astype(np.float16) if array.dtype.kind == "f" else array


def main(run_id: str, checkpoints: int = 6, predictions: int = 10) -> None:
    """Replace the bundled run of the same task."""
    run = open_run(run_id)
    if run.status().state != "finished":
        sys.exit(f"run {run_id} is {run.status().state}; the demo must be a finished run")
    info = load_dataset(run.config.data.dataset).info
    task = TASKS[info.task]
    masks = task.target == "mask"
    target = DEMO.with_name(task.demo)
    rows = np.array([]) if masks else rows_of_bundled(info.name)
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("checkpoints", "predictions"):
        (target / folder).mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "status.json"):
        shutil.copyfile(run.path / name, target / name)
    dataset = info.name if masks else BUNDLED
    about = replace(run.about, predictions_dataset=dataset, dataset=info, owner="")
    (target / "about.json").write_bytes(ABOUT.dump_json(about, indent=1) + b"\n")
    demo = RunFolder(target)
    for epoch in kept_epochs(run, checkpoints):
        demo.checkpoint(epoch).write_bytes(save({name: half(array) for name, array in run.weights(epoch).items()}))
    for epoch in sorted({*kept_epochs(run, predictions), *demo.epochs()}):
        kept = {"masks": run.masks(epoch)} if masks else {"probs": half(run.predictions(epoch)[rows])}
        demo.prediction_file(epoch).write_bytes(save(kept))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {size / 1e6:.2f} MB, weights of epochs {demo.epochs()}")
    if size > LIMIT:
        sys.exit(f"that is more than {LIMIT / 1e6:.0f} MB; keep fewer epochs")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
