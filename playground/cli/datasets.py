"""`playground data`: what there is to learn from."""

import argparse
import sys
from dataclasses import asdict
from typing import Any

from playground import interrupts
from playground.cli.parser import Parser
from playground.data.catalog import DataError, DatasetInfo, is_ready, list_available
from playground.data.importing.folders import ROLES
from playground.data.importing.mask_files import NOTHING
from playground.data.importing.plan import Corrections, describe
from playground.data.shapes import LIMITS, Difficulty
from playground.jobs.fetch import Cancelled, run_fetch
from playground.tasks import TASKS


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
    action.add_argument("--name", help="what to call it; needed unless --preview")
    action.add_argument("--preview", action="store_true", help="say what is understood of it, and take nothing")
    action.add_argument("--yes", action="store_true", help="where there is a doubt, it is as understood")
    sizes = "default " + ", ".join(f"{task.side} for {task.gives}" for task in TASKS.values())
    action.add_argument("--size", type=int, help=f"(long) side of the images in px; {sizes}")
    action.add_argument("--test-share", type=float, default=0.2, help="kept to test on, if not split; default 0.2")
    action.add_argument(
        "--train-on",
        choices=("train+val", "train"),
        default="train+val",
        help="whether val/ counts as training images where there is a test/; default train+val",
    )
    fixes = action.add_argument_group("where it is understood otherwise than you mean it")
    fixes.add_argument("--task", choices=list(TASKS), help="one label an image, or one a pixel")
    fixes.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="FOLDER=PART",
        help=f"which part a folder plays, as often as needed: {', '.join(ROLES)}",
    )
    fixes.add_argument("--depth", type=int, default=0, metavar="N", help="how many folders deeper the classes lie")
    fixes.add_argument("--rename", action="append", default=[], metavar="CLASS=NAME", help="call a class otherwise")
    fixes.add_argument("--classes", help="of masks, the names in the order of the values 0, 1, 2: sky,road,car")
    fixes.add_argument(
        "--ignore",
        type=_number_or_none,
        metavar="VALUE",
        help="the value of pixels without a class, or none; default 255",
    )
    fixes.add_argument(
        "--threshold",
        type=_number_or_none,
        metavar="GREY",
        help="of masks that are nearly black and white, the grey from which they are white, or none; default 128",
    )
    action.set_defaults(do=_import_data)


def _number_or_none(text: str) -> int:
    try:
        return NOTHING if text == "none" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor none") from None


def _add_draw(action: argparse.ArgumentParser) -> None:
    action.add_argument("name", metavar="NAME")
    usual = Difficulty()
    defaults = {"train": 2000, "test": 500, "size": 64, "seed": 0} | asdict(usual)
    for name, (low, high) in LIMITS.items():
        bounds = f"{low:g} to {high:,}; default {defaults[name]:g}"
        action.add_argument(f"--{name}", type=type(low), default=defaults[name], metavar="N", help=bounds)
    action.set_defaults(do=_draw_data)


def _list_data(options: argparse.Namespace) -> None:
    for entry in list_available():
        where = "ready" if is_ready(entry.name) or entry.bundled else f"{entry.download_mb:,.0f} MB to download"
        counts = f"{entry.train_count:,} + {entry.test_count:,} images"
        _, height, width = entry.shape
        what = f"{entry.name:16}  {len(entry.classes):3d} classes  {width:3d} × {height:3d} px"
        print(f"{what}  {counts:24}  {where:22}  {entry.title}")


@interrupts.raising()
def _fetch_data(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def watch(progress: Any) -> None:
            bar.total = progress.total or None
            bar.set_description(progress.what, refresh=False)
            bar.update(progress.done - bar.n)

        try:
            run_fetch(options.name, watch)
        except Cancelled:
            print("playground: cancelled; the next download goes on from here", file=sys.stderr)
            return interrupts.CTRL_C
    print(f"{options.name} is ready")
    return 0


@interrupts.raising()
def _import_data(options: argparse.Namespace) -> int:
    from playground.data.importing.save import take
    from playground.data.importing.understand import understand

    if not options.name and not options.preview:
        raise DataError("give the new data set a name: --name NAME; or look at it first: --preview")
    plan = understand(options.source, _corrections(options))
    for line in describe(plan):
        print(_printable(line))
    if options.preview:
        for path, reason in plan.left_out:
            print(_printable(f"left out {path}: {reason}"))
        return 0
    if plan.open_doubts and not options.yes:
        raise DataError("it is not taken yet, for there is a doubt: answer it by the flags above, or --yes")
    report = take(options.source, plan.agreed(), options.name)
    for path, reason in report.skipped:
        print(_printable(f"skipped {path}: {reason}"), file=sys.stderr)
    _say(report.info)
    return 0


def _printable(line: str) -> str:
    """Return a line without what would steer the terminal: names come from a stranger's zip."""
    return "".join(letter if letter.isprintable() else "�" for letter in line)


def _corrections(options: argparse.Namespace) -> Corrections:
    return Corrections(
        task=options.task,
        parts=_pairs(options.part, "--part FOLDER=PART"),
        depth=options.depth,
        classes=tuple(options.classes.split(",")) if options.classes else (),
        names=_pairs(options.rename, "--rename CLASS=NAME"),
        threshold=options.threshold,
        ignore=options.ignore,
        size=options.size,
        test_share=options.test_share,
        train_on=options.train_on,
    )


def _pairs(given: list[str], wanted: str) -> dict[str, str]:
    """Read what is given as LEFT=RIGHT."""
    if wrong := [text for text in given if "=" not in text]:
        raise DataError(f"{wrong[0]!r} does not say what is what; write {wanted}")
    return {left: right for left, _, right in (text.rpartition("=") for text in given)}


@interrupts.raising()
def _draw_data(options: argparse.Namespace) -> None:
    from playground.data.own import draw_shapes

    difficulty = Difficulty(options.shapes, options.occlusion, options.noise, options.contrast)
    _say(draw_shapes(options.name, options.train, options.test, options.size, difficulty, options.seed))


def _say(made: DatasetInfo) -> None:
    _, height, width = made.shape
    counts = f"{made.train_count:,} to learn from and {made.test_count:,} to test on"
    print(f"{made.name}: {made.train_count + made.test_count:,} images of {made.num_classes} classes, {counts}")
    print(f"each {width} × {height} pixels" + f", with {TASKS[made.task].gives}")


@interrupts.raising()
def _delete_data(options: argparse.Namespace) -> None:
    from playground.data.own import delete_dataset

    delete_dataset(options.name)
