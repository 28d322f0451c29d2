"""Lists of a job's nodes as schedulers give them: a compressed text, or a file."""

from __future__ import annotations

import itertools
import re

MAX_NODES = 65_536
_MAX_BYTES = 16 * 1024 * 1024


def expand(text: str) -> list[str]:
    """Return the names of a host list such as ``node[01-03,7],login1`` or ``r[1-2]n[1-4]``, in its order.

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


def read_file(path: str) -> list[str]:
    """Return the names in a file that has one per line, as for each MPI rank; each once, in order.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        text = file.read(_MAX_BYTES).decode("utf-8", "replace")
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def _split(text: str) -> list[str]:
    """Return items at the commas outside of brackets."""
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
    """Return ``01-03,7`` as numbers with the width of the range's first one."""
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
