"""Describe the arguments and the result of a function without keeping them and without running code of theirs.

Hashes are taken of built-in data and of buffers only: pickling anything else would call methods of user classes.
"""

from __future__ import annotations

import hashlib
import pickle
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from prov_worker.interruptions import is_own
from prov_worker.redact import is_secret_name, redact, redact_part, secret_values
from prov_worker.spool.ring_records import NONE_RESULT

#: Payloads larger than this are described by type and size alone: hashing them would be felt.
HASH_LIMIT = 1 << 20
MAX_ARGUMENTS = 64
_REPR_LIMIT = 200
_MAX_NODES = 1000
_SCALARS = (bool, int, float, complex, type(None))
_LEAVES = frozenset((bool, int, float, complex, type(None), str, bytes))
_CONTAINERS = frozenset((list, tuple, dict))
_BUFFERS = (bytes, bytearray, memoryview)
_type_names: dict[type, str] = {}


def type_name(value: Any) -> str:
    """Return qualified name of a value's type, without ``builtins``."""
    kind = type(value)
    name = _type_names.get(kind)
    if name is None:
        module = kind.__module__
        name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
        if len(_type_names) < 4096:  # classes made per task must not fill the memory
            _type_names[kind] = name
    return name


def describe(name: str, value: Any, with_value: bool, small: bool) -> str:
    """Return a value as the JSON array ``[name, type, size, length, sha256, value]``.

    Args:
        name: parameter name, or ``return``.
        value: never changed, iterated with a bound, and pickled only if it is plain built-in data.
        with_value: also give the value (numbers, booleans) or its truncated, redacted repr.
        small: whether the payload it came from is small enough to hash.
    """
    kind = type(value)
    if value is None and small:
        # what most functions return, described once
        return NONE_RESULT if name == "return" else f"[{quote(name)}{NONE_RESULT[9:]}"
    size = length = digest = None
    try:
        if kind is str:
            length = len(value)
            if small:
                data = value.encode("utf-8", "surrogatepass")
                size, digest = len(data), hashlib.sha256(data).hexdigest()
        elif kind in _BUFFERS:
            size = value.nbytes if kind is memoryview else len(value)
            digest = hashlib.sha256(value).hexdigest() if small else None
        elif kind in _CONTAINERS:
            length = len(value)
            if small and _is_plain(value):
                data = pickle.dumps(value, 4)
                size, digest = len(data), hashlib.sha256(data).hexdigest()
        elif isinstance(value, _SCALARS) and kind in _LEAVES:
            digest = hashlib.sha256(pickle.dumps(value, 4)).hexdigest() if small else None
        elif kind.__module__.partition(".")[0] in ("numpy", "array"):
            view = memoryview(value)
            size, length = view.nbytes, (view.shape or (None,))[0]
            digest = hashlib.sha256(view).hexdigest() if small and view.c_contiguous else None
    except (TypeError, ValueError, AttributeError, RecursionError, BufferError, pickle.PicklingError) as error:
        if not is_own(error):
            raise
        # what cannot be described so is described by its type
    if digest is not None and is_secret_name(name):
        digest = None  # a digest of a short secret reveals it
    shown = _shown(name, value, small) if with_value else "null"
    return (
        f"[{quote(name)},{quote(type_name(value))},{_number(size)},{_number(length)},"
        f"{'null' if digest is None else quote(digest)},{shown}]"
    )


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def _is_plain(value: Any) -> bool:
    """Return whether a container holds exact built-in types only, within a bound on the work of looking."""
    todo, seen = [value], 0
    while todo:
        item = todo.pop()
        kind = type(item)
        if kind is dict:
            todo.extend(item)
            todo.extend(item.values())
        elif kind in _CONTAINERS:
            todo.extend(item)
        elif kind not in _LEAVES:
            return False
        seen += 1
        if seen + len(todo) > _MAX_NODES:
            return False
    return True


def _shown(name: str, value: Any, small: bool) -> str:
    if is_secret_name(name):
        return '"[redacted]"'
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int and abs(value) < 1 << 53:
        return str(value)
    if kind is float and value == value and abs(value) != float("inf"):
        return repr(value)
    secrets: tuple[str, ...] | None = None
    if kind in (bytes, bytearray, str):
        # a little more than is shown, so that no half of a secret is left at the end
        text = repr(value[: 10 * _REPR_LIMIT])
        if len(text) > _REPR_LIMIT:
            secrets = secret_values()  # looked up in the whole environment: once
            text = redact_part(text, 5 * _REPR_LIMIT, secrets)
    elif kind is int:
        text = repr(value) if value.bit_length() < 4 * _REPR_LIMIT else f"<int of {value.bit_length()} bits>"
    elif kind in _LEAVES or (small and kind in _CONTAINERS and _is_plain(value)):
        text = repr(value)
    else:
        # repr() of anything else would run the user's code
        return quote(f"<{type_name(value)}>")
    # redacted before it is cut, so that no half of a secret is left at the end
    text = redact(text, secrets)
    return quote(text if len(text) <= _REPR_LIMIT else text[: _REPR_LIMIT - 1] + "…")


def describe_call(names: tuple[str, ...], args: Any, kwargs: Any, with_value: bool, small: bool) -> str:
    """Return arguments of a call as a JSON array of :func:`describe`; at most :data:`MAX_ARGUMENTS` of them."""
    count = len(names)
    parts = [
        describe(names[i] if i < count else f"args[{i}]", value, with_value, small)
        for i, value in enumerate(args[:MAX_ARGUMENTS])
    ]
    if kwargs:
        for key in list(kwargs)[: MAX_ARGUMENTS - len(parts)]:
            parts.append(describe(str(key), kwargs[key], with_value, small))
    return "[" + ",".join(parts) + "]"
