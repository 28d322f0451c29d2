"""A program in a terminal of its own: what it shows, keys for it, and other sizes (pty(7))."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class PseudoTerminal:
    """A program in a terminal; it is ended with :meth:`close`.

    Args:
        command: program and arguments.
        columns, rows: size of the terminal.
        environment: variables over those of the test.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        columns: int = 100,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._descriptor, terminal = pty.openpty()
        self.before = termios.tcgetattr(terminal)
        self._set_size(columns, rows)
        self.process = subprocess.Popen(
            list(command),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm", **(environment or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._terminal = terminal
        self.output = ""

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the kernel tells the program (SIGWINCH)."""
        self._set_size(columns, rows)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._descriptor, keys.encode())

    def lines(self) -> list[str]:
        """What is on the screen: a program that draws all of it draws from its upper left corner."""
        while select.select([self._descriptor], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                self.output += os.read(self._descriptor, 1 << 16).decode(errors="replace")
        pictures = self.output.split("\x1b[H")
        whole = [picture for picture in pictures if picture.endswith("\x1b[J")] or pictures
        return [line.rstrip("\r") for line in _SEQUENCE.sub("", whole[-1]).split("\n")]

    def wait_until(self, condition: Callable[[list[str]], object], event: str, limit_s: float = 90.0) -> list[str]:
        """Wait until the screen is as it should be, and return it."""
        deadline = time.monotonic() + limit_s
        while not condition(self.lines()):
            if time.monotonic() > deadline:
                pytest.fail(f"never happened: {event}\n" + "\n".join(self.lines()), pytrace=False)
        return self.lines()

    def attributes(self) -> list[object]:
        """How the terminal is set (termios(3))."""
        return termios.tcgetattr(self._terminal)

    def wait(self, limit_s: float = 60.0) -> int:
        """Exit status of the program."""
        deadline = time.monotonic() + limit_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self.lines()
        return self.process.wait(1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._descriptor)
        os.close(self._terminal)
