"""How long the server takes to draw the Compare page for many long runs.

    python -m benchmarks.compare [--runs 20] [--points 10000] [--rounds 7]

Without a browser; what is timed is the page's script, from the request to the last element: cold, when no reader has
opened the runs' files yet; warm, for the next visitor; and a tick, when one of the runs has gone on by a row.
"""

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import streamlit as st
from streamlit.testing.v1 import AppTest

from playground import runs
from playground.config import from_flat
from playground.runs import RunFolder

FRAME = Path(__file__).parent.parent / "pages" / "frame.py"
EPOCHS = 20


def progress_row(i: int, points: int) -> str:
    """Write one report as a worker writes it, with all of a float's digits."""
    loss = 2.3 * math.exp(-3 * i / points) + 0.1 * math.sin(i)
    row = {"type": "progress", "epoch": EPOCHS * i / points, "step": i, "seconds": 0.1 * i + 1 / 3, "loss": loss}
    row |= {"accuracy": 1 - math.exp(-i / points), "learning_rate": 0.004 * math.cos(i / points), "grad_norm": loss / 3}
    return json.dumps(row | {"weight_norm": 9 + i / 7, "images_per_second": 3000 + 10 * math.sin(i)})


def make_run(number: int, points: int) -> RunFolder:
    """Make a finished run with so many reports."""
    run = runs.create_run(from_flat({"epochs": EPOCHS, "seed": number // 2, "kernel_size": 3 + 2 * (number % 2)}))
    lines = []
    for epoch in range(EPOCHS + 1):
        scores: dict[str, float] = {"loss": 2.3 - epoch / 20, "accuracy": 0.1 + epoch / 50}
        row: dict[str, Any] = {
            "type": "epoch",
            "epoch": epoch,
            "step": points * epoch // EPOCHS,
            "seconds": 50.0 * epoch,
        }
        row |= {"train": scores if epoch else None, "val": scores, "test": scores}
        first, last = points * (epoch - 1) // EPOCHS, points * epoch // EPOCHS
        lines += [progress_row(i, points) for i in range(first + 1, last + 1) if epoch]
        lines.append(json.dumps(row | {"confusion": [[20] * 10] * 10}))
    (run.path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    probs = np.random.default_rng(number).dirichlet(np.ones(10), 2000).astype(np.float16)
    run.save_epoch(EPOCHS, {"output.bias": np.zeros(10, np.float16)}, probs)
    run.set_status(state="finished", epoch=EPOCHS, epochs=EPOCHS, best_score=0.5, best_epoch=EPOCHS, seconds=1000.0)
    return run


def visit(made: list[RunFolder]) -> tuple[AppTest, float]:
    """Open the page for a new visitor; returns it and the seconds."""
    at = AppTest.from_file(str(FRAME), default_timeout=120)
    at.switch_page("compare.py")
    at.query_params["runs"] = ",".join(run.id for run in made)
    at.query_params["measure"] = "train_loss"
    at.query_params["axis"] = "step"
    return at, draw(at)


def draw(at: AppTest) -> float:
    """Draw the page and return the seconds."""
    began = time.perf_counter()
    at.run()
    seconds = time.perf_counter() - began
    assert not at.exception
    return seconds


def main() -> None:
    """Time the page in its three states and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    home = tempfile.mkdtemp()
    os.environ["PLAYGROUND_HOME"] = home
    times: dict[str, list[float]] = {"cold": [], "warm": [], "tick": []}
    try:
        made = [make_run(number, options.points) for number in range(options.runs)]
        visit(made)  # imports, and the bundled images
        for i in range(options.rounds):
            st.cache_resource.clear()
            st.cache_data.clear()
            times["cold"].append(visit(made)[1])
            at, seconds = visit(made)
            times["warm"].append(seconds)
            made[0].append(json.loads(progress_row(options.points + i + 1, options.points)))
            time.sleep(0.2)  # until what was read is no longer fresh
            times["tick"].append(draw(at))
    finally:
        shutil.rmtree(home)
    print(f"{options.runs} runs of {options.points:,} points")
    for name, seconds in times.items():
        print(f"{name}: median {median(seconds):.2f} s, from {min(seconds):.2f} to {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
