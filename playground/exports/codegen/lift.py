"""Pieces of this program's own source, to be put into a script that stands alone."""

import ast
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import playground

ROOT = Path(playground.__file__).parent.parent


@cache
def source(module: str, *names: str) -> str:
    """Return functions, classes and constants of a module as they are written there, in the order asked for.

    Args:
        module: its full name, such as "playground.data.augment"; it is not imported.
        names: what to take, decorators included.

    Raises:
        KeyError: the module has no such name at its top.
    """
    found = _definitions(ROOT / f"{module.replace('.', '/')}.py")
    return "\n\n\n".join(found[name][0] for name in names)


@cache
def _definitions(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return what is defined at the top of a module: its code, and the names that it uses."""
    text = path.read_text(encoding="utf-8")
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
        used = frozenset(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
        found[name] = re.sub(r"  # (ty|noqa|type): ?\S+$", "", code, flags=re.MULTILINE), used
    return found


def lifted(function: Callable[..., Any], name: str) -> str:
    """Return a function as it is written, called `name`."""
    return re.sub(r"^def \w+", f"def {name}", textwrap.dedent(inspect.getsource(function)).strip(), count=1)


def class_name(where: str, alias: str = "nn") -> str:
    """Write how the script names a class: torch's own by where it is, as "torch.nn:ReLU", another by its name alone."""
    module, _, name = where.partition(":")
    return f"{alias}.{name}" if module.startswith("torch.") else name


def class_source(where: str) -> str:
    """Return a class as it is written, with what it uses of its module; nothing for torch's own. Empty lines follow."""
    module, _, name = where.partition(":")
    if module.startswith("torch."):
        return ""
    spec = importlib.util.find_spec(module)  # the module itself stays unimported, and torch with it
    assert spec and spec.origin
    defined, wanted = _definitions(Path(spec.origin)), [name]
    for each in wanted:
        wanted += [used for used in defined if used in defined[each][1] and used not in wanted]
    return "".join(f"{defined[each][0]}\n\n\n" for each in wanted)
