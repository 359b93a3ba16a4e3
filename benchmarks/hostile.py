"""Throw damaged and malicious zips and run files at the program: it has to refuse each in one line, or to take it.

    python -m benchmarks.hostile CASES [--zips 3000] [--files 2000] [--pages 200] [--seed 0]

CASES is a folder with zips of images and of runs in it, at any depth. They, and zips that the program exports, are
mutated and imported; files of small finished runs are mutated and read. Of what was accepted some are drawn, and opened
on every page; data sets are trained on for an epoch before. All of it happens in a home of its own, and nothing may be
written around it. The exit code is 1 if there is a traceback, a file outside the home, or a page that cannot be drawn.
"""

import argparse
import io
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

from streamlit.testing.v1 import AppTest
from tqdm import tqdm

from benchmarks.mutations import ESCAPE, damage_file, damage_zip
from playground.config import ConfigError, from_flat
from playground.data.catalog import DataError, find_folder
from playground.data.importing.plan import Corrections, describe
from playground.data.importing.save import take
from playground.data.importing.understand import list_folders, understand
from playground.exports import ExportError, export_run
from playground.exports.tensors import import_weights
from playground.jobs.slots import Slot
from playground.jobs.worker import run_worker
from playground.runs import RunError, RunFolder, create_run, demo_run, export_zip, runs_folder, usable_runs
from playground.ui.pages.data.import_preview import draw_samples
from playground.zips import ZipError

FRAME = Path(__file__).parent.parent / "pages" / "frame.py"
PAGES = {
    **dict.fromkeys(("home", "train", "runs", "compare", "predict", "studies", "data"), ("",)),
    "inside": ("maps", "kernels", "why", "over_time", "exciting", "edit", "embedding"),
    "segment": ("masks", "photo", "remedies"),
    "evaluate": ("matrix", "per_class", "curves", "calibration", "hardest"),
}
"""Each page, and the closer looks of which one is drawn."""
FORMATS = ("script", "notebook", "safetensors", "html", "tensorboard", "csv")
REFUSALS = (DataError, ZipError, RunError, ConfigError, ExportError)
KINDS = ("data set zips", "run zips", "run files")
TOGETHER = 10
"""Runs or data sets that lie in the home while the pages are opened."""


# What is counted


def is_refusal(error: Exception) -> bool:
    """Say whether an error is one that a person is shown: of ours, and one line."""
    return isinstance(error, REFUSALS) and bool(str(error)) and str(error).isprintable()


