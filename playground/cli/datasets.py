"""`playground data`: what there is to learn from."""

import argparse
import sys
from dataclasses import asdict
from typing import Any

from playground.cli.parser import CTRL_C, Parser
from playground.data.catalog import DatasetInfo, available, is_ready
from playground.data.shapes import LIMITS, Difficulty
from playground.jobs.fetch import Cancelled, fetch


def add(commands: Any) -> None:
    """Add the command and its actions."""
    data = commands.add_parser("data", help="list, fetch, import, draw, delete data sets")
    data.set_defaults(do=_list_data)
    actions = data.add_subparsers(metavar="ACTION", parser_class=Parser)
    actions.add_parser("list", help="list all data sets").set_defaults(do=_list_data)
    action = actions.add_parser("fetch", help="download a data set")
    action.add_argument("name", metavar="NAME")
    action.set_defaults(do=_fetch_data)
    _add_import(actions.add_parser("import", help="make a data set of class folders, or of images/ and masks/"))
    _add_draw(actions.add_parser("draw", help="draw a data set of shapes, with a label for each pixel"))
    action = actions.add_parser("delete", help="delete a data set that was imported")
    action.add_argument("name", metavar="NAME")
    action.set_defaults(do=_delete_data)


def _add_import(action: argparse.ArgumentParser) -> None:
    action.add_argument("source", metavar="ZIP_OR_FOLDER")
    action.add_argument("--name", required=True, help="what to call it")
    action.add_argument("--size", type=int, help="(long) side of the images in px; default 64, with masks 128")
    action.add_argument("--test-share", type=float, default=0.2, help="kept to test on, if not split; default 0.2")
    masks = action.add_argument_group("for images/ with masks/")
    masks.add_argument("--classes", help="their names in the order of the values 0, 1, 2: sky,road,car")
    masks.add_argument("--ignore", type=int, metavar="VALUE", help="the value of pixels without a class; default 255")
    masks.add_argument(
        "--train-on",
        choices=("train+val", "train"),
        default="train+val",
        help="whether val/ counts as training images where there is a test/; default train+val",
    )
    action.set_defaults(do=_import_data)


def _add_draw(action: argparse.ArgumentParser) -> None:
    action.add_argument("name", metavar="NAME")
    usual = Difficulty()
    defaults = {"train": 2000, "test": 500, "size": 64, "seed": 0} | asdict(usual)
    for name, (low, high) in LIMITS.items():
        bounds = f"{low:g} to {high:,}; default {defaults[name]:g}"
        action.add_argument(f"--{name}", type=type(low), default=defaults[name], metavar="N", help=bounds)
    action.set_defaults(do=_draw_data)


def _list_data(options: argparse.Namespace) -> None:
    for entry in available():
        where = "ready" if is_ready(entry.name) or entry.bundled else f"{entry.download_mb:,.0f} MB to download"
        counts = f"{entry.train_count:,} + {entry.test_count:,} images"
        _, height, width = entry.shape
        what = f"{entry.name:16}  {len(entry.classes):3d} classes  {width:3d} × {height:3d} px"
        print(f"{what}  {counts:24}  {where:22}  {entry.title}")


def _fetch_data(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def watch(progress: Any) -> None:
            bar.total = progress.total or None
            bar.set_description(progress.what, refresh=False)
            bar.update(progress.done - bar.n)

        try:
            fetch(options.name, watch)
        except Cancelled:
            print("playground: cancelled; the next download goes on from here", file=sys.stderr)
            return CTRL_C
    print(f"{options.name} is ready")
    return 0


def _import_data(options: argparse.Namespace) -> None:
    from playground.data.importing import import_any

    report = import_any(
        options.source,
        options.name,
        options.size,
        options.classes.split(",") if options.classes else None,
        options.ignore,
        options.test_share,
        options.train_on,
    )
    for path, reason in report.skipped:
        print(f"skipped {path}: {reason}", file=sys.stderr)
    _say(report.info)


def _draw_data(options: argparse.Namespace) -> None:
    from playground.data.own import draw_shapes

    difficulty = Difficulty(options.shapes, options.occlusion, options.noise, options.contrast)
    _say(draw_shapes(options.name, options.train, options.test, options.size, difficulty, options.seed))


def _say(made: DatasetInfo) -> None:
    _, height, width = made.shape
    counts = f"{made.train_count:,} to learn from and {made.test_count:,} to test on"
    print(f"{made.name}: {made.train_count + made.test_count:,} images of {made.num_classes} classes, {counts}")
    print(f"each {width} × {height} pixels" + (", with a label for each pixel" if made.segments else ""))


def _delete_data(options: argparse.Namespace) -> None:
    from playground.data.own import delete

    delete(options.name)
