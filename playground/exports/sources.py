"""Pieces of this program's own source, to be put into a script that stands alone."""

import ast
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent


@cache
def source(module: str, *names: str) -> str:
    """Return functions, classes and constants of a module as they are written there, in the order asked for.

    Args:
        module: its path within the package, such as "data/augment.py".
        names: what to take, decorators included.

    Raises:
        KeyError: the module has no such name at its top.
    """
    text = (PACKAGE / module).read_text(encoding="utf-8")
    lines, found = text.splitlines(), {}
    for node in ast.parse(text).body:
        first = node.lineno
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first, name = min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        else:
            continue
        code = "\n".join(lines[first - 1 : node.end_lineno])
        found[name] = re.sub(r"  # (ty|noqa|type): ?\S+$", "", code, flags=re.MULTILINE)
    return "\n\n\n".join(found[name] for name in names)


def lifted(function: Callable[..., Any], name: str) -> str:
    """Return a function as it is written, called `name`."""
    return re.sub(r"^def \w+", f"def {name}", textwrap.dedent(inspect.getsource(function)).strip(), count=1)


def class_name(where: str) -> str:
    """Write how the script names a class that is at "torch.nn:ReLU", or that it holds itself."""
    module, _, name = where.partition(":")
    return f"nn.{name}" if module == "torch.nn" else name


def class_source(where: str) -> str:
    """Return a class as it is written, two empty lines after it; nothing for torch's own."""
    if where.startswith("torch.nn:"):
        return ""
    return textwrap.dedent(inspect.getsource(pkgutil.resolve_name(where))).strip() + "\n\n\n"
