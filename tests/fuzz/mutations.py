"""Odd content that is still JSON: bytes changed at random hardly ever get past a parser.

A mutation takes one value of one line, or of one file, and puts another one there: of another type, at a bound, taken
from elsewhere in the same content, or none at all.
"""

from __future__ import annotations

import copy
import json
import random
from typing import Any

#: Values at which readers break: other types, bounds of numbers, odd text, depth.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, -1e308, 1 << 31, 1 << 53, 1 << 63, -(1 << 63), (1 << 64) - 1),
    *(10**40, float("inf"), float("nan"), "", " ", "\0", "\n", "\ud800", "\u202e", "a" * 5000, "../..", "/", "."),
    *("/proc/self/mem", "0-", "0-99999999999", "9" * 5000, "1795908732630398704", "-1", "1e999", "https://x/", "./"),
    *("2026-13-45T99:99:99Z", "9999-12-31T23:59:59Z", "#", "-x", "%s{}", [], {}, [[]], [None], {"": None}),
    *({"@id": None}, {"@id": ["a"]}, {"@id": "./"}, {"a": {"b": {"c": []}}}, [1, "a", None], [["a", 1]], ["a"] * 200),
    *({"x": [1, 2]}, {"kind": 1}),
)
_DEEP = 150


def mutate(data: bytes, random_source: random.Random) -> bytes | None:
    """Return the content with one to three values changed; None if no JSON is in it."""
    separator = b"\x1e" if b"\x1e" in data else b"\n"
    parts = data.split(separator) if not _is_json(data) else [data]
    places = [number for number, part in enumerate(parts) if part[:1] in b"{[" and part]
    if not places:
        return None
    number = random_source.choice(places)
    try:
        document = json.loads(parts[number])
    except (ValueError, RecursionError):
        return None
    holder = [document]
    for _ in range(random_source.choice((1, 1, 1, 2, 3))):
        _change(holder, random_source)
    parts[number] = json.dumps(holder[0]).encode()
    if separator == b"\n" and len(parts) > 1 and random_source.random() < 0.1:
        random_source.shuffle(parts)
    return separator.join(parts)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _spots(value: Any) -> list[tuple[Any, Any]]:
    """Return all places of values: what holds each, and its key or index there."""
    spots: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        holder = stack.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            spots.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                stack.append(holder[key])
    return spots


def _change(holder: list[Any], random_source: random.Random) -> None:
    spots = _spots(holder)
    place, key = random_source.choice(spots)
    chance = random_source.random()
    if chance < 0.1 and place is not holder:
        del place[key]
    elif chance < 0.2 and isinstance(place, dict):
        other, other_key = random_source.choice(spots)
        place[str(other_key)] = copy.deepcopy(other[other_key])
    elif chance < 0.35:
        other, other_key = random_source.choice(spots)
        place[key] = copy.deepcopy(other[other_key])
    elif chance < 0.37:
        deep: Any = []
        for _ in range(_DEEP):
            deep = [deep]
        place[key] = deep
    elif chance < 0.45 and isinstance(place[key], (int, float)):
        place[key] = place[key] * random_source.choice((-1, 1000, 1 << 40))
    else:
        place[key] = copy.deepcopy(random_source.choice(ODD))
