"""Walltimes as schedulers write them."""

from __future__ import annotations

import re

_FORM = r"(?:(\d+)-)?(?:(\d+):)?(?:(\d+):)?(\d+)"


def seconds(text: str) -> int | None:
    """Return the seconds of ``[DAYS-]HH:MM:SS``, ``MM:SS`` or seconds; None for others, such as ``UNLIMITED``."""
    match = re.fullmatch(_FORM, text.strip())
    if match is None:
        return None
    days, first, second, last = (int(part) if part else 0 for part in match.groups())
    hours, minutes = (first, second) if match[3] else (0, first)
    return ((days * 24 + hours) * 60 + minutes) * 60 + last
