"""Writes the live file when that is due, and answers the socket."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.agent.live.exposition import exposition_path, render, write_exposition
from prov_worker.agent.live.port import MetricsPort
from prov_worker.agent.live.report import Report
from prov_worker.agent.live.socket import LiveSocket
from prov_worker.spool.agent_about import is_finaliser
from prov_worker.spool.live import IDLE_RENEW_S, RENEW_S, live_path, remove_old_live_files, write_live
from prov_worker.spool.paths import spool_dir

if TYPE_CHECKING:
    from prov_worker.agent.finaliser import Finaliser
    from prov_worker.agent.live.snapshot import SharedSnapshot

log = logging.getLogger(__name__)

#: The sampler has so long to answer; a look for its answer is due each of these.
_PATIENCE_S, _LOOK_S = 0.5, 0.05
#: For who asks by the socket, what the sampler saw so lately is new.
_NEW_NS = 250_000_000
_MOST_REFUSED = 20
#: Numbers for Prometheus that are this old are given again.
_SHARED_S = 0.5
#: Distance of looks whether the socket still is there.
_SOCKET_S = 1.0


class Live:
    """What the finaliser tells others of this node. No method raises.

    Args:
        shared: the sampler's snapshot.
        finaliser: knows the workers.
        runtime: the runtime directory.
        crate_dir: the directory of the crates.
    """

    def __init__(self, shared: SharedSnapshot, finaliser: Finaliser, runtime: str, crate_dir: str) -> None:
        self._shared, self._finaliser = shared, finaliser
        self._runtime, self._crate_dir = runtime, crate_dir
        self._report = Report(finaliser, runtime)
        self._due = time.monotonic()
        self._asked_ns = 0
        self._path = ""
        self._written = 0.0
        self._refused: set[str] = set()
        self._exposition: Path | None = None
        self._port: MetricsPort | None = None
        self._numbers, self._answered = "", -_SHARED_S
        self._socket: LiveSocket | None = None
        self._socket_due = time.monotonic() + _SOCKET_S
        self._bind()

    def stir(self) -> None:
        """Note that a task has begun or ended: a file that is written seldom is to be written soon."""
        self._due = min(self._due, self._written + RENEW_S)

    def next_s(self) -> float:
        """Return seconds until something is due."""
        return max(0.0, self._due - time.monotonic())

    def renew(self) -> None:
        """Write the file if that is due and the sampler has said what runs."""
        now = time.monotonic()
        if now >= self._socket_due:
            self._socket_due = now + _SOCKET_S
            self._bind_again()
        if now < self._due:
            return
        if not self._asked_ns:
            self._asked_ns = self._shared.ask()
        if self._shared.taken_ns() < self._asked_ns and now - self._asked_ns / 1e9 < _PATIENCE_S:
            self._due = now + _LOOK_S
            return
        snapshot = self._shared.read()
        self._asked_ns = 0
        self._written = now
        try:
            renew_s = RENEW_S if snapshot is not None and snapshot.tasks else IDLE_RENEW_S
            self._due = now + renew_s
            document = self._report.document(snapshot, renew_s)
        except Exception as error:
            self._say(error)
            return
        for write in (self._write, self._expose):
            try:
                write(document)
            except Exception as error:
                self._say(error)

    def _bind(self) -> None:
        try:
            self._socket = LiveSocket(self._runtime, self._answer)
        except OSError as error:
            self._say(error, "there is no socket to ask what runs now: %s")

    def _bind_again(self) -> None:
        """Make the socket again if its directory was emptied, as by a log-out, and still is this agent's."""
        if self._socket is not None and self._socket.is_there():
            return
        if is_finaliser(self._runtime, os.getpid()):
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            self._bind()

    def _say(self, error: Exception, text: str = "what runs now cannot be written: %s") -> None:
        """Log a problem once."""
        if str(error) not in self._refused and len(self._refused) < _MOST_REFUSED:
            self._refused.add(str(error))
            log.warning(text, error)

    def _write(self, document: dict[str, Any]) -> None:
        if not self._path:
            self._path = live_path(spool_dir(self._crate_dir), self._runtime)
            remove_old_live_files(self._crate_dir)
        write_live(self._path, document)

    def _expose(self, document: dict[str, Any]) -> None:
        """Write the file for Prometheus and open its port, if a worker's settings ask for them."""
        with_directory, with_port = map(self._finaliser.settings_with, ("metrics_dir", "metrics_port"))
        directory = None if with_directory is None else with_directory.metrics_dir
        port = None if with_port is None else with_port.metrics_port
        if port is not None and self._port is None:
            try:
                self._port = MetricsPort(port, self._metrics)
            except OSError as error:
                self._say(error, f"port {port} for Prometheus cannot be opened, it is tried again: %s")
        if directory is not None:
            self._exposition = exposition_path(directory, self._runtime)
            write_exposition(self._exposition, self._text(document))

    def _text(self, document: dict[str, Any]) -> str:
        return render(document, self._finaliser.tally, self._crate_dir)

    def _answer(self) -> bytes:
        """Return what runs at this moment, for the socket."""
        return json.dumps(self._now(), separators=(",", ":")).encode()

    def _metrics(self) -> str:
        """Return what runs at this moment, for the port; as it was if somebody has asked just now."""
        if time.monotonic() - self._answered >= _SHARED_S:
            self._numbers, self._answered = self._text(self._now()), time.monotonic()
        return self._numbers

    def _now(self) -> dict[str, Any]:
        asked_ns = self._shared.ask()
        while self._shared.taken_ns() < asked_ns - _NEW_NS and time.monotonic_ns() - asked_ns <= _PATIENCE_S * 1e9:
            time.sleep(0.02)
        return self._report.document(self._shared.read(), RENEW_S)

    def close(self) -> None:
        """Remove the file: nothing runs here any more."""
        for server in (self._socket, self._port):
            if server is not None:
                server.close()
        for path in (self._path, self._exposition):
            if path:
                with contextlib.suppress(OSError):
                    os.unlink(path)
