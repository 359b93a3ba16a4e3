"""Write the table of knobs in the README from `playground.config.KNOBS`.

python -m scripts.readme_knobs            # write it
python -m scripts.readme_knobs --check    # only fail if it is out of date
"""

import argparse
import sys
from itertools import groupby
from pathlib import Path

from playground.config import KNOBS, Knob

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- knobs: written by scripts/readme_knobs.py -->", "<!-- /knobs -->"


def _row(knob: Knob) -> str:
    default = f"`{knob.format(knob.default)}`" + (f" {knob.unit}" if knob.unit else "")
    label = knob.label + (" (live)" if knob.live else "")
    return f"| {label} | `{knob.name}` | {default} | {knob.allowed} | {knob.help} |"


def table() -> str:
    """Return the knobs as one Markdown table for each group of the config."""
    head = "| knob | name | default | takes | what it does |\n|---|---|---|---|---|"
    groups = groupby(KNOBS.values(), key=lambda knob: knob.group)
    return "\n\n".join(
        "\n".join([f"**{group.capitalize()}**\n", head, *(_row(knob) for knob in knobs)]) for group, knobs in groups
    )


def updated(readme: str) -> str:
    """Return the README's text with the part between the markers written anew."""
    before, _, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"README.md lacks the markers {START} and {END}")
    return f"{before}{START}\n\n{table()}\n\n{END}{after}"


def main() -> int:
    """Write the README, or with `--check` return 1 if it would change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the table is out of date")
    arguments = parser.parse_args()
    old = README.read_text(encoding="utf-8")
    new = updated(old)
    if arguments.check:
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
