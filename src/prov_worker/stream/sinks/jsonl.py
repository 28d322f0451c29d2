"""``jsonl:PATH`` appends events to a file, one JSON object per line; ``jsonl:-`` writes to standard output."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence

from prov_worker.stream.events import Event
from prov_worker.stream.sink import AwayError
from prov_worker.stream_url import SINKS, StreamUrl

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK


class JsonlSink:
    """Appends lines; after a kill the last batch may be there twice, known by the ids of its events."""

    def __init__(self, url: StreamUrl, password: str | None) -> None:
        self._path = os.path.expanduser(url.path)
        self._fd = -1

    def open(self) -> None:
        """Open the file; what a killed writer left of a line is ended."""
        if self._path == "-":
            self._fd = sys.stdout.fileno()
            return
        try:
            self._fd = os.open(self._path, _FLAGS, 0o600)
            status = os.fstat(self._fd)
            os.set_blocking(self._fd, True)
            if stat.S_ISREG(status.st_mode) and status.st_size and os.pread(self._fd, 1, status.st_size - 1) != b"\n":
                os.write(self._fd, b"\n")
        except OSError as error:
            raise AwayError(f"{self._path}: {error.strerror}") from error

    def send(self, events: Sequence[Event]) -> None:
        """Append events; a disk that takes a part of them is left as it was."""
        data = b"".join(event.line + b"\n" for event in events)
        status = os.fstat(self._fd)
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except BrokenPipeError:
            raise  # the reader of standard output has seen enough
        except OSError as error:
            if stat.S_ISREG(status.st_mode):
                os.ftruncate(self._fd, status.st_size)
            raise AwayError(f"{self._path}: {error.strerror}") from error

    def compare_clocks(self) -> None:
        """Return None: there is no clock but this node's."""

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0 and self._path != "-":
            os.close(self._fd)
        self._fd = -1


SINKS.add("jsonl", JsonlSink)
