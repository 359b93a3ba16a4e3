"""Write what the docs copy from the code: the table of settings, and the tree of files with their first lines.

python -m scripts.docs            # write docs/settings.md and docs/architecture.md
python -m scripts.docs --check    # only fail if one is out of date
"""

import argparse
import ast
import sys
from itertools import groupby
from pathlib import Path

from playground.config import KNOBS, Knob

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- written by scripts/docs.py -->", "<!-- /written -->"
CODE = ("app.py", "pages", "playground")


def settings() -> str:
    """Return the knobs as one Markdown table for each group of the config."""
    head = "| setting | name | default | takes | what it does |\n|---|---|---|---|---|"
    groups = groupby(KNOBS.values(), key=lambda knob: knob.group)
    return "\n\n".join(
        "\n".join([f"**{group.capitalize()}**\n", head, *(_row(knob) for knob in knobs)]) for group, knobs in groups
    )


def _row(knob: Knob) -> str:
    default = f"`{knob.format(knob.default)}`" + (f" {knob.unit}" if knob.unit else "")
    label = knob.label + (" (live)" if knob.live else "")
    return f"| {label} | `{knob.name}` | {default} | {knob.allowed} | {knob.help} |"


def tree() -> str:
    """Return every file of the program with the first line of what it says of itself."""
    lines: list[str] = []
    for name in CODE:
        lines += _listed(ROOT / name, 0)
    return "\n".join(["```", *lines, "```"])


def _listed(path: Path, depth: int) -> list[str]:
    if path.is_file():
        return [f"{'  ' * depth}{path.name:<{28 - 2 * depth}} {_first_line(path)}".rstrip()]
    inside = sorted(path.iterdir(), key=lambda entry: (entry.is_dir(), entry.name))
    files = [entry for entry in inside if entry.suffix == ".py" and not entry.name.startswith("__")]
    folders = [entry for entry in inside if entry.is_dir() and any(entry.rglob("*.py"))]
    init = path / "__init__.py"
    about = _first_line(init) if init.exists() else "one script for each screen"
    head = f"{'  ' * depth}{path.name + '/':<{28 - 2 * depth}} {about}"
    return [head, *(line for entry in [*files, *folders] for line in _listed(entry, depth + 1))]


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0] if text else ""


WRITTEN = {"docs/settings.md": settings, "docs/architecture.md": tree}


def updated(name: str) -> str:
    """Return the text of one of the docs with the part between the markers written anew."""
    before, _, rest = (ROOT / name).read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{name} lacks the markers {START} and {END}")
    return f"{before}{START}\n\n{WRITTEN[name]()}\n\n{END}{after}"


def main() -> int:
    """Write the docs, or with `--check` return 1 if one would change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if one is out of date")
    arguments = parser.parse_args()
    stale = [name for name in WRITTEN if updated(name) != (ROOT / name).read_text(encoding="utf-8")]
    if not arguments.check:
        for name in stale:
            (ROOT / name).write_text(updated(name), encoding="utf-8")
    return int(arguments.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