class Trial:
    """A home of its own, what became of all that was done in it, and what was written around it."""

    def __init__(self, home: Path, seed: int, drawn: int) -> None:
        self.home, self.seed = home, seed
        self.most = {kind: (drawn + k) // len(KINDS) for k, kind in enumerate(KINDS)}
        self.counts = {kind: Counter() for kind in KINDS}
        self.kept: dict[str, list[Path]] = {kind: [] for kind in KINDS}
        self.told: dict[str, str] = {}
        self.slowest = (0.0, "")
        self.known = set(self.around())

    def around(self) -> Iterator[Path]:
        """Yield what lies beside the home and in the current folder, and what climbed higher still."""
        for path in self.home.parent.iterdir():
            yield from () if path == self.home else (path, *path.rglob("*"))
        yield from Path.cwd().iterdir()
        for parent in self.home.parents:
            yield from parent.glob(f"*{ESCAPE}*")

    def attempt(self, kind: str, what: str, action: Callable[[], list[Path]]) -> None:
        """Do something that returns the folders that it made, or refuses, and count what becomes of it."""
        count, began = self.counts[kind], time.perf_counter()
        try:
            for made in action():
                self.told[made.name] = f"{kind}, {what}"
                self.keep(kind, made, Random(f"{self.seed} {what}"))
            count["accepted"] += 1
        except Exception as error:
            refused = is_refusal(error)
            count["refused" if refused else "tracebacks"] += 1
            if not refused:
                print(f"\n{kind}, {what}\n{traceback.format_exc()}", file=sys.stderr)
        finally:
            count["made"] += 1
            self.slowest = max(self.slowest, (time.perf_counter() - began, f"{kind}, {what}"))
        self.look_around(kind, what)

    def look_around(self, kind: str, what: str) -> None:
        """Count what is new outside the home; whatever was done last has written it."""
        if new := set(self.around()) - self.known:
            self.counts[kind]["outside"] += len(new)
            self.known |= new
            print(f"\n{kind}, {what}\nwritten outside: {sorted(map(str, new))}", file=sys.stderr)

    def keep(self, kind: str, made: Path, random: Random) -> None:
        """Keep a part of what was accepted, each with the same chance; delete the rest."""
        self.counts[kind]["folders"] += 1
        kept, place = self.kept[kind], random.randrange(self.counts[kind]["folders"])
        if len(kept) < self.most[kind]:
            place = len(kept)
            kept.append(made)
        elif place < self.most[kind]:
            shutil.rmtree(kept[place])
        else:
            shutil.rmtree(made)
            return
        kept[place] = made.rename(self.home / "kept" / made.name)


# The doors, and the pages behind them


def small_runs(cases: Path, workers: Executor) -> list[RunFolder]:
    """Train a network for images and one for pixels, each on a small set of the cases."""
    folds = {"epochs": 2, "folds": 2, "validation_share": 0}
    for name, zipped, size in (("small", "own_small.zip", 16), ("small-masks", "s_isic.zip", 32)):
        source = next(cases.rglob(zipped))
        take(source, understand(source, Corrections(size=size)).agreed(), name)
    return [trained("small", workers, **folds), trained("small-masks", workers, epochs=2)]


def trained(dataset: str, workers: Executor, **knobs: object) -> RunFolder:
    """Train a tiny network on a data set, as the service does: in another process, whose memory is its own."""
    tiny = {"epochs": 1, "channels": (4, 4), "fc_width": 8, "batch_size": 8, "images_per_class": 8, "device": "cpu"}
    run = create_run(from_flat({"dataset": dataset, "threads": 1} | tiny | knobs))
    status = workers.submit(run_worker, run, Slot("cpu", 1)).result()
    if status.state != "finished":
        print(f"training on {dataset}: {status.state}, {status.message}", file=sys.stderr)
    return run


def import_data(content: bytes, name: str) -> list[Path]:
    """Look into a zip as the Data page does, agree with what was understood, and take it."""
    file = io.BytesIO(content)
    list_folders(file)
    plan = understand(file).agreed()
    describe(plan)
    draw_samples(file, plan)
    return [find_folder(take(file, plan, name).info.name)]


def import_run(content: bytes, name: str) -> list[Path]:
    """Take in a zip as the Runs page does."""
    runs = import_weights([("hostile.zip", io.BytesIO(content))])
    return [run.path.rename(run.path.with_name(f"{name}-{k}")) for k, run in enumerate(runs)]


def read_run(base: RunFolder, name: str, random: Random) -> tuple[str, Callable[[], list[Path]]]:
    """Copy a run, mutate a file or two of it, and return what was done and how to read it."""
    run = RunFolder(runs_folder() / name)
    shutil.copytree(base.path, run.path)
    done = []
    for _ in range(random.choice((1, 1, 2))):
        path = random.choice([path for path in sorted(run.path.rglob("*")) if path.is_file() and path.name != "lock"])
        made, how = damage_file(path.name, path.read_bytes(), random)
        path.write_bytes(made)
        done.append(f"{path.relative_to(run.path)}: {how}")

    def read() -> list[Path]:
        try:
            read_all(run, random.choice(FORMATS))
        except Exception:
            shutil.rmtree(run.path)
            raise
        return [run.path]

    return "; ".join(done), read


def read_all(run: RunFolder, form: str) -> None:
    """Read a run as the program does; each part may refuse, and a damaged run is refused as a whole."""
    epochs = sorted({*run.epochs(), *run.predicted_epochs()})
    tensors = (run.weights, run.predictions, run.masks, run.validation_predictions)
    parts: list[Callable[[], object]] = [
        *(run.status, run.rows, run.load_resume, lambda: run.config, lambda: run.about, lambda: run.dataset),
        *(lambda epoch=epoch, read=read: read(epoch) for epoch in epochs for read in tensors),
        *(lambda: list(usable_runs()), lambda: export_zip(run), lambda: export_run(run, epochs[-1], form)),
    ]
    assert run.name and isinstance(run.owner, str)
    for read in parts:
        try:
            read()
        except REFUSALS as error:
            if not is_refusal(error):
                raise
    if run.damage:
        raise RunError(run.damage)


def open_page(page: str, view: str, run_id: str) -> str:
    """Draw a page about a run, as for a new visitor; return what went wrong."""
    at = AppTest.from_file(str(FRAME), default_timeout=120)
    at.switch_page(f"{page}.py")
    at.session_state["shelf_run"] = run_id
    at.query_params["runs" if page == "compare" else "run"] = run_id
    if view:
        at.query_params["view"] = view
    try:
        at.run()
    except Exception:
        return traceback.format_exc()
    return "\n".join(f"{error.message}\n{''.join(error.stack_trace)}" for error in at.exception)


def visit(trial: Trial, kind: str, workers: Executor) -> tuple[int, int]:
    """Open every page on what was drawn, ten runs or data sets at a time in the home; return pages and dead ones."""
    pages, dead, kept, random, of_data = 0, 0, trial.kept[kind], Random(trial.seed), kind == KINDS[0]
    place = find_folder("x").parent if of_data else runs_folder()
    for start in tqdm(range(0, len(kept), TOGETHER), f"pages, {kind}"):
        here = [path.rename(place / path.name) for path in kept[start : start + TOGETHER]]
        runs = [trained(path.name, workers) if of_data else RunFolder(path) for path in here]
        for k, run in enumerate(runs):
            for page, views in PAGES.items():
                pages += 1
                if wrong := open_page(page, random.choice(views), run.id):
                    dead += 1
                    print(f"\n{page}, {trial.told[here[k].name]}\n{wrong}", file=sys.stderr)
            trial.look_around(kind, f"pages, {trial.told[here[k].name]}")
        for path in {*here, *(run.path for run in runs)}:
            shutil.rmtree(path)
    return pages, dead


def knock(trial: Trial, cases: Path, small: list[RunFolder], zips: int, files: int) -> None:
    """Bring all mutations to the doors."""
    contents = [path.read_bytes() for path in sorted(cases.rglob("*.zip"))]
    data = [content for content in contents if b"config.json" not in content]
    runs = [content for content in contents if b"config.json" in content]
    runs += [export_zip(*filter(None, [demo_run()])), export_zip(*small)]
    runs += [zipped for run in small for zipped in (export_zip(run), export_run(run, 1, "safetensors").content)] * 3
    for kind, bases, door in ((KINDS[0], data, import_data), (KINDS[1], runs, import_run)):
        for index in tqdm(range(zips // 2), kind):
            random = Random(f"{trial.seed} {kind} {index}")
            base = random.randrange(len(bases))
            content, how = damage_zip(bases[base], random)
            trial.attempt(kind, f"{index}, base {base}, {how}", partial(door, content, f"h{KINDS.index(kind)}-{index}"))
    for index in tqdm(range(files), KINDS[2]):
        random = Random(f"{trial.seed} {KINDS[2]} {index}")
        how, read = read_run(random.choice(small), f"h2-{index}", random)
        trial.attempt(KINDS[2], f"{index}, {how}", read)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Mutate, import, read, open the pages; print the counts, and say by the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=Path, help="a folder with zips of images and of runs, at any depth")
    for name, count in (("zips", 3000), ("files", 2000), ("pages", 200), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=count)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # Streamlit warns at each page that nobody is there
    memory = [peak_mb()]
    with tempfile.TemporaryDirectory() as around:
        home = Path(around) / "home"
        (home / "kept").mkdir(parents=True)
        os.environ["PLAYGROUND_HOME"] = str(home)
        tempfile.tempdir = around  # what is left in there is found
        trial = Trial(home, options.seed, options.pages)
        with ProcessPoolExecutor(1, get_context("spawn")) as workers:
            knock(trial, options.cases, small_runs(options.cases, workers), options.zips, options.files)
            memory.append(peak_mb())
            visited = [visit(trial, kind, workers) for kind in KINDS]
        memory.append(peak_mb())
    columns = ("made", "accepted", "refused", "tracebacks", "outside")
    titles = " | ".join(("kind", *columns[:4], "written outside", "drawn for pages", "pages", "dead"))
    print(f"| {titles} |\n{'|---' * 9}|")
    for kind, (pages, dead) in zip(KINDS, visited, strict=True):
        counts = [trial.counts[kind][column] for column in columns] + [len(trial.kept[kind]), pages, dead]
        print(f"| {kind} | " + " | ".join(f"{count:,}" for count in counts) + " |")
    print("peak memory in MB: {:,.0f} at the start, {:,.0f} after the doors, {:,.0f} after the pages".format(*memory))
    print("slowest: {:.1f} s, {}".format(*trial.slowest))
    wrong = sum(count["tracebacks"] + count["outside"] for count in trial.counts.values())
    return int(wrong + sum(dead for _, dead in visited) > 0)


if __name__ == "__main__":
    sys.exit(main())
