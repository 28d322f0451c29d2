"""Processes that left their worker's tree before the agent saw them in it: children of children that are gone.

A daemon forks twice, so that its parent is init or the nearest subreaper. Such a process is known by what it inherited:
a mark in its environment if it was executed (proc(5), ``/proc/PID/environ``), or the worker's own place of program,
stack and arguments in memory, which execve(2) chooses at random and fork(2) keeps. Without either it is nobody's. Its
session and its command line say nothing: programs of other origin may share them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prov_worker.open_flags import open_to_read
from prov_worker.spool.slot import MARK

_MAX_ENVIRONMENT = 1 << 18
#: Fields 26, 28 and 48 of ``/proc/PID/stat``: start_code, start_stack and arg_start; 0 for whom may not read them.
_IMAGE = (23, 25, 45)


class Newcomer(NamedTuple):
    """A process that was not there at the last look.

    Attributes:
        pid: process id.
        parent: that of its parent.
        start: clock ticks since boot.
    """

    pid: int
    parent: int
    start: int


class ProcessTable:
    """Finds the processes of this user that have come since the last look but one."""

    def __init__(self) -> None:
        self._loadavg = open_to_read("/proc/loadavg")
        self._last = b""
        self._pids: set[str] = set()
        self._young: set[str] = set()
        self._settled = False
        self._uid = os.geteuid()

    def newcomers(self) -> list[Newcomer]:
        """Return them, at the first look all there are; cheap if no process was started meanwhile.

        Each is named at two looks. Amid execve(2) it has neither the old image nor the new environment, and its worker
        may have begun a task that was not seen yet. The last field of ``/proc/loadavg`` is the id that was given away
        last, which is a moment before that process is listed.
        """
        try:
            last = os.pread(self._loadavg, 128, 0).split()[-1]
        except (OSError, IndexError):
            last = b""
        if last and last == self._last and self._settled:
            return []
        self._settled, self._last = last == self._last, last
        try:
            pids = {name for name in os.listdir("/proc") if name.isdigit()}
        except OSError:
            return []
        new = pids - self._pids
        named = new | (self._young & pids)
        self._pids, self._young = pids, new
        return [newcomer for pid in named if (newcomer := self._describe(pid)) is not None]

    def _describe(self, pid: str) -> Newcomer | None:
        try:
            with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_uid != self._uid:
                    return None
                data = file.read(1024)
            fields = data[data.rindex(b")") + 2 :].split(None, 20)
            return Newcomer(int(pid), int(fields[1]), int(fields[19]))
        except (OSError, ValueError, IndexError):
            return None

    def close(self) -> None:
        """Close the file."""
        if self._loadavg >= 0:
            os.close(self._loadavg)
        self._loadavg = -1


def owner_of(newcomer: Newcomer, workers: Mapping[int, int], running: Iterable[Image]) -> int | None:
    """Return the worker that a process without a parent in any tree came from; None if it is not known.

    Args:
        newcomer: the process.
        workers: start of each worker, by process id.
        running: workers that run a task.
    """
    marked = _mark(newcomer.pid)
    if marked is not None and workers.get(marked[0]) == marked[1]:
        return marked[0]
    image = _image(newcomer.pid)
    alike = [worker.pid for worker in running if worker.fields() == image] if image is not None else []
    if len(alike) != 1 or newcomer.start < workers[alike[0]] or newcomer.parent in map(_parent, workers):
        return None  # of one of several workers, or what forked them, or a worker itself
    return alike[0]


class Image:
    """What a process has in common with all that were forked from it; it is read once, if it is asked for."""

    __slots__ = ("_fields", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fields: tuple[bytes, ...] | None = None

    def fields(self) -> tuple[bytes, ...] | None:
        """Return it; None if it cannot be read."""
        if self._fields is None:
            self._fields = _image(self.pid)
        return self._fields


def _parent(pid: int) -> int:
    """Return the id of a process's parent; 0 if it is gone."""
    try:
        return int(_stat_fields(pid)[1])
    except (OSError, ValueError, IndexError):
        return 0


def _image(pid: int) -> tuple[bytes, ...] | None:
    """Return what a process has in common with all that were forked from it, and with no other."""
    try:
        fields = _stat_fields(pid)
        image = tuple(fields[index] for index in _IMAGE)
    except (OSError, ValueError, IndexError):
        return None
    return None if b"0" in image else image


def _stat_fields(pid: int | str) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        data = file.read(1024)
    return data[data.rindex(b")") + 2 :].split()


def _mark(pid: int) -> tuple[int, int] | None:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            text = file.read(_MAX_ENVIRONMENT)
    except OSError:
        return None
    _, mark, rest = (b"\0" + text).partition(f"\0{MARK}=".encode())
    try:
        pid_text, _, start = rest.partition(b"\0")[0].partition(b"-")
        return (int(pid_text), int(start)) if mark else None
    except ValueError:
        return None
