"""The ends of what a Python function prints: text that goes through the ``write`` of ``sys.stdout`` and ``sys.stderr``.

The streams stay what they are and get everything. Their ``write`` is wrapped on the object itself, so that handlers of
:mod:`logging` that hold a stream are heard too. What goes to a descriptor is not: output of other programs, of C code,
and of ``sys.stdout.buffer``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from prov_worker.recorder.commands import TAIL, output_field

#: A little more than is kept, so that no half of a secret is left at the beginning.
_KEPT = TAIL + (16 << 10)


class Output:
    """The ends of two streams, while a task prints."""

    __slots__ = ("_lengths", "_parts")

    def __init__(self) -> None:
        self._parts: tuple[list[str], list[str]] = ([], [])
        self._lengths = [0, 0]

    def add(self, number: int, text: str) -> None:
        """Take what is printed to standard output (0) or standard error (1)."""
        parts = self._parts[number]
        parts.append(text[-_KEPT:])
        self._lengths[number] += min(len(text), _KEPT)
        if self._lengths[number] > 2 * _KEPT:
            parts[:] = ["".join(parts)[-_KEPT:]]
            self._lengths[number] = len(parts[0])

    def field(self) -> str | None:
        """Return the ends as JSON, redacted; None if nothing was printed."""
        return output_field(*("".join(parts) for parts in self._parts))


class _OfThread(threading.local):
    output: Output | None = None


_of_thread = _OfThread()
_of_process: Output | None = None


def begin(in_thread: bool) -> None:
    """Begin to keep what is printed.

    Args:
        in_thread: several tasks share the process: only what this thread prints is the task's.
    """
    global _of_process
    if in_thread:
        _of_thread.output = Output()
    else:
        _of_process = Output()
    for number, stream in enumerate((sys.stdout, sys.stderr)):
        _listen(stream, number)


def end(in_thread: bool) -> str | None:
    """Return what was printed since :func:`begin`, as :meth:`Output.field` does; None if nothing began."""
    global _of_process
    if in_thread:
        output, _of_thread.output = _of_thread.output, None
    else:
        output, _of_process = _of_process, None
    return None if output is None else output.field()


def _listen(stream: Any, number: int) -> None:
    """Wrap the ``write`` of a stream, once; a stream that allows none is left alone."""
    try:
        if isinstance(stream.write, _Write):
            return
        stream.write = _Write(stream.write, number)
    except AttributeError:  # no stream, or one without attributes of its own
        pass


class _Write:
    """The ``write`` of a stream, which tells the running task."""

    def __init__(self, write: Callable[[str], int], number: int) -> None:
        self._write = write
        self._number = number

    def __call__(self, text: str) -> int:
        written = self._write(text)
        output = _of_thread.output or _of_process
        if output is not None and type(text) is str:
            output.add(self._number, text)
        return written
