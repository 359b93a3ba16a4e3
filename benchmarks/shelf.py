"""How long the server takes to open the Runs page with many run folders, against few.

    python -m benchmarks.shelf [--many 10000] [--few 100] [--rounds 15]

Both homes are opened in turn, each time as a new visitor on a server whose caches are empty (cold) and then as the next
visitor (warm), without a browser: what is timed is the page's script, from the request to the last element.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

import streamlit as st
from streamlit.testing.v1 import AppTest

from playground.config import RunConfig, to_json
from playground.runs import Status

FRAME = Path(__file__).parent.parent / "pages" / "frame.py"


def fill(home: Path, count: int) -> None:
    """Make run folders as the shelf finds them: finished, with the files that it looks at."""
    config = to_json(RunConfig())
    status = asdict(Status("finished", epoch=10, epochs=10, best_score=0.6, test_score=0.6, seconds=12.0))
    for i in range(count):
        run = home / "runs" / f"20260101-{i:06d}-abcdef"
        run.mkdir(parents=True)
        (run / "config.json").write_text(config)
        (run / "about.json").write_text(json.dumps({"name": f"run {i}", "created": 1.8e9 + i}))
        (run / "status.json").write_text(json.dumps(status))
        (run / "metrics.jsonl").touch()
        (run / "lock").touch()


def visit(home: Path) -> float:
    """Return the seconds that the Runs page takes for a new visitor."""
    os.environ["PLAYGROUND_HOME"] = str(home)
    at = AppTest.from_file(str(FRAME), default_timeout=120)
    at.switch_page("runs.py")
    began = time.perf_counter()
    at.run()
    seconds = time.perf_counter() - began
    assert not at.exception
    assert len(at.dataframe[0].value) == 20, "the shelf is not there"
    return seconds


def main() -> None:
    """Time both homes in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        homes = {count: folder / str(count) for count in (options.few, options.many)}
        for count, home in homes.items():
            fill(home, count)
            visit(home)
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(options.rounds):
            for count, home in homes.items():
                st.cache_resource.clear()
                st.cache_data.clear()
                times.setdefault(("cold", count), []).append(visit(home))
                times.setdefault(("warm", count), []).append(visit(home))
    finally:
        shutil.rmtree(folder)
    for kind in ("cold", "warm"):
        few, many = times[kind, options.few], times[kind, options.many]
        ratios = sorted(b / a for a, b in zip(few, many, strict=True))
        print(
            f"{kind}: {options.few:,} runs {median(few) * 1000:.0f} ms, {options.many:,} runs "
            f"{median(many) * 1000:.0f} ms, ratio median {median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
