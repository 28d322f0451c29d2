"""Describe a callable: what it is, which function runs in the end, and what the agent proves its source by.

Done once per function. Attributes are read from dictionaries, so that no code of the user's runs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import pickle
import sys
import types
from typing import Any

from prov_worker import code_form
from prov_worker.interruptions import is_own
from prov_worker.recorder.capture import HASH_LIMIT, type_name
from prov_worker.redact import redact, redact_part, secret_values

_MAX_SOURCE = 1 << 20
_MAX_LAYERS = 32
_MAX_DOC = 1000
#: ``inspect.CO_GENERATOR``, ``CO_COROUTINE`` and ``CO_ASYNC_GENERATOR``.
_FLAG_KINDS = ((0x20, "generator function"), (0x80, "coroutine function"), (0x200, "asynchronous generator function"))
_BUILT_IN = (
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)
#: Strategies of Globus Compute that send source as ``name:source``, and those that send a pickle of both.
_TEXT, _PICKLED = ("st\n", "sd\n"), ("04\n", "03\n")


#: Globus Compute's shell commands, and Parsl's.
_SHELL, _SHELL_CLASS = "globus_compute_sdk.sdk.shell_function", "ShellFunction"
_BASH_APPS = "prov_worker.recorder.bash_apps"


class Unwrapped:
    """What a callable is made of.

    Attributes:
        function: the Python function that runs in the end; None if there is none.
        kind: what the callable is, such as ``function``, ``partial of decorated function`` or ``method``.
        wrappers: functions around it that name it as ``__wrapped__`` (PEP 362), outermost first.
        bound: positional and keyword arguments of partials.
        bound_count: positional arguments that are given already, ``self`` too.
    """

    __slots__ = ("bound", "bound_count", "function", "kind", "wrappers")

    def __init__(self, function: types.FunctionType | None, kind: str) -> None:
        self.function = function
        self.kind = kind
        self.wrappers: list[types.FunctionType] = []
        self.bound: list[Any] = []
        self.bound_count = 0


def unwrap(value: Any) -> Unwrapped:
    """Return what a callable is made of, whatever partials, methods and decorators are around it."""
    partial = decorated = False
    base = ""
    unwrapped = Unwrapped(None, "object")
    for _ in range(_MAX_LAYERS):
        kind = type(value)
        if kind is functools.partial:
            partial = True
            unwrapped.bound.append((value.args, value.keywords))
            unwrapped.bound_count += len(value.args)
            value = value.func
        elif kind is types.MethodType:
            base = base or "method"
            unwrapped.bound_count += 1
            value = value.__func__
        elif kind is types.FunctionType:
            wrapped = value.__dict__.get("__wrapped__")
            if wrapped is None:
                unwrapped.function = value
                base = base or _kind_of_code(value.__code__)
                break
            decorated = True
            unwrapped.wrappers.append(value)
            value = wrapped
        elif kind in _BUILT_IN:
            base = base or "built-in function"
            break
        elif issubclass(kind, type):
            base = base or "class"
            break
        else:
            attributes = _attributes(value)
            if "__wrapped__" in attributes:
                decorated = True
                value = attributes["__wrapped__"]
                continue
            base = base or "callable object"
            call = next((c.__dict__["__call__"] for c in kind.__mro__ if "__call__" in c.__dict__), None)
            if type(call) is not types.FunctionType:
                break
            unwrapped.bound_count += 1
            value = call
    unwrapped.kind = f"{'partial of ' if partial else ''}{'decorated ' if decorated else ''}{base or 'object'}"
    return unwrapped


def _kind_of_code(code: types.CodeType) -> str:
    for flag, kind in _FLAG_KINDS:
        if code.co_flags & flag:
            return kind
    return "lambda" if code.co_name == "<lambda>" else "function"


def _attributes(value: Any) -> dict[str, Any]:
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return attributes if type(attributes) is dict else {}


def parameter_names(unwrapped: Unwrapped) -> tuple[str, ...]:
    """Return the names of the positional parameters that a caller gives, in order; empty if they cannot be known."""
    if unwrapped.function is None:
        return ()
    code = unwrapped.function.__code__
    return code.co_varnames[unwrapped.bound_count : code.co_argcount]


def function_fields(function: Any, buffer: str | None, unwrapped: Unwrapped | None = None) -> dict[str, Any]:
    """Return the fields of a ``function`` line.

    Args:
        function: the callable that will be called.
        buffer: its serialised form, whose first line names the strategy; None if it is not known.
        unwrapped: what it is made of, if that was looked at already.
    """
    unwrapped = unwrapped or unwrap(function)
    inner = unwrapped.function
    fields: dict[str, Any] = {
        "name": _name(function, inner),
        "module": _text(_module(function, inner)),
        "doc": _doc(function, inner),
        "kind": unwrapped.kind,
    }
    if buffer is not None:
        fields["strategy"], fields["size"] = buffer[:2], len(buffer)
        if len(buffer) <= HASH_LIMIT:
            fields["payload"] = hashlib.sha256(buffer.encode("utf-8", "surrogatepass")).hexdigest()
        sent = sent_sources(buffer)
        if sent:
            secrets = secret_values()
            fields["sent"] = [redact(source, secrets) for source in sent]
            if fields["sent"] != sent:
                fields["redacted"] = True  # and so not what was compiled
    if is_command(function):
        from prov_worker.recorder import commands

        return fields | commands.function_fields(function)
    bash_apps = sys.modules.get(_BASH_APPS)  # loaded by whatever is one
    if bash_apps is not None and type(function) is bash_apps.BashCommand:
        fields["kind"] = "Parsl bash app"
    if inner is not None:
        code = inner.__code__
        bound = code_form.Bound([code_form.bound_values(inner), unwrapped.bound])
        around = code_form.Bound([_around(wrapper, unwrapped) for wrapper in unwrapped.wrappers])
        fields |= {
            "file": code.co_filename,
            "line": code.co_firstlineno,
            "form": code_form.digest(code_form.code_form(code)),
            "python": code_form.python_version(),
            "compiled": [code.co_flags & code_form.FUTURE_FLAGS, sys.flags.optimize],
            "bound": code_form.digest([bound.form, around.form]),
        }
        if bound.has_code:
            fields["minor"] = True
        wrappers = [code_form.code_form(wrapper.__code__) for wrapper in unwrapped.wrappers]
        fields["of"] = "code"
        fields["sha256"] = code_form.digest(["code", fields["python"], fields["form"], fields["bound"], wrappers])
    return fields


def is_command(function: Any) -> bool:
    """Return whether a callable is a ``ShellFunction``, or of a class made from it such as ``MPIFunction``."""
    module = sys.modules.get(_SHELL)
    shell = None if module is None else vars(module).get(_SHELL_CLASS)
    return shell is not None and shell in type(function).__mro__


def bound_key(function: Any) -> tuple[Any, ...] | None:
    """Return what tells calls of one function from those of another, for callables that came unpacked.

    None if it has no code. Functions of one code differ by what they are bound to.
    """
    unwrapped = unwrap(function)
    inner = unwrapped.function
    if inner is None:
        return None
    values = [code_form.bound_values(inner), unwrapped.bound]
    return (inner.__code__, code_form.digest(code_form.Bound(values).form) if any(values) else None)


def _around(wrapper: types.FunctionType, unwrapped: Unwrapped) -> list[Any]:
    """Return what a wrapper is bound to but for the functions that it calls, which are hashed on their own."""
    return [
        value
        for value in code_form.bound_values(wrapper)
        if type(value) is not tuple or len(value) < 2 or type(value[1]) is not types.FunctionType
    ]


def _name(function: Any, inner: types.FunctionType | None) -> str:
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        return name
    if type(function) is functools.partial and inner is not None:
        return inner.__name__
    return type_name(function)


def _module(function: Any, inner: types.FunctionType | None) -> Any:
    if type(function) is functools.partial and inner is not None:
        return inner.__module__
    return getattr(function, "__module__", None)


def _doc(function: Any, inner: types.FunctionType | None) -> str | None:
    """Return first paragraph of the docstring: of a partial, that of the function."""
    own = None if type(function) is functools.partial else getattr(function, "__doc__", None)
    for doc in (own, inner.__doc__ if inner is not None else None):
        if isinstance(doc, str) and doc.strip():
            return redact_part(doc.strip().split("\n\n", 1)[0].strip(), _MAX_DOC)
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def sent_sources(buffer: str) -> list[str]:
    """Return the source texts that a serialised function carries, each once, in the order in which they are tried.

    Source: ``globus_compute_sdk.serialize.concretes``. ``st`` and ``sd`` are ``name:source``; ``03`` and ``04`` a
    pickle of both; ``10`` and ``12`` have several parts.
    """
    sources: dict[str, None] = {}
    size = 0
    for part in _parts(buffer):
        source = _source_of_part(part)
        if source is not None and source not in sources:
            size += len(source)
            if size > _MAX_SOURCE:
                break
            sources[source] = None
    return list(sources)


def _parts(buffer: str) -> list[str]:
    kind, body = buffer[:3], buffer[3:]
    if kind == "12\n":
        parts = []
        while body:
            length, _, rest = body.partition("\n")
            if not length.isdigit():
                break
            parts.append(rest[: int(length)])
            body = rest[int(length) :]
        return parts
    if kind == "10\n":
        return _colon_parts(body)
    return [buffer]


def _colon_parts(body: str) -> list[str]:
    """Return parts of ``CombinedCode``: identifiers and payloads between colons.

    Text parts have colons of their own, so that a part of text ends before the next identifier between two colons.
    """
    parts: list[str] = []
    for piece in body.split(":"):
        if piece in ("00\n", "01\n", *_PICKLED, *_TEXT):
            parts.append(piece)
        elif parts:
            parts[-1] += piece if parts[-1] == parts[-1][:3] else ":" + piece
    return parts


def _source_of_part(part: str) -> str | None:
    kind, body = part[:3], part[3:]
    if kind in _TEXT:
        return body.partition(":")[2]
    if kind in _PICKLED and len(body) <= 2 * _MAX_SOURCE:
        try:
            pair = _PlainUnpickler(io.BytesIO(base64.b64decode(body))).load()
        except Exception as error:  # whatever a damaged pickle does, there is no source in it
            if not is_own(error):
                raise
            return None
        if type(pair) is tuple and len(pair) == 2 and type(pair[1]) is str:
            return pair[1]
    return None


class _PlainUnpickler(pickle.Unpickler):
    """Reads built-in data alone: a part that Globus Compute did not need is not run either."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every class and function."""
        raise pickle.UnpicklingError(f"{module}.{name} in a part that has text alone")
