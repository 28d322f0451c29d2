"""What a watch decides, in lines for people: each decision once."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable

from prov_worker import printable
from prov_worker.fleet.state import EndpointRecord, State

_LOG_BYTES = 4 << 20


class WatchLog:
    """One line per decision: printed, and kept in the state's directory.

    Args:
        state: whose log it is.
        show: prints a line.
    """

    def __init__(self, state: State, show: Callable[[str], None]) -> None:
        self._path = state.log
        self._show = show
        self._trouble: dict[str, str] = {}

    def say(self, name: str, text: str) -> None:
        """Say what was decided of an endpoint, and why. A full disk keeps nothing from being printed."""
        # The text may be a daemon's, and a task's; names of files are bytes, and not always text.
        decision = printable.line(f"{name}: {' '.join(text.split())}").encode("utf-8", "backslashreplace").decode()
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {decision}"
        self._show(line)
        try:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_size > _LOG_BYTES:
                    os.replace(self._path, self._path.with_suffix(".log.1"))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, f"{line}\n".encode())
            finally:
                os.close(descriptor)
        except OSError:
            pass  # it was printed, and that the disk is full is said by whoever saves the state

    def decide(self, record: EndpointRecord, name: str, text: str) -> None:
        """Say a decision, unless it was the last one of its endpoint: that holds over restarts of the watch."""
        if record.said != text:
            record.said = text
            self.say(name, text)

    def once(self, name: str, kind: str, detail: str = "") -> None:
        """Say something that is not counted, unless the last such line of this name was of the same kind."""
        if self._trouble.get(name) != kind:
            self._trouble[name] = kind
            self.say(name, f"{kind}: {detail}" if detail else kind)

    def is_over(self, name: str) -> None:
        """Take note that what :meth:`once` said of a name holds no longer."""
        self._trouble.pop(name, None)


def moment(at: float, now: float) -> str:
    """Return when something is due, for people; both in seconds since the epoch."""
    return f"at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at))}" if at > now else "now"


def reason(error: Exception) -> str:
    """Return why something did not work, with the file that it was about."""
    if isinstance(error, OSError) and error.errno is not None:
        path = f"{error.filename}: " if error.filename else ""
        return f"{path}{os.strerror(error.errno)}{' (disk full)' if error.errno == errno.ENOSPC else ''}"
    return str(error)
