"""Normal forms of code objects and of the values that a function is bound to, and their sha256.

A form is plain JSON data that is equal for equal code, whatever the file, the line, the hash seed and the process.
Byte code is one thing per minor version of Python, so that forms with code in them compare within one alone.
Computed in workers, once per function: code of the user's is never called, objects of other types than Python's own are
named by their type.
"""

from __future__ import annotations

import hashlib
import json
import sys
import types
from collections.abc import Iterable
from typing import Any

#: Of ``co_flags``, those that say how a function takes its arguments and runs (``inspect.CO_*``); the others say how it
#: was compiled.
_FLAGS = 0x3AF
#: Bits of ``co_flags`` that ``from __future__`` sets, as ``compile`` takes them (``__future__.all_feature_names``).
FUTURE_FLAGS = 0x1FE0000
_MAX_NODES = 2000
_MAX_BYTES = 1 << 20
_MAX_DEPTH = 32
_CONSTANTS = {None: "None", True: "True", False: "False"}
_NAMED = (types.BuiltinFunctionType, types.ModuleType, type)


def python_version() -> str:
    """Return what code objects are comparable within, such as ``cpython 3.11``."""
    return f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"


def digest(form: Any) -> str:
    """Return the sha256 of a form, hex."""
    return hashlib.sha256(_text(form).encode()).hexdigest()


def code_form(code: types.CodeType) -> list[Any]:
    """Return the normal form of a code object, with all code nested in it.

    It has the instructions, constants, names of variables (free ones too), and how arguments are taken; not the file,
    the lines, the qualified name, and whether it was compiled with ``from __future__ import annotations``.
    """
    instructions, constants = code.co_code, list(code.co_consts)
    if "__firstlineno__" in code.co_names:  # the body of a class, since Python 3.13
        instructions, constants = _without_line(code)
    forms = _Forms(None)
    return [
        "code",
        code.co_name,
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS],
        instructions.hex(),
        getattr(code, "co_exceptiontable", b"").hex(),
        [list(code.co_names), list(code.co_varnames), list(code.co_freevars), list(code.co_cellvars)],
        [forms.of(constant) for constant in constants],
    ]


def _without_line(code: types.CodeType) -> tuple[bytes, list[Any]]:
    """Return instructions and constants of a class body without its first line, and with its attributes in one order.

    Python 3.13.0 gathers ``__static_attributes__`` in a set.
    """
    from opcode import opmap

    instructions, store = bytearray(code.co_code), opmap["STORE_NAME"]
    name = code.co_names.index("__firstlineno__") & 0xFF
    for at in range(2, len(instructions), 2):
        if instructions[at] == store and instructions[at + 1] == name:
            instructions[at - 2 : at] = b"\0\0"  # loads the line
            break
    constants: list[Any] = [
        "<first line>" if c == code.co_firstlineno and type(c) is int else c for c in code.co_consts
    ]
    if "__static_attributes__" in code.co_names:
        constants = [
            tuple(sorted(c)) if type(c) is tuple and all(type(part) is str for part in c) else c for c in constants
        ]
    return bytes(instructions), constants


class Bound:
    """The values that a function is bound to: of free variables, defaults, and the arguments of a partial.

    Attributes:
        form: of them; values of other types than Python's own are in it as their type alone, and what is beyond a bound
            as its length.
        has_code: functions are among them, so that the form compares within one minor version of Python.
    """

    def __init__(self, values: Iterable[Any]) -> None:
        forms = _Forms(_MAX_NODES)
        self.form = [forms.of(value) for value in values]
        self.has_code = forms.has_code


def bound_values(function: types.FunctionType) -> list[Any]:
    """Return free variables with their values, and defaults, of a function; empty if it has none."""
    values: list[Any] = []
    if function.__closure__:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=False):
            try:
                values.append((name, cell.cell_contents))
            except ValueError:  # not set yet
                values.append((name,))
    if function.__defaults__:
        values.append(("defaults", function.__defaults__))
    if function.__kwdefaults__:
        values.append(("keyword defaults", function.__kwdefaults__))
    return values


class _Forms:
    """Makes forms of values, within a bound on their number and bytes if one is given."""

    def __init__(self, nodes: int | None) -> None:
        self._nodes = nodes
        self._bytes = _MAX_BYTES
        self._open: set[int] = set()
        self.has_code = False

    def of(self, value: Any) -> Any:
        """Return the form of a value."""
        kind = type(value)
        if self._nodes is not None:
            self._nodes -= 1
            if self._nodes < 0 or len(self._open) > _MAX_DEPTH or id(value) in self._open:
                return ["left out", kind.__name__]
            if kind is str or kind is bytes:
                self._bytes -= len(value)
                if self._bytes < 0:
                    return ["left out", kind.__name__, len(value)]
        if value is None or kind is bool:
            return [_CONSTANTS[value]]
        if kind is int:
            return ["int", hex(value)]
        if kind is float:
            return ["float", value.hex()]
        if kind is complex:
            return ["complex", value.real.hex(), value.imag.hex()]
        if kind is str:
            return ["str", value]
        if kind is bytes:
            return ["bytes", value.hex()]
        if kind is types.CodeType:
            self.has_code = True
            return code_form(value)
        self._open.add(id(value))
        try:
            return self._of_object(value, kind)
        finally:
            self._open.discard(id(value))

    def _of_object(self, value: Any, kind: type) -> list[Any]:
        if kind is tuple or kind is list:
            return [kind.__name__, *(self.of(item) for item in value)]
        if kind is frozenset or kind is set:
            return [kind.__name__, *sorted((self.of(item) for item in value), key=_text)]
        if kind is dict:
            return ["dict", *sorted(([self.of(key), self.of(item)] for key, item in value.items()), key=_text)]
        if kind is slice:
            return ["slice", self.of(value.start), self.of(value.stop), self.of(value.step)]
        if value is Ellipsis:
            return ["Ellipsis"]
        if kind is types.FunctionType:
            self.has_code = True
            return ["function", code_form(value.__code__), *(self.of(bound) for bound in bound_values(value))]
        if kind in _NAMED:
            name = getattr(value, "__qualname__", None) or value.__name__
            return ["named", str(getattr(value, "__module__", None)), str(name)]
        return ["of type", str(kind.__module__), kind.__qualname__]


def _text(form: Any) -> str:
    return json.dumps(form, separators=(",", ":"))
