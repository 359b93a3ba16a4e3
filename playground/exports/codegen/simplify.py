"""A function's source, with what is known of one run put in: branches not taken and settings that are off are gone.

It works on the text, so comments and line breaks stay as they were written. Known are names and dotted names
("targets.ndim"), each with its value; nothing else is looked at, and nothing is imported.
"""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from textwrap import dedent, indent
from typing import Any

from playground.exports.codegen.values import Code, written

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
TORCH_DEFAULTS = {"weight": None, "label_smoothing": 0.0, "padding": 0, "stride": 1, "dilation": 1}
"""Keywords of torch's functions and modules that need not be said where they have these values."""


class Unknown(Exception):
    """The value of an expression is not known before the script runs."""


@dataclass(frozen=True)
class Lines:
    """Some statements as text, and whether what follows them is never reached."""

    text: str
    ends: bool = False


class Simplifier:
    """The text of one module, of which some names are known.

    Args:
        text: the module's source.
        known: values by names, or by dotted names.
        call: writes a call of another function of ours, from the call and this simplifier; None for others.
    """

    def __init__(
        self, text: str, known: Mapping[str, Any], call: "Callable[[ast.Call, Simplifier], str | None]"
    ) -> None:
        self.text, self.known, self.call = text.encode(), dict(known), call
        self.certain, self.left_out = True, set[str]()  # whether a statement is met for sure; assigned, but not written
        self.lines = self.text.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    # What is known

    def value(self, node: ast.expr) -> Any:
        """Return what an expression is.

        Raises:
            Unknown: the script alone will know it.
        """
        if (key := ast.unparse(node)) in self.known:
            return self.known[key]
        match node:
            case ast.Constant():
                return node.value
            case ast.Attribute() if not isinstance(base := self.value(node.value), Code):
                return getattr(base, node.attr)
            case ast.UnaryOp(op=ast.Not()):
                return not self.value(node.operand)
            case ast.BoolOp():
                return self._logic(node)
            case ast.Compare(ops=[op], comparators=[right]):
                return self._comparison(op, self.value(node.left), self.value(right))
            case ast.IfExp():
                return self.value(node.body if self.value(node.test) else node.orelse)
            case ast.Subscript():
                return self.value(node.value)[self.value(node.slice)]
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                return {self.value(key): self.value(value) for key, value in pairs if key}
            case ast.Call(keywords=[]) if not isinstance(function := self.value(node.func), Code):
                return function(*map(self.value, node.args))
        raise Unknown

    def truth(self, node: ast.expr) -> bool | None:
        """Return whether an expression holds; None where that is not known."""
        try:
            return bool(self.value(node))
        except Unknown:
            return None

    def _logic(self, node: ast.BoolOp) -> bool:
        truths, decides = [self.truth(value) for value in node.values], isinstance(node.op, ast.Or)
        if decides in truths:
            return decides
        if None in truths:
            raise Unknown
        return not decides

    def _comparison(self, op: ast.cmpop, left: Any, right: Any) -> bool:
        if isinstance(op, ast.Is | ast.IsNot):
            return (left is right) == isinstance(op, ast.Is)
        if isinstance(left, Code) or isinstance(right, Code):
            raise Unknown
        return _COMPARE[type(op)](left, right)

    def forget(self, *nodes: ast.AST) -> str:
        """Take what is assigned in these for unknown; return assignments of what it was, where these were left out."""
        parts = [part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)]
        stored = {part.id for part in parts if isinstance(part.ctx, ast.Store)}
        before = [f"{name} = {written(self.known[name])}\n" for name in sorted(stored & self.left_out)]
        self.left_out -= stored
        self.known = {key: value for key, value in self.known.items() if key.partition(".")[0] not in stored}
        return "".join(before)

    # Expressions

    def span(self, node: Any) -> tuple[int, int]:
        """Return where a node's text begins and ends, in bytes."""
        return (
            self.starts[node.lineno - 1] + node.col_offset,
            self.starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def expression(self, node: ast.AST) -> str:
        """Write an expression, or any other node without statements in it."""
        match node:
            case ast.IfExp() if (holds := self.truth(node.test)) is not None:
                return self.expression(node.body if holds else node.orelse)
            case ast.BoolOp() if (holds := self.truth(node)) is not None:
                return written(holds)
            case ast.BoolOp():
                open_ = [value for value in node.values if self.truth(value) is None]
                if 0 < len(open_) < len(node.values):
                    return (" or " if isinstance(node.op, ast.Or) else " and ").join(map(self.expression, open_))
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()) | ast.Subscript(ctx=ast.Load()):
                try:
                    return written(self.value(node))
                except (Unknown, TypeError):
                    pass
            case ast.Call():
                return self.call(node, self) or self._plain_call(node)
        return self._copied(node)

    def _copied(self, node: ast.AST) -> str:
        """Copy the text of a node, its parts simplified."""
        return self._stitched(*self.span(node), _parts(node))

    def _stitched(self, start: int, end: int, parts: Iterable[ast.AST]) -> str:
        """Copy a stretch of text in which these parts are simplified."""
        texts, at = [], start
        for part in sorted(parts, key=self.span):
            begins, ends = self.span(part)
            texts += [self.text[at:begins].decode(), self.expression(part)]
            at = ends
        return "".join([*texts, self.text[at:end].decode()])

    def _plain_call(self, node: ast.Call) -> str:
        """Write a call without the arguments that torch assumes anyway, and with a known dict's entries spelt out."""
        given: list[str] = []
        as_it_is = not any(isinstance(argument, ast.Starred) for argument in node.args)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                given += map(written, self.value(argument.value))
            else:
                given.append(self.expression(argument))
        for keyword in node.keywords:
            try:
                value = self.value(keyword.value)
            except Unknown:
                given.append(self._copied(keyword))
                continue
            if keyword.arg is None:
                given += [f"{name}={written(each)}" for name, each in value.items()]
                as_it_is = False
            elif ast.unparse(node.func)[:2] in ("F.", "nn") and TORCH_DEFAULTS.get(keyword.arg, node) == value:
                as_it_is = False
            else:
                given.append(self._copied(keyword))
        return self._copied(node) if as_it_is else f"{self.expression(node.func)}({', '.join(given)})"

    # Statements

    def block(self, body: list[ast.stmt], line: int) -> Lines:
        """Write statements one below the other, not indented; `line` is the last one before them, without comments."""
        parts = []
        for statement in body:
            lead = self._raw_lines(line, statement.lineno - 1)
            line = statement.end_lineno or line
            rest = self._rest_of(statement)
            done = self.statement(statement)
            if done.text:
                parts.append(lead + done.text + rest)
            if done.ends:
                return Lines("\n".join(_joined(parts)), ends=True)
        return Lines("\n".join(parts))

    def _raw_lines(self, first: int, last: int) -> str:
        return dedent(b"".join(self.lines[first:last]).decode()).lstrip("\n") if last > first else ""

    def _rest_of(self, statement: ast.stmt) -> str:
        """Return the comment behind a statement."""
        if isinstance(statement, ast.If | ast.For | ast.With | ast.While | ast.Match):
            return ""
        end = self.span(statement)[1]
        comment = self.text[end : self.starts[statement.end_lineno or 0]].decode().rstrip()
        return "" if comment.lstrip().startswith(("# ty:", "# noqa")) else comment

    def statement(self, node: ast.stmt) -> Lines:
        """Write a statement, or nothing where there is nothing left of it."""
        match node:
            case ast.If():
                return self._if(node)
            case ast.Match():
                return self._match(node)
            case ast.Assert() if self.truth(node.test):
                return Lines("")
            case ast.Assign(targets=[ast.Name(id=name)]) if self.certain:
                try:
                    self.known[name] = self.value(node.value)
                    self.left_out.add(name)
                    return Lines("")
                except Unknown:
                    pass
            case ast.For() | ast.With() | ast.While():
                before = self.forget(node)
                return Lines(f"{before}{self._header(node)}\n{self._open_block(node.body)}")
        text = self._flat(node)
        before = self.forget(node) if isinstance(node, ast.AugAssign) else ""
        self.forget(node)
        return Lines(before + text, ends=isinstance(node, ast.Return | ast.Raise))

    def _open_block(self, body: list[ast.stmt]) -> str:
        """Write statements that may be met or not, indented."""
        certain, self.certain = self.certain, False
        text = self.block(body, self._line_before(body)).text
        self.certain = certain
        return indent(text, "    ")

    def _flat(self, node: ast.AST) -> str:
        """Copy a node with its parts simplified, its further lines as far left as its first."""
        first, *others = self._copied(node).split("\n")
        margin = " " * node.col_offset  # ty: ignore[missing-attribute]
        return "\n".join([first, *(line.removeprefix(margin) for line in others)])

    def _header(self, node: ast.For | ast.With | ast.While) -> str:
        """Write what stands before the block of a compound statement."""
        parts = [part for part in _parts(node) if not isinstance(part, ast.stmt)]
        end = self.text.index(b":", max(self.span(part)[1] for part in parts)) + 1
        return self._stitched(self.span(node)[0], end, parts)

    def _if(self, node: ast.If) -> Lines:
        holds = self.truth(node.test)
        if holds is not None:
            taken = node.body if holds else node.orelse
            return self.block(taken, self._line_before(taken)) if taken else Lines("")
        if isinstance(node.body[-1], ast.Raise) and not node.orelse:
            return Lines("")  # what was refused before the run is not refused again
        test, before = self.expression(node.test), self.forget(*node.body, *node.orelse)
        text = f"{before}if {test}:\n{self._open_block(node.body)}"
        if node.orelse:
            other = self._open_block(node.orelse)
            chained = self.text[slice(*self.span(node.orelse[0]))].startswith(b"elif") and other.startswith("    if ")
            text += f"\nel{dedent(other)}" if chained else f"\nelse:\n{other}" if other else ""
        return Lines(text)

    def _line_before(self, body: list[ast.stmt]) -> int:
        """Return the line before a block and the comments at its head."""
        line = body[0].lineno - 1
        while self.lines[line - 1].lstrip().startswith(b"#"):
            line -= 1
        return line

    def _match(self, node: ast.Match) -> Lines:
        """Take the case that fits; subject, patterns and guards must be known."""
        subject = self.value(node.subject)
        for case in node.cases:
            patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
            fits = any(self.value(each.value) == subject for each in patterns if isinstance(each, ast.MatchValue))
            if (fits or isinstance(case.pattern, ast.MatchAs)) and (not case.guard or self.value(case.guard)):
                return self.block(case.body, self._line_before(case.body))
        return Lines("")


def _joined(parts: list[str]) -> list[str]:
    """Return at once what is only named to be returned."""
    *before, last = parts
    name = last.removeprefix("return ")
    if (
        before
        and before[-1].startswith(f"{name} = ")
        and "  # " not in before[-1]
        and len(ast.parse(before[-1]).body) == 1
    ):
        return [*before[:-1], "return " + before[-1].removeprefix(f"{name} = ")]
    return parts


def _parts(node: ast.AST) -> Iterable[ast.AST]:
    """Yield the nodes within one that have a place in the text, but for those that lie within others of these."""
    if isinstance(node, ast.JoinedStr):  # its parts have no places of their own before Python 3.12
        return
    for child in ast.iter_child_nodes(node):
        if hasattr(child, "lineno"):
            yield child
        else:
            yield from _parts(child)
