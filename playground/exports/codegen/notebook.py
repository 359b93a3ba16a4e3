"""The script as a notebook: the same code in cells, with words between them."""

import json
from typing import Any

from playground.exports.codegen.script import write_imports, write_program
from playground.exports.context import ExportContext

_DOLLAR = "<span>&#36;</span>"
"""Jupyter looks for formulas before it reads markdown, and again in what that made of it, so a backslash before a
dollar does not help: as a number the first look misses it, and in an element of its own the second one."""


def write_notebook(facts: ExportContext) -> bytes:
    """Write the notebook, as JSON of nbformat 4.5.

    Raises:
        ExportError: the data set's mean and deviation, or what one of the settings does, are not known here.
    """
    introduction, parts = write_program(facts, notebook=True)
    title, *rest = introduction.splitlines()
    cells = [_cell("markdown", f"# {_plain(title)}\n" + _plain("\n".join(rest)))]
    cells.append(_cell("code", write_imports("\n".join(section.code for section in parts))))
    for section in parts:
        cells.append(_cell("markdown", f"## {section.title}\n\n{section.text}"))
        cells.append(_cell("code", section.code))
    cells = [{**cell, "id": f"cell-{number}"} for number, cell in enumerate(cells)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _cell(kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _plain(text: str) -> str:
    """Keep a run's name from becoming markup or a formula."""
    return "".join(_DOLLAR if c == "$" else f"\\{c}" if c in "\\`*_[]<>#|!&~" else c for c in text)
