"""The process that sends events on: started by the agent by the name of its module, which the agent never imports."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from prov_worker.spool.stream_request import StreamRequest

_CODE = "import sys; sys.path[:] = sys.argv[1:]; import prov_worker.stream.main as module; module.main()"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


class StreamSender:
    """Keeps a sender running while settings ask for one, and never waits for it.

    Args:
        crate_dir: whose events are sent.
        say: takes a problem: a text, and what is put into it.
    """

    def __init__(self, crate_dir: str, say: Callable[..., None]) -> None:
        self._crate_dir = crate_dir
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._urls: list[tuple[str, int]] = []
        self._over: list[tuple[str, int]] = []
        self._start_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._leaving: list[subprocess.Popen[bytes]] = []

    def keep(self, request: StreamRequest | None) -> None:
        """Start, replace or end the process, as is asked for."""
        urls = [] if request is None else [(url.text, url.number) for url in request.urls]
        self._leaving = [process for process in self._leaving if process.poll() is None]
        process = self._process
        if process is not None and process.poll() is not None:
            self._process = None
            if process.returncode == 0:
                self._over = self._urls  # nothing can be sent there; it has said why
            else:
                self._say("the sender of events died (status %s); it is started again", process.returncode)
                self._start_at = time.monotonic() + self._pause_s
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        elif process is not None and urls != self._urls:
            self.close()
        if urls and urls != self._over and self._process is None and time.monotonic() >= self._start_at:
            self._start(urls)

    def close(self) -> None:
        """Have the process send what is left and end, and do not wait for it."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            self._leaving.append(process)

    def _start(self, urls: list[tuple[str, int]]) -> None:
        self._urls = urls
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _CODE, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # signals to the agent's group are not for it
            )
            configuration = json.dumps({"crate_dir": self._crate_dir, "urls": urls}).encode() + b"\n"
            assert process.stdin is not None
            os.write(process.stdin.fileno(), configuration)  # less than a pipe takes
            self._process = process
        except OSError as error:
            self._say("the sender of events could not be started: %s", error)
            self._start_at = time.monotonic() + _LONGEST_PAUSE_S
