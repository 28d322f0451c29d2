"""Values of expressions (``"key.=": "source.path + '/' + item.name"``) over the state of a run.

A part of Python's expressions, evaluated by walking their tree; nothing of Python itself can be reached, and steps,
sizes and depth are bounded (https://docs.globus.org/api/flows/authoring-flows/expressions/).
"""

from __future__ import annotations

import ast
import math
import operator
import posixpath
import re
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from prov_worker.flow.machine import places
from prov_worker.flow.machine.failures import EvaluationError

_BACKTICKS = re.compile(r"`([^`]*)`")
#: Steps of one expression, members of a list or characters of a text that it makes, and digits of its numbers.
_MOST_STEPS, _MOST_MEMBERS, _MOST_BITS = 100_000, 200_000, 4096
#: The same of all values that it makes on its way.
_MOST_MADE = 1_000_000
_MAKERS = (ast.BinOp, ast.Call, ast.JoinedStr, ast.Subscript)
_MISSING = object()

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_CONSTANTS = {"true": True, "false": False, "null": None}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "dict": dict,
    "pathsplit": lambda path: list(posixpath.split(path)),
}
#: Methods of texts that pad, format or encode.
_GROWING = frozenset(("center", "encode", "expandtabs", "format", "format_map", "ljust", "maketrans", "rjust"))
_GROWING |= {"translate", "zfill"}
#: Methods by the type of their object: those that change nothing and make nothing large.
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(name for name in dir(str) if not name.startswith("_")) - _GROWING,
    list: frozenset(("count", "index", "copy")),
    dict: frozenset(("get", "items", "keys", "values", "copy")),
}


def evaluate(text: str, state: Mapping[str, Any]) -> Any:
    """Return the value of an expression: what JSON has.

    Raises:
        EvaluationError: it is none, names what is not there, or takes too much.
    """
    marked: list[str] = []

    def mark(match: re.Match[str]) -> str:
        marked.append(match[1])
        return f"__path_{len(marked) - 1}__"

    source = _BACKTICKS.sub(mark, text).strip()
    try:
        tree = ast.parse(source, mode="eval")
        return _plain(_Evaluator(state, marked).value(tree.body, {}))
    except EvaluationError as error:
        raise EvaluationError(f"{text}: {error}") from None
    except SyntaxError as error:
        raise EvaluationError(f"{text}: not an expression: {error.msg}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise EvaluationError(f"{text}: {type(error).__name__}: {error}") from None


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple, KeysView, ValuesView, ItemsView)):
        return [_plain(child) for child in value]
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise EvaluationError(f"gives a {type(value).__name__}, which is not a JSON value")


