"""Plots, drawn by a process of their own that comes and goes: matplotlib is heavy and slow, and may fail.

The process reads pickled requests from its standard input and answers on its standard output, in order. Requests come
from the agent alone, over a pipe that nobody else has.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import select
import struct
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import IO

from prov_worker.crate.plot_caption import Caption
from prov_worker.crate.plot_data import what_is_drawn
from prov_worker.model import TaskSeries

_LENGTH = struct.Struct("<I")
_CODE = (
    "import sys; sys.path[:] = sys.argv[1:]; import os; os.nice(5); "
    "from prov_worker.agent.plotter import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"
)
_PIPE_BYTES = 1 << 20
_FIRST_PACE_S = 0.04
#: A plotter that has had nothing to do for this long is let go, with its memory.
IDLE_S = 30.0


@dataclass(slots=True)
class Drawn:
    """An answer: the picture, or why there is none."""

    number: int
    data: bytes | None
    error: str | None
    took_s: float | None = None


class Plotter:
    """The agent's side: sends requests, takes answers, and never waits for either."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._waiting: dict[int, float] = {}
        self._used = 0.0
        self._received = b""
        self._unsent: deque[bytes | memoryview] = deque()
        self.broken: str | None = None
        #: Seconds that a plot takes, as of late.
        self.pace_s = _FIRST_PACE_S

    def __len__(self) -> int:
        """Return requests without an answer."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the process, which takes a second to load matplotlib."""
        if self._process is not None or self.broken:
            return
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _CODE, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "MPLBACKEND": "Agg", "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", _config_dir())},
            )
            for pipe in (self._process.stdin, self._process.stdout):
                os.set_blocking(pipe.fileno(), False)  # type: ignore[union-attr]
                with contextlib.suppress(OSError):  # a courtesy: larger pipes mean fewer turns
                    fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # type: ignore[union-attr]
            self._used = time.monotonic()
        except OSError as error:
            self.broken = f"the plotter could not be started: {error}"

    def request(self, series: TaskSeries, caption: Caption) -> int | None:
        """Ask for a plot; gives the number of the answer to come, None if plots cannot be drawn."""
        self.start()
        if self._process is None or self._process.stdin is None:
            return None
        self._number += 1
        body = pickle.dumps((self._number, what_is_drawn(series), caption), pickle.HIGHEST_PROTOCOL)
        self._unsent.append(_LENGTH.pack(len(body)) + body)
        if not self._send():
            self._lost()
            return None
        self._used = time.monotonic()
        self._waiting[self._number] = self._used
        return self._number

    def answers(self) -> list[Drawn]:
        """Return answers that have come. If the process has died, all that wait are answered with that."""
        process = self._process
        if process is None or process.stdout is None:
            return []
        self._send()  # a process that is gone is found below, after its last answers
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(process.stdout.fileno(), 1 << 16):
                self._received += chunk
            if not self._received:
                return self._lost()
        drawn = []
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            if len(self._received) < _LENGTH.size + length:
                break
            answer = Drawn(*pickle.loads(self._received[_LENGTH.size : _LENGTH.size + length]))
            self._received = self._received[_LENGTH.size + length :]
            self._waiting.pop(answer.number, None)
            if answer.took_s is not None:
                self.pace_s += (answer.took_s - self.pace_s) / 8
            drawn.append(answer)
        if not drawn and process.poll() is not None:
            return self._lost()
        return drawn

    def fileno(self) -> int:
        """Return descriptor that answers come on; -1 without a process."""
        process = self._process
        return -1 if process is None or process.stdout is None else process.stdout.fileno()

    def rest(self) -> None:
        """Let the process go when it has had nothing to do for a while."""
        if self._process is not None and not self._waiting and time.monotonic() - self._used > IDLE_S:
            self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self._waiting.clear()
        self._unsent.clear()
        self._received = b""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _send(self) -> bool:
        """Send what the pipe takes now; false if nobody reads it any more.

        Never waits: a process that waits for its answers to be read takes no request meanwhile.
        """
        if self._process is None or self._process.stdin is None:
            return False
        pipe = self._process.stdin.fileno()
        try:
            while self._unsent:
                data = self._unsent[0]
                sent = os.write(pipe, data)
                if sent < len(data):
                    self._unsent[0] = memoryview(data)[sent:]
                else:
                    self._unsent.popleft()
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def _lost(self) -> list[Drawn]:
        status = None if self._process is None else self._process.poll()
        answers = [Drawn(number, None, f"the plotter died (status {status})") for number in self._waiting]
        self.close()
        return answers


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests, in the process, until their pipe is closed."""
    from prov_worker.crate.plot_png import render_png

    with contextlib.suppress(ImportError):
        import matplotlib.backends.backend_agg  # noqa: F401 - loaded before the first request, which then is quick
    while len(head := requests.read(_LENGTH.size)) == _LENGTH.size:
        number, series, caption = pickle.loads(requests.read(_LENGTH.unpack(head)[0]))
        data: bytes | None = None
        error: str | None = None
        began = time.monotonic()
        try:
            data = render_png(series, caption)
        except ImportError as missing:
            error = f"matplotlib is missing in the worker's environment: {missing}"
        except Exception as failure:  # a plot that fails must not take the next one with it
            error = f"the plot failed: {failure}"
        answer = pickle.dumps((number, data, error, time.monotonic() - began))
        _write_all(answers.fileno(), _LENGTH.pack(len(answer)) + answer)


def readable(plotter: Plotter, timeout_s: float) -> None:
    """Wait until an answer comes, or for a time."""
    fd = plotter.fileno()
    if fd >= 0:
        select.select([fd], [], [], timeout_s)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _config_dir() -> str:
    """Return a directory that matplotlib may write to, if HOME is not one; it warns on stderr otherwise."""
    home = os.path.expanduser("~")
    if os.access(home, os.W_OK):
        return os.path.join(home, ".config", "matplotlib")
    return "/tmp"  # noqa: S108 - matplotlib makes its own private directory below
