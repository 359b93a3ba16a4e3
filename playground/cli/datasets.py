"""`playground data`: what there is to learn from."""

import argparse
import sys
from typing import Any

from playground.cli.parser import CTRL_C, Parser
from playground.data.catalog import available, is_ready
from playground.jobs.fetch import Cancelled, fetch


def add(commands: Any) -> None:
    """Add the command and its actions."""
    data = commands.add_parser("data", help="list, fetch, import, delete data sets")
    data.set_defaults(do=_list_data)
    actions = data.add_subparsers(metavar="ACTION", parser_class=Parser)
    actions.add_parser("list", help="list all data sets").set_defaults(do=_list_data)
    action = actions.add_parser("fetch", help="download a data set")
    action.add_argument("name", metavar="NAME")
    action.set_defaults(do=_fetch_data)
    action = actions.add_parser("import", help="make a data set of a zip or a folder of class folders")
    action.add_argument("source", metavar="ZIP_OR_FOLDER")
    action.add_argument("--name", required=True, help="what to call it")
    action.add_argument("--size", type=int, default=64, help="side of the images in px; default 64")
    action.set_defaults(do=_import_data)
    action = actions.add_parser("delete", help="delete a data set that was imported")
    action.add_argument("name", metavar="NAME")
    action.set_defaults(do=_delete_data)


def _list_data(options: argparse.Namespace) -> None:
    for entry in available():
        where = "ready" if is_ready(entry.name) or entry.bundled else f"{entry.download_mb:,.0f} MB to download"
        counts = f"{entry.train_count:,} + {entry.test_count:,} images"
        what = f"{entry.name:16}  {len(entry.classes):3d} classes  {entry.size:3d} px"
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
    from playground.data.own import import_zip

    report = import_zip(options.source, options.name, size=options.size)
    for path, reason in report.skipped:
        print(f"skipped {path}: {reason}", file=sys.stderr)
    made = report.info
    print(f"{made.name}: {made.train_count + made.test_count:,} images of {len(made.classes)} classes")


def _delete_data(options: argparse.Namespace) -> None:
    from playground.data.own import delete

    delete(options.name)
