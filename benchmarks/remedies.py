"""What each remedy of the Segment page moves, on really trained networks.

    python -m benchmarks.remedies [--seeds 3] [--only REMEDY …] [--knobs name=value …]

For each remedy two networks a seed, without and with it, otherwise those of the preset Pixels; what differs between
them is the remedy alone. The remedy that lies in how a network is asked takes the test images blurred more and more.
About 12 minutes on 2 cores. With seeds as few as these a change is told from luck by its spread: it is printed.
"""

import argparse
import os
import tempfile
from statistics import mean, stdev


def trained(options: argparse.Namespace) -> None:
    """Train each remedy's two networks, seed by seed, and print the figures of both."""
    from playground import runs
    from playground.comparison.remedies import REMEDIES, read_mask_metrics
    from playground.config import from_flat
    from playground.events import EpochRow
    from playground.jobs.slots import Slot
    from playground.jobs.worker import run_worker
    from playground.metrics.mask_scores import MASK_METRICS
    from playground.presets import PRESETS

    base = from_flat(dict(knob.split("=") for knob in options.knobs), PRESETS["pixels"].config)
    for remedy in (REMEDIES[name] for name in options.only or REMEDIES if not REMEDIES[name].at_test):
        found = []
        for seed in range(options.seeds):
            sides = []
            for config in remedy.configs(from_flat({"seed": seed}, base)):
                run = runs.create_run(config, remedy.title)
                run_worker(run, Slot("cpu", 2))
                sides.append(read_mask_metrics([row for row in run.rows() if isinstance(row, EpochRow)][-1]))
            found.append(sides)
        print(f"\n{remedy.title}: {dict(remedy.without)} -> {dict(remedy.remedied)}", flush=True)
        for figure in MASK_METRICS:
            before, after = ([side[figure] for side in column] for column in zip(*found, strict=True))
            changes = [100 * (b - a) for a, b in zip(before, after, strict=True)]
            spread = f" ± {stdev(changes):.1f}" if len(changes) > 1 else ""
            mark = "   should rise" if figure == remedy.metric else ""
            moved = f"{mean(before):.3f} -> {mean(after):.3f}"
            print(f"  {figure:12} {moved}   {mean(changes):+.1f}{spread} points{mark}", flush=True)


def asked(images: int) -> None:
    """Ask the bundled network about blurred test images, at one scale and at several."""
    import numpy as np

    from playground import runs
    from playground.comparison.remedies import SCALES
    from playground.data.load import load_dataset
    from playground.inference.segment import blur_images, evaluate_at_scales

    run = runs.demo_run("segmentation")
    assert run is not None
    data = load_dataset(run.config.data.dataset)
    targets = np.asarray(data.test_targets[:images])
    print(f"\nBlur, the bundled network, {len(targets)} test images: mean IoU at their own size, and at several")
    for sigma in (0.0, 1.0, 2.0, 3.0):
        seen = blur_images(np.asarray(data.test_images[:images]), sigma)
        found = {
            scales: evaluate_at_scales(run, run.epochs()[-1], seen, targets, scales)[0]["iou"]
            for scales in ((1.0,), *SCALES.values())
        }
        words = "   ".join(f"{scales} {iou:.3f}" for scales, iou in found.items())
        print(f"  blur of {sigma:g} pixels: {words}", flush=True)


def main() -> None:
    """Train and ask, and print what moves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", metavar="REMEDY", help="these alone, instead of all")
    parser.add_argument("--images", type=int, default=120, help="test images that are blurred")
    parser.add_argument("--knobs", nargs="*", default=[], help="knobs of all networks, as name=value")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PLAYGROUND_HOME"] = home
        trained(options)
        if not options.only or "blur" in options.only:
            asked(options.images)


if __name__ == "__main__":
    main()
