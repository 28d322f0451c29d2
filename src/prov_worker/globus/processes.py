"""Processes of this host, as ``/proc`` shows them (proc(5)).

Globus Compute and Parsl give their processes titles, which overwrite their environment; what a process has open says
then whose it is.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prov_worker.processes import is_running, process_start

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its id alone may be another's by tomorrow.

    Attributes:
        pid: its id.
        start: when it began, clock ticks since boot.
    """

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        """Whether it runs still; one that nobody has waited for does not."""
        return self.start > 0 and is_running(self.pid, self.start)

    @property
    def since(self) -> float:
        """When it began, seconds since the epoch."""
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + self.start / _TICKS_PER_S

    @property
    def command(self) -> str:
        """Command line or title; empty where it is gone."""
        return _bytes(self.pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()

    @property
    def arguments(self) -> list[str]:
        """Command line in words."""
        return _bytes(self.pid, "cmdline").decode(errors="replace").split("\0")

    @property
    def environment(self) -> dict[str, str]:
        """Environment at its start; of a process with a title, what that left."""
        words = _bytes(self.pid, "environ").decode(errors="surrogateescape").split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)

    def has_open_below(self, directory: Path) -> bool:
        """Whether it has a file open below a directory, or works there."""
        top = f"{os.path.realpath(directory)}{os.sep}"
        try:
            names = [f"/proc/{self.pid}/fd/{name}" for name in os.listdir(f"/proc/{self.pid}/fd")]
        except OSError:
            names = []
        for name in (*names, f"/proc/{self.pid}/cwd"):
            try:
                if f"{os.readlink(name)}{os.sep}".startswith(top):
                    return True
            except OSError:
                continue
        return False

    def send(self, number: int) -> None:
        """Send a signal, if it is this process still."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass


def process(pid: int) -> Process | None:
    """The living process of an id that is this user's; None where there is none."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.getuid():
            return None
    except OSError:
        return None
    found = Process(pid, process_start(pid))
    return found if found.alive else None


def mine() -> Iterator[Process]:
    """All living processes of this user, but this one."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and (found := process(int(name))) is not None:
            yield found


def end(targets: list[Process], grace_s: float, *, interrupted: Callable[[], bool] = lambda: False) -> list[Process]:
    """SIGTERM, then SIGKILL for what is left after a while.

    Args:
        targets: processes.
        grace_s: how long to wait between the two.
        interrupted: asked while waiting; where it says yes, nothing more is waited for or sent.

    Returns:
        What needed SIGKILL.
    """
    for one in targets:
        one.send(signal.SIGTERM)
    left = wait_gone(targets, grace_s, interrupted=interrupted)
    if interrupted():
        return []
    for one in left:
        one.send(signal.SIGKILL)
    wait_gone(left, 5.0, interrupted=interrupted)
    return left


def wait_gone(
    targets: list[Process], limit_s: float, *, interrupted: Callable[[], bool] = lambda: False
) -> list[Process]:
    """Wait until processes are gone; gives those that are not in time."""
    deadline = time.monotonic() + limit_s
    while (left := [one for one in targets if one.alive]) and time.monotonic() < deadline and not interrupted():
        time.sleep(0.05)
    return left


def boot_id() -> str:
    """What tells this boot of the machine from others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _bytes(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""
