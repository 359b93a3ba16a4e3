"""Pieces of this program's own source, simplified for one run, to be put into a script that stands alone."""

import ast
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import playground
from playground.exports.codegen.simplify import Simplifier, Unknown
from playground.exports.codegen.values import Code

ROOT = Path(playground.__file__).parent.parent
_PLAIN = (bool, int, float, str, tuple)
"""What a function goes on taking as an argument, though it is known."""
_NOTES = re.compile(r"  # (ty|noqa|type): ?\S+$", re.MULTILINE)


@dataclass(frozen=True)
class Module:
    """A module's text, what is defined at its top, and where the names come from that it imports from others."""

    name: str
    text: str
    defined: Mapping[str, ast.stmt]
    ends: Mapping[str, int]
    imported: Mapping[str, tuple[str, str]]

    def source(self, name: str) -> str:
        """Return a definition as it is written, decorators included.

        Raises:
            KeyError: there is none of that name at the module's top.
        """
        node = self.defined[name]
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        return _NOTES.sub("", "\n".join(self.text.splitlines()[first - 1 : self.ends[name]]))


@cache
def module(name: str) -> Module:
    """Read a module, which is not imported, and torch with it."""
    path = ROOT / f"{name.replace('.', '/')}.py"
    if name.partition(".")[0] != "playground":
        spec = importlib.util.find_spec(name)
        assert spec and spec.origin
        path = Path(spec.origin)
    elif not path.exists():
        path = path.with_suffix("") / "__init__.py"
    text = path.read_text(encoding="utf-8")
    defined, imported, ends, last = {}, {}, {}, ""
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef(name=last) | ast.ClassDef(name=last) | ast.Assign(targets=[ast.Name(id=last), *_]):
                defined[last], ends[last] = node, node.end_lineno
            case ast.ImportFrom(module=str(source)) if source.startswith("playground"):
                imported |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
            case ast.Expr(value=ast.Constant(value=str())) if last:
                ends[last] = node.end_lineno  # the words below a constant are a part of it
    return Module(name, text, defined, ends, imported)


def constant(of: str, name: str) -> Any:
    """Return the value of a constant that a module writes out."""
    node = module(of).defined[name]
    assert isinstance(node, ast.Assign)
    return ast.literal_eval(node.value)


def class_name(where: str, alias: str = "nn") -> str:
    """Write how the script names a class: torch's own by where it is, as "torch.nn:ReLU", another by its name alone."""
    of, _, name = where.partition(":")
    return f"{alias}.{name}" if of.startswith("torch.") else name


