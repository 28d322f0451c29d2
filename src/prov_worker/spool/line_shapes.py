"""Shapes of a journal's lines: which types the fields of each kind have.

A line is looked at when it is read, since what it says may be needed much later, when the journal of a dead worker is
closed: a damaged one is counted there and then, and cannot stop whoever finishes the other records.
:mod:`prov_worker.spool.records` says what the fields mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from prov_worker.model import Failure

Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    return type(value) is int


def _is_time(value: Any) -> bool:
    """Return nanoseconds since the epoch, to the year 2116; a duration may be as long: both have a date."""
    return type(value) is int and 0 <= value < 1 << 62


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _mapping_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _row(*checks: Check, least: int) -> Check:
    """Return a list whose members have types by their places, the last of which may be missing."""
    return lambda value: (
        isinstance(value, list)
        and least <= len(value) <= len(checks)
        and all(check(member) for check, member in zip(checks, value, strict=False))
    )


def _keys(optional: Mapping[str, Check], **required: Check) -> Check:
    """Return an object that has some keys, may have others, and any that are not known here."""
    checks = {**optional, **required}

    def has_them(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for key in required:
            if key not in value:
                return False
        for key, member in value.items():  # fewer than the keys that there may be
            check = checks.get(key)
            if check is not None and not check(member):
                return False
        return True

    return has_them


_TEXT, _INTEGER, _NUMBER = _or_none(_is_text), _or_none(_is_integer), _or_none(_is_number)
_TEXTS, _MAPPING, _VARIABLES = _or_none(_list_of(_is_text)), _or_none(_is_mapping), _or_none(_mapping_of(_is_text))
_CPUS = _or_none(_list_of(_is_integer))
_VALUE = _row(_is_text, _is_text, _INTEGER, _INTEGER, _TEXT, _or_none(_is_scalar), least=2)
_NOTES = _or_none(
    _keys({"a": _mapping_of(_is_scalar), "u": _list_of(_is_text), "g": _list_of(_is_text), "d": _INTEGER})
)
_FAILURE_KEYS = frozenset(field.name for field in fields(Failure))
_FAILURE = _keys(
    {"type": _TEXT, "traceback": _TEXT, "signal": _TEXT, "exit_status": _INTEGER}, kind=_is_text, message=_is_text
)
_ATTEMPT: dict[str, Check] = {"task": _is_text, "n": _is_count, "ns": _is_time}


def _is_failure(value: Any) -> bool:
    return _FAILURE(value) and value.keys() <= _FAILURE_KEYS


_START: dict[str, Check] = {
    "k": _INTEGER,
    "fid": _TEXT,
    "args": _or_none(_list_of(_VALUE)),
    "aff": _CPUS,
    "mpi": _VARIABLES,
    "box": _TEXT,
    "run": _TEXT,
    "call": _TEXT,
    "nocall": _TEXT,
    "part": _or_none(_keys({"of": _TEXT, "needs": _TEXTS, "steps": _TEXTS}, library=_is_text, key=_is_text)),
}
_END: dict[str, Check] = {
    "m": _is_time,
    "u": _or_none(_list_of(_NUMBER)),
    "io": _TEXT,
    "rss": _INTEGER,
    "res": _or_none(_VALUE),
    "err": _or_none(_is_failure),
    "fid": _TEXT,
    "box": _TEXT,
    "run": _TEXT,
    "files": _or_none(_mapping_of(_row(_is_integer, _is_integer, least=2))),
    "kin": _list_of(_list_of(_NUMBER)),
    "kinpeak": _INTEGER,
    "notes": _NOTES,
    "cmd": _or_none(_keys({"run": _TEXT, "launcher": _TEXT, "status": _INTEGER, "limit": _NUMBER})),
    "outf": _or_none(_list_of(_TEXT)),
    "out": _or_none(_row(_TEXT, _TEXT, least=2)),
}
_WORKER: dict[str, Check] = {
    **dict.fromkeys(("host", "place"), _is_text),
    "pid": _is_integer,
    "thread": _INTEGER,
    **dict.fromkeys(("rank", "pool", "block", "container", "endpoint", "endpoint_name"), _TEXT),
    "aff": _CPUS,
    **dict.fromkeys(("acc", "sched", "env", "versions"), _VARIABLES),
    **dict.fromkeys(("settings", "proc"), _MAPPING),
}
_FUNCTION: dict[str, Check] = {
    **dict.fromkeys(("name", "module", "doc", "sha256", "of", "source", "strategy", "kind", "python"), _TEXT),
    **dict.fromkeys(("payload", "command", "file", "form", "bound", "code"), _TEXT),
    **dict.fromkeys(("size", "line"), _INTEGER),
    "limit": _NUMBER,
    "sent": _TEXTS,
    "compiled": _CPUS,
}
_SHAPES: dict[str, Check] = {
    "worker": _keys(_WORKER),
    "function": _keys(_FUNCTION, k=_is_integer),
    "start": _keys(_START, **_ATTEMPT),
    "end": _keys(_END, dur=_is_time, ok=lambda value: value in (0, 1), **_ATTEMPT),
    "notes": _keys({"a": _MAPPING, "u": _TEXTS, "g": _TEXTS, "ns": _INTEGER}, task=_is_text, n=_is_count),
    "lost": _keys({"fid": _TEXT}, end=_is_time, err=_is_failure, **_ATTEMPT),
}
#: A quick task's ``start`` line, which has its end too.
_WHOLE = _keys({**_START, **_END}, dur=_is_time, ok=lambda value: value in (0, 1), **_ATTEMPT)


def is_sound(line: Mapping[str, Any]) -> bool:
    """Return whether a line is of a kind that is known, and its fields have the types that this kind's have."""
    kind = line.get("t")
    shape = _WHOLE if kind == "start" and "dur" in line else _SHAPES.get(kind) if isinstance(kind, str) else None
    return shape is not None and shape(line)
