"""Supervise endpoints: restart those that are down, with back-off, logging each decision.

One watch at a time for a fleet file and a host, or among all hosts if a batch system chooses the host. What it counts
is on disk, so that the next watch goes on with it. It does what commands leave to it
(:mod:`prov_worker.fleet.delegate`): what it starts, its service manager or its batch job knows. If its environment is
replaced, such as by an upgrade, it starts itself again from there.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from collections.abc import Callable

import psutil

from prov_worker import files
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.fleet import backoff, launch, metrics, presence
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.orphans import foreign as foreign_orphans
from prov_worker.fleet.reload import Reader
from prov_worker.fleet.software import Software
from prov_worker.fleet.state import BusyError, EndpointRecord, State
from prov_worker.fleet.supervisor import ENDING_S, HANGS_S, Supervisor
from prov_worker.fleet.task_counts import Tally
from prov_worker.fleet.watchlog import WatchLog, reason
from prov_worker.globus import orphans
from prov_worker.globus.orphans import PoolProcess

#: Between looks at the state and the environment, which commands change; a start is looked at as often.
_STEP_S = 2.0
#: A daemon that was started so lately may end by itself yet.
_YOUNG_S = 20.0
#: ``--once`` waits so long for what is due by then, and looks again.
_SOON_S = 30.0


class Watcher:
    """Looks at the fleet every interval.

    Args:
        fleet: the file.
        state: its state.
        show: prints a line.
        ended: set by whoever wants it to end.
    """

    def __init__(self, fleet: Fleet, state: State, show: Callable[[str], None], ended: threading.Event) -> None:
        self.state = state
        self.log = WatchLog(state, show)
        self.ended = ended
        self._reader = Reader(fleet)
        self.software = Software()
        self._supervisor = Supervisor(self._reader, state, self.log, self.software, ended)
        #: What could not be saved: a full disk must not make it forget.
        self._unsaved: dict[str, EndpointRecord] | None = None
        self._tally = Tally()
        self._young = False
        #: How long until an endpoint may be restarted, or has hung for long enough.
        self._due_s = math.inf
        self._foreign: set[psutil.Process] = set()

    @property
    def fleet(self) -> Fleet:
        """The file, as it was good last."""
        return self._reader.fleet

    def run(self, *, once: bool = False, stop_endpoints: bool = False) -> None:
        """Watch until asked to end.

        Args:
            once: look once, and again if something is due soon.
            stop_endpoints: stop the endpoints at the end: whoever ends the watch means them too.

        Raises:
            InputError: another watch of this fleet is at work, or daemons cannot be started at all.
        """
        self._supervisor.check()
        if (other := presence.on_another_host(self.state.directory, self.ended)) is not None:
            # File systems that hosts share may not lock.
            raise InputError(f"{self.fleet.path}: is being watched on {other.host} already, by process {other.pid}")
        try:
            with self.state.lock("watch"):
                if once:
                    self._look_once()
                else:
                    self._stay(stop_endpoints=stop_endpoints)
                self._supervisor.release()
        except BusyError as error:
            raise InputError(f"{self.fleet.path}: is being watched on this host already: {error}") from None

    def _look_once(self) -> None:
        self.read()
        self.look()
        if self._due_s <= _SOON_S and not self.ended.wait(self._due_s):
            self.look()

    def _stay(self, *, stop_endpoints: bool) -> None:
        sign = presence.Sign(self.state.directory, self.software.version)
        self.log.say("watch", f"began as process {os.getpid()}, {self.fleet.path}")
        sign.begin()
        self.read()
        self.look()
        _notify("READY=1")
        while self._wait(sign):
            if self.software.is_replaced():
                self._follow()
            self.read()
            self.look()
        if stop_endpoints:
            _notify("STOPPING=1")
            self._supervisor.stop_all()
        sign.end()
        self.log.say("watch", "ends; endpoints are " + ("stopped" if stop_endpoints else "left alone"))

    def _wait(self, sign: presence.Sign) -> bool:
        """Wait for the next look: after the interval, when a restart is due, or if there is news; False to end."""
        deadline = time.monotonic() + min(self.fleet.watch.interval_s, self._due_s)
        while (left := deadline - time.monotonic()) > 0:
            if self.ended.wait(min(left, _STEP_S)) or sign.asked_to_end:
                return False
            sign.renew()
            if self._young or self.state.changed or self.software.is_replaced():
                break
        return True

    def _follow(self) -> None:
        self.log.say("watch", f"begins again: the environment is {launch.software()} now")
        try:
            self.software.begin_again()
        except OSError as error:
            self.log.once("watch", "cannot begin again", reason(error))

    def read(self) -> None:
        """Read the file again if it has changed, and say what came and what went."""
        for name, text in self._reader.look():
            self.log.say(name, text)
        self.state.names = self.fleet.names

    def look(self) -> None:
        """Look at every endpoint once, and act."""
        try:
            with self.state.lock("commands"):
                records = self._unsaved or self.state.load(keep_copy=True)
                before = repr(records)
                pool = orphans.pool_processes()
                if self.state.damaged is not None:
                    self.log.say("state", self.state.damaged)
                    self.state.damaged, before = None, ""
                for spec in self.fleet.endpoints:
                    if self.ended.is_set():
                        break
                    try:
                        self._supervisor.look_at(spec, records, pool)
                    except (OSError, ProvWorkerError) as error:
                        # An error in one endpoint must not affect the others.
                        self.log.once(spec.name, "cannot be looked after now", reason(error))
                self._name_foreign(pool)
                if self._unsaved is not None or repr(records) != before:
                    self._save(records)
                self._young = any(_is_young(record) for record in records.values())
                self._due_s = min(
                    [*backoff.due(records.values()), *(HANGS_S for _ in self._supervisor.hanging)], default=math.inf
                )
                self._metrics(records)
        except BusyError:
            self.log.once("watch", "another command is at work on this fleet; looks again later")
        except ProvWorkerError as error:
            self.log.once("watch", str(error))
        else:
            self.log.is_over("watch")

    def _name_foreign(self, pool: list[PoolProcess]) -> None:
        foreign = foreign_orphans(self.fleet, pool)
        if any(part.process not in self._foreign for part in foreign) and not self.ended.wait(ENDING_S):
            foreign = foreign_orphans(self.fleet)
        for part in foreign:
            if part.process not in self._foreign:
                self.log.say("host", f"left alone, though its engine is gone, since it is not of this fleet: {part}")
        self._foreign = {part.process for part in foreign}

    def _save(self, records: dict[str, EndpointRecord]) -> None:
        try:
            self.state.save(records)
        except OSError as error:
            self._unsaved = records
            why = "disk full" if error.errno in files.FULL else reason(error)
            self.log.once("state", f"{self.state.path}: cannot be written ({why})", "kept in memory, tried again")
        else:
            if self._unsaved is not None:
                self.log.say("state", f"{self.state.path}: written again")
            self._unsaved = None
            self.log.is_over("state")

    def _metrics(self, records: dict[str, EndpointRecord]) -> None:
        if self.fleet.watch.metrics is None:
            return
        try:
            metrics.write(self.fleet, self.state, records, self._tally)
            self.log.is_over("metrics")
        except OSError as error:
            self.log.once("metrics", f"{self.fleet.watch.metrics}: cannot be written", reason(error))


def _is_young(record: EndpointRecord) -> bool:
    """Return whether a daemon was started so lately that it may not have registered yet, or end by itself."""
    return record.pid > 0 and not record.down_at and time.time() - record.started_at < _YOUNG_S


def _notify(state: str) -> None:
    """Tell systemd, if it runs this process (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.sendto(state.encode(), f"\0{address[1:]}" if address[0] == "@" else address)
