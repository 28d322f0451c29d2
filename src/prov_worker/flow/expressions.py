"""What an expression (``"key.=": "source.path + '/' + item.name"``) reads of the state of a run.

The language is Python's for arithmetic, texts, lists and comprehensions; names are those of the state, and a path may
stand between backticks (https://docs.globus.org/api/flows/authoring-flows/expressions/). ``getattr('x', 10)`` and
``is_present('x')`` take the name as a text and do not fail if it is absent.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from prov_worker.flow.paths import Path, parse
from prov_worker.flow.source import Steps

_BACKTICKS = re.compile(r"`([^`]*)`")
_MARK = "__path_{}__"
_CONSTANTS = {"true", "false", "null", "None", "True", "False"}
#: Methods of texts, lists and objects: ``path.rstrip('/')`` reads ``path``.
_METHODS = frozenset(name for kind in (str, list, dict, int, float) for name in dir(kind) if not name.startswith("_"))


class Read(NamedTuple):
    """A place of the state that an expression reads.

    Attributes:
        path: what is read.
        guarded: whether the expression does not fail if it is absent.
    """

    path: Path
    guarded: bool


class ExpressionError(ValueError):
    """No expression: the message says why."""


def reads(text: str) -> list[Read]:
    """Return what an expression reads, in its order.

    Raises:
        ExpressionError: it cannot be parsed, or a path between backticks is none.
    """
    paths: list[Path] = []

    def mark(match: re.Match[str]) -> str:
        path = parse(match[1])
        if path is None:
            raise ExpressionError(f"{match[1]!r} between backticks is not a path")
        paths.append(path)
        return _MARK.format(len(paths) - 1)

    source = _BACKTICKS.sub(mark, text).strip()
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ExpressionError(f"not an expression: {reason}") from None
    return list(_Reader(paths).visit(tree.body, frozenset(), frozenset()))


class _Reader:
    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def visit(self, node: ast.AST, bound: frozenset[str], sure: frozenset[Steps]) -> Iterator[Read]:
        """Yield reads of a node; ``bound`` are names of comprehensions, ``sure`` is known to be present."""
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)):
            yield from self._chain(node, bound, sure)
        elif isinstance(node, ast.Call):
            yield from self._call(node, bound, sure)
        elif isinstance(node, ast.IfExp):
            yield from self.visit(node.test, bound, sure)
            yield from self.visit(node.body, bound, sure | self._present(node.test, wanted=True))
            yield from self.visit(node.orelse, bound, sure | self._present(node.test, wanted=False))
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self.visit(value, bound, sure)
                sure |= self._present(value, wanted=isinstance(node.op, ast.And))
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            for generator in node.generators:
                yield from self.visit(generator.iter, bound, sure)
                bound |= {name.id for name in ast.walk(generator.target) if isinstance(name, ast.Name)}
                for test in generator.ifs:
                    yield from self.visit(test, bound, sure)
            for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                yield from self.visit(part, bound, sure)
        else:
            for child in ast.iter_child_nodes(node):
                yield from self.visit(child, bound, sure)

    def _chain(self, node: ast.expr, bound: frozenset[str], sure: frozenset[Steps]) -> Iterator[Read]:
        steps: list[str | int] = []
        whole = True
        while not isinstance(node, ast.Name):
            if isinstance(node, ast.Attribute):
                steps.insert(0, node.attr)
            elif isinstance(node, ast.Subscript):
                constant = node.slice.value if isinstance(node.slice, ast.Constant) else None
                if isinstance(constant, (str, int)) and not isinstance(constant, bool):
                    steps.insert(0, constant)
                else:
                    yield from self.visit(node.slice, bound, sure)
                    steps, whole = [], False
            else:
                yield from self.visit(node, bound, sure)
                return
            node = node.value
        if node.id in bound or (node.id in _CONSTANTS and not steps):
            return
        first = Path((node.id,), True)
        if node.id.startswith("__path_") and node.id.endswith("__"):
            first = self._paths[int(node.id[7:-2])]
        path = Path((*first.steps, *steps), whole) if first.whole else first
        guarded = any(path.steps[: len(present)] == present for present in sure)
        yield Read(path, guarded)

    def _call(self, node: ast.Call, bound: frozenset[str], sure: frozenset[Steps]) -> Iterator[Read]:
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("getattr", "is_present"):
            name = self._named(node)
            if name is not None:
                yield Read(Path(name, True), True)
            for argument in node.args if name is None else node.args[1:]:
                yield from self.visit(argument, bound, sure)
            return
        if isinstance(function, ast.Attribute) and function.attr in _METHODS:
            yield from self.visit(function.value, bound, sure)
        elif not isinstance(function, ast.Name):
            yield from self.visit(function, bound, sure)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from self.visit(argument, bound, sure)

    @staticmethod
    def _named(node: ast.Call) -> Steps | None:
        """Return steps of the first argument of ``getattr`` or ``is_present``, such as ``input.x`` or ``$.input.x``."""
        argument = node.args[0] if node.args else None
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            return None
        text = argument.value
        path = parse(text if text.startswith("$") else f"$.{text}")
        return path.steps if path is not None else None

    def _present(self, node: ast.expr, *, wanted: bool) -> frozenset[Steps]:
        """Return what is present if a test comes out as wanted."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return self._present(node.operand, wanted=not wanted)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And if wanted else ast.Or):
            return frozenset().union(*(self._present(value, wanted=wanted) for value in node.values))
        if wanted and isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "is_present":
            name = self._named(node)
            return frozenset() if name is None else frozenset((name,))
        return frozenset()
