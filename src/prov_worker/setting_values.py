"""Checks of values that settings take, as YAML gives them: each returns the value, or raises ValueError.

Standard library only: workers import this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any


def boolean(value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def seconds(low: float, high: float) -> Callable[[Any], float]:
    """Return a check of a number of seconds, with the least and the most."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"expected a number of seconds, got {value!r}")
        if not low <= value <= high:
            raise ValueError(f"expected {low:g} to {high:g} seconds, got {value!r}")
        return float(value)

    return check


def byte_count(low: int, high: int) -> Callable[[Any], int]:
    """Return a check of a whole number of bytes, with the least and the most."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"expected a whole number of bytes, got {value!r}")
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high} bytes, got {value!r}")
        return value

    return check


def port(value: Any) -> int:
    """Return the number of a TCP port."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ValueError(f"expected the number of a port, 1 to 65535; got {value!r}")
    return value


def choice(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    """Return a check of one of these values."""

    def check(value: Any) -> str:
        if value not in allowed or not isinstance(value, str):
            raise ValueError(f"expected one of {', '.join(allowed)}; got {value!r}")
        return value

    return check


def strings(value: Any) -> tuple[str, ...]:
    """Return a list of strings, each once; one string is a list of it."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v for v in value):
        raise ValueError(f"expected a list of strings, got {value!r}")
    return tuple(dict.fromkeys(value))


def choices(names: Callable[[], tuple[str, ...]]) -> Callable[[Any], tuple[str, ...]]:
    """Return a check of names, of which ``names`` gives those that are allowed."""

    def check(value: Any) -> tuple[str, ...]:
        chosen, allowed = strings(value), names()
        for name in chosen:
            if name not in allowed:
                raise ValueError(f"expected names from {', '.join(allowed)}; got {name!r}")
        return chosen

    return check


def absolute(value: Any) -> str:
    """Return an absolute path, with ``~`` expanded."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a path, got {value!r}")
    if "\0" in value or "\n" in value:
        raise ValueError(f"expected a path without control characters, got {value!r}")
    path = os.path.expanduser(value)
    if not os.path.isabs(path):
        raise ValueError(f"expected an absolute path, got {value!r}")
    return os.path.normpath(path)


def absolutes(value: Any) -> tuple[str, ...]:
    """Return absolute paths, each once."""
    return tuple(dict.fromkeys(absolute(v) for v in strings(value)))


def plain_text(value: Any) -> str:
    """Return a text without blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected text, got {value!r}")
    return value.strip()


def uuid(value: Any) -> str:
    """Return a UUID in lower case."""
    text = plain_text(value).lower()
    if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise ValueError(f"expected a UUID, got {value!r}")
    return text


def web_address(value: Any) -> str:
    """Return an address of http or https without a slash at its end."""
    if not re.match(r"https?://[^\s/?#]+(/[^\s?#]*)?\Z", address := plain_text(value)):
        raise ValueError(f"expected an address such as https://compute.api.globus.org, got {value!r}")
    return address.rstrip("/")
