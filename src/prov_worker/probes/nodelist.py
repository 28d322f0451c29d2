"""Slurm's short form of a list of nodes."""

from __future__ import annotations

import itertools
import re

MAX_NODES = 65_536


def expand(text: str) -> list[str]:
    """Names of a host list such as ``node[01-03,7],login1`` or ``r[1-2]n[1-4]``, in its order.

    The grammar is that of ``scontrol show hostnames``; leading zeros are kept.

    Raises:
        ValueError: brackets do not match, a range is none, or there are more than 65,536 names.
    """
    names: list[str] = []
    for item in _split(text):
        parts = [_numbers(part[1:-1]) if part.startswith("[") else [part] for part in re.split(r"(\[[^\]]*\])", item)]
        names.extend(itertools.islice(map("".join, itertools.product(*parts)), MAX_NODES + 1))
        if len(names) > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES} nodes")
    return names


def _split(text: str) -> list[str]:
    """Items at the commas outside of brackets."""
    items, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif character == "," and depth == 0:
            items.append(text[start:position])
            start = position + 1
        if depth not in (0, 1):
            raise ValueError(f"brackets do not match in {text!r}")
    if depth:
        raise ValueError(f"brackets do not match in {text!r}")
    return [item.strip() for item in (*items, text[start:]) if item.strip()]


def _numbers(text: str) -> list[str]:
    """``01-03,7`` as numbers with the width of the range's first one."""
    numbers: list[str] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"not a range of numbers: {part!r}")
        count = int(last) - int(first) + 1 if dash else 1
        if not 1 <= count <= MAX_NODES - len(numbers):
            raise ValueError(f"not a range of up to {MAX_NODES} numbers: {part!r}")
        numbers.extend(str(int(first) + step).zfill(len(first)) for step in range(count))
    return numbers
