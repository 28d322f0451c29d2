"""The watch that is at work on a fleet, as it says of itself in the state's directory.

Commands on this host, and on others that share the directory, leave to it what they cannot do.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from prov_worker import files
from prov_worker.globus import processes
from prov_worker.globus.daemons import STALE_S
from prov_worker.processes import boot_id, process_start

_FILE = "watch.json"
_END = "watch.end"
#: The file is touched at least so often; on another host it counts for :data:`STALE_S`.
_TOUCH_S = 15.0


@dataclass(frozen=True, slots=True)
class Presence:
    """A watch.

    Attributes:
        host: on which it runs.
        pid: its process.
        start: of that process, clock ticks since boot.
        boot: of the machine, in which that was.
        software: as :func:`prov_worker.fleet.launch.software` gives it.
    """

    host: str
    pid: int
    start: int
    boot: str
    software: str

    @property
    def here(self) -> bool:
        """Whether it is on this host."""
        return self.host == socket.gethostname()


def read(directory: Path) -> Presence | None:
    """Return the watch that is at work; None if there is none."""
    path = directory / _FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        watch = Presence(str(data["host"]), int(data["pid"]), int(data["start"]), str(data["boot"]), data["software"])
        touched = path.stat().st_mtime
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if watch.here:
        lives = watch.boot == boot_id() and processes.living(watch.pid, watch.start) is not None
        return watch if lives else None
    return watch if time.time() - touched <= STALE_S else None


def on_another_host(directory: Path, ended: threading.Event) -> Presence | None:
    """Return the watch that is at work on another host; None if there is none.

    Args:
        directory: of the state.
        ended: set by whoever does not want to wait: the file of a host that has just failed is fresh for a minute, and
            only its next touch shows that the watch lives.
    """
    first = _touched(directory)
    while (watch := read(directory)) is not None and not watch.here:
        if _touched(directory) != first or ended.wait(0.5):
            return watch
    return None


def _touched(directory: Path) -> int | None:
    try:
        return (directory / _FILE).stat().st_mtime_ns
    except OSError:
        return None


def end(directory: Path, limit_s: float = 120.0) -> Presence | None:
    """Ask the watch, wherever it is, to end, and wait for that.

    Returns:
        None if there is none any more; else the one that has not ended in time.

    Raises:
        OSError: there is no space or no right.
    """
    deadline = time.monotonic() + limit_s
    if read(directory) is not None:
        files.write_file(directory / _END, "", mode=0o600)
    while (watch := read(directory)) is not None and time.monotonic() < deadline:
        time.sleep(0.2)
    return watch


class Sign:
    """What a watch leaves of itself while it works; errors of a full disk are none of it.

    Args:
        directory: of the state.
        software: of the watch.
    """

    def __init__(self, directory: Path, software: str) -> None:
        self._file = directory / _FILE
        self._end = directory / _END
        self._touched = 0.0
        pid = os.getpid()
        self._presence = Presence(socket.gethostname(), pid, process_start(pid), boot_id(), software)

    def begin(self) -> None:
        """Say that the watch is at work."""
        with contextlib.suppress(OSError):
            self._end.unlink(missing_ok=True)
        self._write()

    def renew(self) -> None:
        """Say so again, now and then."""
        if time.monotonic() - self._touched < _TOUCH_S:
            return
        try:
            os.utime(self._file)
            self._touched = time.monotonic()
        except OSError:
            self._write()

    @property
    def asked_to_end(self) -> bool:
        """Whether a command wants the watch to end."""
        return self._end.exists()

    def end(self) -> None:
        """Say that the watch has ended."""
        for path in (self._file, self._end):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            files.write_file(self._file, json.dumps(asdict(self._presence)) + "\n", mode=0o600)
            self._touched = time.monotonic()
