"""Functions, arguments and results as the text that travels: by the SDK's own serialiser.

How a function travels is chosen for each one. Its source is readable in its crate, needs no module at the endpoint and
suits another release of Python, but brings nothing along that stands outside of it; ``dill`` brings the globals of a
script's functions along, and takes those of an importable module by name (``serialize/concretes.py`` of
globus-compute-sdk). ``AllCodeStrategies`` carries both, source first.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import inspect
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prov_worker.errors import InputError, MissingExtraError


@dataclass(frozen=True, slots=True)
class PackedFunction:
    """A function as it is registered.

    Attributes:
        name: of the function.
        sha256: digest of its source and of what it needs besides; two functions of one digest are one, whatever module
            and line they stand in.
        shell: it is a ``ShellFunction``: its value has an exit status.
        function: the function itself.
    """

    name: str
    sha256: str
    shell: bool
    function: Callable[..., Any]


def serializer_for(function: Callable[..., Any] | None = None) -> Any:
    """Return a ``ComputeSerializer`` with the strategy that suits a function.

    Raises:
        MissingExtraError: globus-compute-sdk is not installed.
    """
    try:
        from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer
    except ImportError as error:
        raise MissingExtraError("jobs need globus-compute-sdk", "jobs", error) from error
    by_source = isinstance(function, types.FunctionType) and not _reaches_out(function)
    return ComputeSerializer(strategy_code=AllCodeStrategies()) if by_source else ComputeSerializer()


def pack_function(function: Callable[..., Any]) -> PackedFunction:
    """Return what tells a function from others.

    Raises:
        InputError: it cannot be sent.
    """
    if not callable(function):
        raise InputError(f"{function!r}: is not a function")
    name = getattr(function, "__name__", None)
    if not isinstance(name, str):
        raise InputError(f"{function!r}: cannot be sent: it has no __name__; call it in a function")
    try:
        text = serializer_for(function).serialize(function)
    except MissingExtraError:
        raise
    except Exception as error:
        raise InputError(f"function {name}: cannot be sent: {_cause(error)}") from error
    content = _content(function, set()) or text
    digest = hashlib.sha256(f"{name}\n{content}".encode("utf-8", "surrogatepass")).hexdigest()
    return PackedFunction(name, digest, is_shell(function), function)


def is_shell(function: object) -> bool:
    """Return whether a function is one of the SDK's for shell commands, whose value has an exit status."""
    from globus_compute_sdk import ShellFunction

    return isinstance(function, ShellFunction)


def pack_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return arguments as text: both buffers, each after its length.

    Raises:
        InputError: an argument cannot be serialised.
    """
    serializer = _serializer()
    try:
        packed = [serializer.serialize(args) if args else _packed_none()]
        packed.append(serializer.serialize(dict(kwargs)) if kwargs else _packed_empty())
    except Exception as error:
        raise InputError(f"arguments: cannot be sent: {_cause(error)}") from error
    return str(serializer.pack_buffers(packed))


def unpack_arguments(payload: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that :func:`pack_arguments` packed.

    Raises:
        InputError: they cannot be read here.
    """
    serializer = _serializer()
    try:
        args, kwargs = (serializer.deserialize(part) for part in serializer.unpack_buffers(payload))
    except Exception as error:
        raise InputError(f"arguments: cannot be read here: {_cause(error)}") from error
    return tuple(args), dict(kwargs)


def pack_task(task_id: uuid.UUID, call: str) -> bytes:
    """Return the message that brings a packed call to a worker."""
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Task

    packed: bytes = messagepack.pack(Task(task_id=task_id, task_buffer=call))
    return packed


def unpack_call(packed: str) -> tuple[str, str]:
    """Return the serialised function of a packed call, and its packed arguments; nothing is deserialised.

    Raises:
        InputError: it is not a packed call.
    """
    serializer = _serializer()
    try:
        function, *arguments = serializer.unpack_buffers(packed)
    except Exception as error:
        raise InputError(f"call: cannot be read: {_cause(error)}") from error
    if len(arguments) != 2:
        raise InputError(f"call: has {len(arguments) + 1} parts, and not a function with two of arguments")
    return function, str(serializer.pack_buffers(arguments))


def unpack_result(text: str) -> Any:
    """Return the value that a worker serialised.

    Raises:
        InputError: it cannot be read here, such as an object of a package that is not installed.
    """
    try:
        return _serializer().deserialize(text)
    except Exception as error:
        raise InputError(f"the result cannot be read here: {_cause(error)}") from error


@functools.cache
def _serializer() -> Any:
    return serializer_for()


@functools.cache
def _packed_none() -> str:
    return str(_serializer().serialize(()))


@functools.cache
def _packed_empty() -> str:
    return str(_serializer().serialize({}))


def _content(function: object, seen: set[int]) -> str | None:
    """Return a function as text: its source and the values that it reaches out for; None without a source."""
    if not isinstance(function, types.FunctionType) or id(function) in seen:
        return None
    seen.add(id(function))
    try:
        parts = [inspect.getsource(function)]
        reached = dict(zip(function.__code__.co_freevars, (c.cell_contents for c in function.__closure__ or ())))  # noqa: B905
        for name in sorted(set(_global_names(function.__code__))):
            if name in function.__globals__ and not hasattr(builtins, name):
                reached[name] = function.__globals__[name]
        for name, value in reached.items():
            if not isinstance(value, (types.ModuleType, type)):
                parts.append(f"{name}: {_content(value, seen) or _serializer().serialize(value)}")
    except Exception:  # whatever has no source or cannot be serialised: its own text will do
        return None
    return "\n".join(parts)


def _cause(error: BaseException) -> str:
    """Return what was wrong below the SDK's own wrapping, on one line."""
    cause = error.__cause__ or error
    return " ".join(f"{type(cause).__name__}: {cause}".split())


def _reaches_out(function: types.FunctionType) -> bool:
    """Return whether a function needs something of its module or of one around it, or has no source."""
    if function.__closure__ or function.__name__ == "<lambda>" or function.__qualname__ != function.__name__:
        return True
    return any(
        name in function.__globals__ and not hasattr(builtins, name) for name in _global_names(function.__code__)
    )


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Yield names that a function and those inside it look up outside of them."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)