class Lifter:
    """Takes definitions out of modules, each once; `code` has those taken so far, by their names in the script."""

    def __init__(self) -> None:
        self.code: dict[str, str] = {}

    def define(self, where: str, name: str = "", **known: Any) -> str:
        """Return a function, class or constant, and what it uses that was not taken yet, with empty lines between.

        Args:
            where: as "playground.data.augment:flip"; what is torch's own needs no definition.
            name: another name for it in the script.
            known: values of parameters, which it then does not take; of parts of them with "__" for ".".
        """
        of, _, its = where.partition(":")
        before = set(self.code)
        if not of.startswith("torch."):
            values = {key.replace("__", "."): value for key, value in known.items()}
            self._take(module(of), its, values, name or its)
        return "\n\n\n".join(code for key, code in self.code.items() if key not in before)

    def expression(self, where: str, **known: Any) -> str:
        """Return what a function comes to, given the values of its parameters, on one line."""
        of, _, its = where.partition(":")
        node = module(of).defined[its]
        assert isinstance(node, ast.FunctionDef)
        values = {key.replace("__", "."): value for key, value in known.items()}
        simple = Simplifier(module(of).text, values, lambda call, within: self._call(module(of), call, within))
        return ast.unparse(
            ast.parse(simple.block(node.body[1:], node.body[0].end_lineno or 0).text.removeprefix("return "))
        )

    def _take(self, of: Module, its: str, known: dict[str, Any], name: str) -> None:
        if name in self.code:
            return
        node = of.defined[its]
        if isinstance(node, ast.FunctionDef):
            code = self._function(of, node, known, name)
        else:
            code = of.source(its)
            self._take_used(of, code, its)
        self.code.pop(name, None)
        self.code[name] = code  # after what it uses

    def _take_used(self, of: Module, code: str, but: str) -> None:
        """Take what code of a module uses of it and of our others, as it is."""
        parts = list(ast.walk(ast.parse(code)))
        own = {part.arg for part in parts if isinstance(part, ast.arg)} | {but}
        for part in parts:
            if isinstance(part, ast.Name) and part.id not in own and (found := _find(of, part.id)):
                self._take(*found, {}, part.id)

    def _function(self, of: Module, node: ast.FunctionDef, known: dict[str, Any], name: str) -> str:
        """Write a function, and take what it uses."""
        taken = [arg for arg in node.args.args if arg.arg not in known]
        if not known:
            self._take_used(of, of.source(node.name), node.name)
            return re.sub(r"^def \w+", f"def {name}", of.source(node.name), count=1, flags=re.MULTILINE)
        simple = Simplifier(of.text, known, lambda call, within: self._call(of, call, within))
        words = '"""' + (ast.get_docstring(node) or "").partition("\n")[0] + '"""'
        body = simple.block(node.body[1:], node.body[0].end_lineno or 0).text
        self._take_used(of, f"def {name}():\n" + _indented(body), name)
        return f"{_header(node, name, taken)}\n    {words}\n{_indented(_NOTES.sub('', body))}"

    def _call(self, of: Module, call: ast.Call, within: Simplifier) -> str | None:
        """Write a call of one of our functions without the arguments that are known, and take it without them too."""
        found = _find(of, call.func.id) if isinstance(call.func, ast.Name) else None
        if not found or not isinstance(node := found[0].defined[found[1]], ast.FunctionDef):
            return None
        known: dict[str, Any] = {}
        given: list[str] = []
        for parameter, argument in zip(node.args.args, call.args, strict=False):
            try:
                value = within.value(argument)
                if value is not None and isinstance(value, _PLAIN) and not isinstance(value, Code):
                    raise Unknown
                known[parameter.arg] = value
            except Unknown:
                given.append(within.expression(argument))
                base = f"{ast.unparse(argument)}."
                parts = {key: value for key, value in within.known.items() if key.startswith(base)}
                known |= {f"{parameter.arg}.{key.removeprefix(base)}": value for key, value in parts.items()}
        if not known:
            return None
        self._take(*found, known, found[1])
        given += [within.expression(keyword) for keyword in call.keywords]
        return f"{found[1]}({', '.join(given)})"


def _find(of: Module, name: str) -> tuple[Module, str] | None:
    """Find where a name is defined that a module uses; None where it is not ours."""
    if name in of.defined:
        return of, name
    if name in of.imported:
        return _find(module(of.imported[name][0]), of.imported[name][1])
    return None


def _header(node: ast.FunctionDef, name: str, taken: list[ast.arg]) -> str:
    """Write the first line of a function that takes these arguments alone."""
    decorators = "".join(f"@{ast.unparse(each)}\n" for each in node.decorator_list)
    given = [ast.unparse(each) for each in taken]
    for argument, default in zip(reversed(node.args.args), reversed(node.args.defaults), strict=False):
        if argument in taken:
            given[taken.index(argument)] += f"{' = ' if argument.annotation else '='}{ast.unparse(default)}"
    arguments = ", ".join(given)
    ends = f" -> {ast.unparse(node.returns)}:" if node.returns else ":"
    line = f"def {name}({arguments}){ends}"
    return decorators + (line if len(line) <= 120 else f"def {name}(\n    {arguments}\n){ends}")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.split("\n"))
