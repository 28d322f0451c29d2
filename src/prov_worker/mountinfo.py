"""Lines of ``/proc/PID/mountinfo`` (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator


class MountLine:
    """One line, with its octal escapes taken back: a plain class, as named tuples are slow to define in each worker.

    Attributes:
        root: the directory of the file system that is seen at the point.
        point: where it is mounted.
        options: of the mount, separated by commas.
        type: file system type.
        source: device, or what the file system has for one.
        super_options: of the file system, separated by commas.
    """

    __slots__ = ("options", "point", "root", "source", "super_options", "type")

    def __init__(self, root: str, point: str, options: str, type: str, source: str, super_options: str) -> None:  # noqa: A002
        self.root = root
        self.point = point
        self.options = options
        self.type = type
        self.source = source
        self.super_options = super_options


def parse_mountinfo(text: str) -> Iterator[MountLine]:
    """Yield the mounts in order: a later one hides an earlier one of its point.

    Lines of another form are passed over.
    """
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields, origin = before.split(" "), after.split(" ")
        if dash and len(fields) >= 6 and len(origin) >= 3:
            yield MountLine(*map(_unescape, (fields[3], fields[4], fields[5], origin[0], origin[1], origin[2])))


def _unescape(text: str) -> str:
    """Return a field as text: space, tab, newline and backslash are written as octal numbers."""
    if "\\" not in text:
        return text
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