class _Evaluator:
    def __init__(self, state: Mapping[str, Any], marked: list[str]) -> None:
        self._state, self._marked = state, marked
        self._steps = self._made = 0

    def value(self, node: ast.AST, bound: dict[str, Any]) -> Any:
        """Return the value of a node; ``bound`` holds the names of comprehensions."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise EvaluationError(f"takes more than {_MOST_STEPS} steps")
        evaluate_node = _NODES.get(type(node))
        if evaluate_node is None:
            raise EvaluationError(f"{type(node).__name__} is not allowed")
        value = _bounded(evaluate_node(self, node, bound))
        if isinstance(node, _MAKERS) and isinstance(value, (str, list, dict)):
            self._made += len(value)
            if self._made > _MOST_MADE:
                raise EvaluationError("makes too much")
        return value

    def _constant(self, node: ast.Constant, _bound: dict[str, Any]) -> Any:
        if node.value is None or isinstance(node.value, (bool, int, float, str)):
            return node.value
        raise EvaluationError(f"{node.value!r} is not allowed")

    def _name(self, node: ast.Name, bound: dict[str, Any]) -> Any:
        if node.id in bound:
            return bound[node.id]
        if node.id.startswith("__path_") and node.id.endswith("__"):
            return places.read(self._state, self._marked[int(node.id[7:-2])])
        if node.id in self._state:
            return self._state[node.id]
        if node.id in _CONSTANTS:
            return _CONSTANTS[node.id]
        raise EvaluationError(f"there is no {node.id}")

    def _attribute(self, node: ast.Attribute, bound: dict[str, Any]) -> Any:
        holder = self.value(node.value, bound)
        if isinstance(holder, Mapping) and node.attr in holder:
            return holder[node.attr]
        raise EvaluationError(f"there is no {node.attr} in {ast.unparse(node.value)}")

    def _subscript(self, node: ast.Subscript, bound: dict[str, Any]) -> Any:
        holder = self.value(node.value, bound)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            return holder[slice(*(None if part is None else self.value(part, bound) for part in parts))]
        return holder[self.value(node.slice, bound)]

    def _binary(self, node: ast.BinOp, bound: dict[str, Any]) -> Any:
        left, right = self.value(node.left, bound), self.value(node.right, bound)
        function = _BINARY.get(type(node.op))
        if function is None:
            raise EvaluationError(f"the operator {type(node.op).__name__} is not allowed")
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            raise EvaluationError("texts are not formatted by %")
        _check_growth(node.op, left, right)
        return function(left, right)

    def _unary(self, node: ast.UnaryOp, bound: dict[str, Any]) -> Any:
        function = _UNARY.get(type(node.op))
        if function is None:
            raise EvaluationError(f"the operator {type(node.op).__name__} is not allowed")
        return function(self.value(node.operand, bound))

    def _boolean(self, node: ast.BoolOp, bound: dict[str, Any]) -> Any:
        value = None
        for child in node.values:
            value = self.value(child, bound)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _comparison(self, node: ast.Compare, bound: dict[str, Any]) -> bool:
        left = self.value(node.left, bound)
        for comparison, child in zip(node.ops, node.comparators, strict=True):
            right = self.value(child, bound)
            if not _COMPARE[type(comparison)](left, right):
                return False
            left = right
        return True

    def _conditional(self, node: ast.IfExp, bound: dict[str, Any]) -> Any:
        return self.value(node.body if self.value(node.test, bound) else node.orelse, bound)

    def _sequence(self, node: ast.List | ast.Tuple, bound: dict[str, Any]) -> list[Any]:
        return [self.value(child, bound) for child in node.elts]

    def _mapping(self, node: ast.Dict, bound: dict[str, Any]) -> dict[str, Any]:
        entries = {}
        for key, child in zip(node.keys, node.values, strict=True):
            if key is None:
                raise EvaluationError("** is not allowed")
            entries[str(self.value(key, bound))] = self.value(child, bound)
        return entries

    def _f_string(self, node: ast.JoinedStr, bound: dict[str, Any]) -> str:
        return "".join(str(self.value(child, bound)) for child in node.values)

    def _formatted(self, node: ast.FormattedValue, bound: dict[str, Any]) -> str:
        if node.format_spec is not None or node.conversion != -1:
            raise EvaluationError("formats of f-strings are not allowed")
        return str(self.value(node.value, bound))

    def _list_of(self, node: ast.ListComp | ast.GeneratorExp, bound: dict[str, Any]) -> list[Any]:
        return [self.value(node.elt, names) for names in self._generated(node.generators, bound)]

    def _dict_of(self, node: ast.DictComp, bound: dict[str, Any]) -> dict[str, Any]:
        generated = self._generated(node.generators, bound)
        return {str(self.value(node.key, names)): self.value(node.value, names) for names in generated}

    def _generated(self, generators: list[ast.comprehension], bound: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not generators:
            yield bound
            return
        first, rest = generators[0], generators[1:]
        for member in self.value(first.iter, bound):
            names = {**bound, **_unpacked(first.target, member)}
            if all(self.value(test, names) for test in first.ifs):
                yield from self._generated(rest, names)

    def _call(self, node: ast.Call, bound: dict[str, Any]) -> Any:
        if node.keywords:
            raise EvaluationError("functions are called without keywords")
        function = node.func
        if isinstance(function, ast.Name):
            if function.id in ("getattr", "is_present"):
                return self._presence(function.id, node, bound)
            if function.id not in _FUNCTIONS:
                raise EvaluationError(f"there is no function {function.id}")
            return _FUNCTIONS[function.id](*(self.value(child, bound) for child in node.args))
        if not isinstance(function, ast.Attribute):
            raise EvaluationError("only functions and methods by name are called")
        holder = self.value(function.value, bound)
        if function.attr not in _METHODS.get(type(holder), ()):
            raise EvaluationError(f"a {type(holder).__name__} has no method {function.attr} here")
        arguments = [self.value(child, bound) for child in node.args]
        if function.attr in ("replace", "join") and isinstance(holder, str):
            _check_text(function.attr, holder, arguments)
        return getattr(holder, function.attr)(*arguments)

    def _presence(self, name: str, node: ast.Call, bound: dict[str, Any]) -> Any:
        """Return the functions that take a place as a text: ``getattr('input.x', 10)``, ``is_present('input.x')``."""
        arguments = [self.value(child, bound) for child in node.args]
        if not arguments or not isinstance(arguments[0], str) or len(arguments) > 2:
            raise EvaluationError(f"{name} takes the name of a place as a text")
        path = arguments[0] if arguments[0].startswith("$") else f"$.{arguments[0]}"
        try:
            value = places.read(self._state, path)
        except EvaluationError:
            value = _MISSING
        if name == "is_present":
            return value is not _MISSING
        return (arguments[1] if len(arguments) > 1 else None) if value is _MISSING else value


#: How each node of an expression is evaluated; others are not allowed.
_NODES: dict[type[ast.AST], Callable[[_Evaluator, Any, dict[str, Any]], Any]] = {
    ast.Constant: _Evaluator._constant,
    ast.Name: _Evaluator._name,
    ast.Attribute: _Evaluator._attribute,
    ast.Subscript: _Evaluator._subscript,
    ast.BinOp: _Evaluator._binary,
    ast.UnaryOp: _Evaluator._unary,
    ast.BoolOp: _Evaluator._boolean,
    ast.Compare: _Evaluator._comparison,
    ast.IfExp: _Evaluator._conditional,
    ast.List: _Evaluator._sequence,
    ast.Dict: _Evaluator._mapping,
    ast.JoinedStr: _Evaluator._f_string,
    ast.FormattedValue: _Evaluator._formatted,
    ast.ListComp: _Evaluator._list_of,
    ast.DictComp: _Evaluator._dict_of,
    ast.Call: _Evaluator._call,
    ast.Tuple: _Evaluator._sequence,
    ast.GeneratorExp: _Evaluator._list_of,
}


def _unpacked(target: ast.expr, member: Any) -> dict[str, Any]:
    """Return the names that a member of a comprehension gets."""
    if isinstance(target, ast.Name):
        return {target.id: member}
    if isinstance(target, (ast.Tuple, ast.List)):
        names: dict[str, Any] = {}
        for child, part in zip(target.elts, member, strict=True):
            names |= _unpacked(child, part)
        return names
    raise EvaluationError("a comprehension needs names")


def _check_growth(kind: ast.operator, left: Any, right: Any) -> None:
    """Refuse what would make a large value before it is made."""
    if isinstance(kind, ast.Pow) and isinstance(left, int) and isinstance(right, int):
        if abs(right) * max(abs(left).bit_length(), 1) > _MOST_BITS:
            raise EvaluationError("the number is too large")
    elif isinstance(kind, ast.Mult):
        for sequence, number in ((left, right), (right, left)):
            if isinstance(sequence, (str, list)) and isinstance(number, int) and len(sequence) * number > _MOST_MEMBERS:
                raise EvaluationError("the value is too large")


def _check_text(method: str, text: str, arguments: list[Any]) -> None:
    if method == "join":
        size = sum(len(part) + len(text) for part in arguments[0])
    else:
        size = len(text) + text.count(arguments[0]) * len(arguments[1])
    if size > _MOST_MEMBERS:
        raise EvaluationError("the value is too large")


def _bounded(value: Any) -> Any:
    if isinstance(value, (str, list, dict)) and len(value) > _MOST_MEMBERS:
        raise EvaluationError("the value is too large")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise EvaluationError("the number is too large")
    return value
