"""Street scenes, pixel by pixel: a U-Net of ours on CamVid, trained from scratch, judged on its test images.

    python -m benchmarks.camvid FOLDER [--train-on train+val] [knob=value …]

`FOLDER` holds train, val and test, each with images/ and masks/ (240 × 180; classes 0 to 10, 11 is unlabelled). CamVid
is licensed for non-commercial use, and is not part of this project. Published, trained from scratch at 480 × 360:
SegNet-Basic 0.46, ENet 0.51 mean IoU. The mean is over the 11 classes, counted over the whole test set.
"""

import argparse
import os
import tempfile
from pathlib import Path

CLASSES = "sky building pole road pavement tree sign fence car pedestrian bicyclist".split()
UNLABELLED = 11
KNOBS = {
    "dataset": "camvid",
    "channels": "16-32-64-96",
    "convs_per_block": 2,
    "stride": 2,
    "norm": "batch",
    "flip": True,
    "validation_share": 0.0,
    "optimizer": "muon",
    "learning_rate": 0.01,
    "batch_size": 8,
    "loss": "cross_entropy_dice",
    "shift": 16,
    "colour": 0.4,
    "epochs": 48,
    "threads": 2,
}


def main() -> None:
    """Bring the images in, train, and print each epoch's figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train-on", choices=["train", "train+val"], default="train+val")
    parser.add_argument("knobs", nargs="*", help="knobs that differ from those of the benchmark, as name=value")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PLAYGROUND_HOME"] = home
        from playground.config import from_flat
        from playground.data.importing.plan import Corrections
        from playground.data.importing.save import import_any
        from playground.events import EpochRow
        from playground.jobs.slots import Slot
        from playground.jobs.worker import run_worker
        from playground.metrics.scores import compute_iou
        from playground.runs import create_run

        sizes = Corrections(size=240, classes=tuple(CLASSES), ignore=UNLABELLED, train_on=options.train_on)
        import_any(options.folder, "camvid", sizes)
        config = from_flat(KNOBS | dict(knob.split("=") for knob in options.knobs))
        run = create_run(config, "CamVid")

        def watch(event: object, status: object) -> None:
            from playground.events import Epoch

            if isinstance(event, Epoch) and event.train:
                print(
                    f"epoch {event.epoch:3d}  {event.seconds:5.0f} s  train loss {event.train.loss:.3f}  test mean IoU "
                    f"{event.test.iou:.4f}, pixels {event.test.accuracy:.4f}, boundary F1 {event.test.boundary_f1:.3f}",
                    flush=True,
                )

        status = run_worker(run, Slot("cpu", config.training.threads or 2), watch)
        row = [row for row in run.rows() if isinstance(row, EpochRow)][-1]
        overlap = compute_iou(row.confusion)
        for name, value in zip(CLASSES, overlap, strict=True):
            print(f"{name:12} {value:.3f}")
        took = f"after {status.seconds:.0f} s, {status.state}"
        print(f"trained on {options.train_on}: mean IoU {overlap.mean():.4f} {took}", flush=True)


if __name__ == "__main__":
    main()
