"""Walltimes as schedulers write them."""

from __future__ import annotations

import re

_FORM = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(?:(\d+):)?(\d+)")


def seconds(text: str) -> int | None:
    """``[DAYS-]HH:MM:SS``, ``MM:SS`` or seconds; None where it is none of them, such as ``UNLIMITED``."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    days, first, second, last = (int(part) if part else 0 for part in found.groups())
    hours, minutes = (first, second) if found[3] else (0, first)
    return ((days * 24 + hours) * 60 + minutes) * 60 + last
