"""The functions that a worker has met: each has a number in the journal, and is described there once."""

from __future__ import annotations

import json
from types import FunctionType
from typing import Any

from prov_worker.interruptions import is_own
from prov_worker.recorder import functions

_MAX_FUNCTIONS = 1000
_MAX_KEPT_BUFFER = 64 << 10


class KnownFunction:
    """One function.

    Attributes:
        number: in the journal.
        names: of its parameters.
        code: what it runs; None if it is not a Python function.
        line: what describes it, until that has been written.
        quick: how many quick calls in a row it had.
        command: whether it runs a shell command.
        redacted: whether something was taken out of its source.
        limit_s: of the command.
    """

    __slots__ = ("code", "command", "limit_s", "line", "names", "number", "quick", "redacted")

    def __init__(self, number: int, names: tuple[str, ...], code: Any) -> None:
        self.command = self.redacted = False
        self.limit_s: float | None = None
        self.line: bytes | None = None
        self.number = number
        self.names = names
        self.code = code
        self.quick = 0


def _is_code_alone(function: FunctionType) -> bool:
    """Return whether a function is bound to nothing, and around no other one."""
    return not (function.__closure__ or function.__defaults__ or function.__kwdefaults__ or function.__dict__)


class KnownFunctions:
    """Finds what is known of a function by its serialised form, or by what it is made of."""

    def __init__(self) -> None:
        self._functions: dict[Any, KnownFunction] = {}
        self._count = 0
        self._packed = ""
        self._last: KnownFunction | None = None
        #: The last one that came unpacked and is nothing but its code, and what it went by.
        self._plain: tuple[KnownFunction | None, str | None] = None, None

    def clear(self) -> None:
        """Forget all, so that each is described again; numbers go on."""
        self._functions.clear()
        self._packed, self._last = "", None
        self._plain = None, None

    def find(self, packed: str, function: Any, name: str | None = None) -> KnownFunction:
        """Return what is known of a function; of a new one, with the line that describes it.

        Args:
            packed: the serialised function, and its arguments behind it, each after its length; empty if it came as
                it is.
            function: what came out of it.
            name: what it goes by, if that is not its own name.
        """
        code = function.__code__ if type(function) is FunctionType else None
        last = self._last
        if last is not None and packed == self._packed and (last.code is code or last.code == code):
            return last
        buffer: str | None = None
        key: Any = None
        plain = code is not None and not packed and _is_code_alone(function)
        if plain and self._plain[1] == name and self._plain[0] is not None and self._plain[0].code is code:
            return self._plain[0]  # a code's hash is that of all its instructions
        if packed:
            try:
                newline = packed.index("\n", 0, 32) + 1
                buffer = packed[newline : newline + int(packed[: newline - 1])]
                key = buffer if len(buffer) <= _MAX_KEPT_BUFFER else None
            except ValueError as error:
                if not is_own(error):
                    raise
                # not the packing we know: the function is described by what it is alone
        else:
            key = (functions.bound_key(function), name)
        entry = self._functions.get(key) if key is not None else None
        # one payload names an importable function whatever its code: it may have been loaded again
        if entry is None or not (entry.code is code or entry.code == code):
            entry = self._describe(function, buffer, code, name)
            if key is not None:
                if len(self._functions) >= _MAX_FUNCTIONS:
                    self._functions.clear()
                self._functions[key] = entry
        if 0 < len(packed) <= _MAX_KEPT_BUFFER and key is not None:
            self._packed, self._last = packed, entry
        elif plain:
            self._plain = entry, name
        return entry

    def _describe(self, function: Any, buffer: str | None, code: Any, name: str | None) -> KnownFunction:
        self._count += 1
        unwrapped = functions.unwrap(function)
        entry = KnownFunction(self._count, functions.parameter_names(unwrapped), code)
        fields = {"t": "function", "k": entry.number, **functions.function_fields(function, buffer, unwrapped)}
        entry.command, entry.limit_s = "command" in fields, fields.get("limit")
        entry.redacted = "redacted" in fields
        if name is not None:
            fields["name"] = name
        entry.line = json.dumps(fields).encode() + b"\n"
        return entry
