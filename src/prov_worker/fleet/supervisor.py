"""What is decided about one endpoint: left alone, started, restarted with back-off, ended."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import psutil

from prov_worker import files
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.fleet import daemon, logs
from prov_worker.fleet.backoff import next_time, went_down
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet
from prov_worker.fleet.launch import Launch
from prov_worker.fleet.reload import Reader
from prov_worker.fleet.software import Software
from prov_worker.fleet.state import EndpointRecord, State
from prov_worker.fleet.watchlog import WatchLog, moment, reason
from prov_worker.globus import orphans
from prov_worker.globus.daemons import STALE_S, Core
from prov_worker.globus.orphans import PoolProcess
from prov_worker.humanize import plural
from prov_worker.processes import boot_id

#: A daemon that was started and has no pid file yet may be loading its code, or waiting for the web service.
_STARTING_S = 120.0
#: What a machine that slept looks like goes by in a moment: two looks so far apart must say that a daemon hangs.
HANGS_S = 20.0
#: What an engine leaves that ends as it should is gone by then.
ENDING_S = 1.0
#: What a command of another version asked for is waited for so long: the environment is about to be replaced.
_ASKED_S = 120.0


class Supervisor:
    """Starts, restarts and ends the daemons of a fleet.

    Args:
        reader: of the fleet's file.
        state: of the fleet.
        log: says what is decided.
        software: of this process.
        ended: set by whoever wants the watch to end; nothing waits for a daemon then.

    Attributes:
        hanging: when daemons were first seen to give no sign of life, by name, in seconds of a monotonic clock.
    """

    def __init__(self, reader: Reader, state: State, log: WatchLog, software: Software, ended: threading.Event) -> None:
        self._reader = reader
        self._state = state
        self.log = log
        self._software = software
        self.ended = ended
        self.hanging: dict[str, float] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._environment: Mapping[str, str] = {}

    @property
    def fleet(self) -> Fleet:
        """The file, as it was good last."""
        return self._reader.fleet

    def check(self) -> None:
        """Read what daemons run with.

        Raises:
            InputError: daemons cannot be started at all.
        """
        self._environment = daemon.environment(self.fleet)

    def release(self) -> None:
        """Let daemons live on without this process."""
        for child in self._children.values():
            child.returncode = child.poll() or 0

    def look_at(self, spec: EndpointSpec, records: dict[str, EndpointRecord], pool: list[PoolProcess]) -> None:
        """Look at an endpoint, and act.

        Args:
            spec: the endpoint.
            records: of all endpoints, by name; changed.
            pool: processes of engines on this host.

        Raises:
            OSError: such as that its folder cannot be read.
            ProvWorkerError: such as that it is damaged.
        """
        folder = ManagedEndpoint(spec)
        if (why := folder.foreign()) is not None:
            self.log.once(spec.name, "not touched", why)
            return
        if not folder.directory.exists():
            self.log.once(spec.name, "not created yet", f"prov-worker fleet up {spec.name}")
            return
        record = records.setdefault(spec.name, EndpointRecord())
        code = self._exit_code(spec.name, record)
        core = folder.core(record.seen)
        if record.asked and self._asked(folder, record, core, records):
            return
        if core.state == "running":
            self._runs(folder, record, core, pool)
            return
        if record.wanted == "stopped":
            self.log.once(spec.name, "stopped by a person; left alone")
            return
        if record.wanted == "unknown":
            self.log.once(
                spec.name,
                "is down, and whether a person stopped it is not known, since the state was damaged",
                f"left alone until prov-worker fleet up {spec.name}",
            )
            return
        if core.state == "elsewhere":
            self.log.once(
                spec.name,
                "waits",
                f"daemon.pid was touched {core.touched_s or 0:.0f} s ago and its process is not here; it runs "
                "on another host, or ended a moment ago",
            )
            return
        if (started := record.process) is not None:
            self._starts(folder, record, started)
            return
        if others := folder.cores():
            self.log.once(spec.name, "waits", f"a daemon is starting or ending as process {others[0].pid}")
            return
        if not record.down_at:
            # It may have ended between the two looks.
            self._fell(folder, record, self._exit_code(spec.name, record) if code is None else code)
        self._restart(folder, record, records)

    def _exit_code(self, name: str, record: EndpointRecord) -> int | None:
        """Return how the daemon ended, if this process started it, as this program or as the one before."""
        child = self._children.get(name)
        if child is not None:
            code = child.poll()
            return code if child.pid == record.pid else None
        if record.seen is None:
            return None
        try:
            pid, status = os.waitpid(record.pid, os.WNOHANG)
        except ChildProcessError:
            return None
        return os.waitstatus_to_exitcode(status) if pid else None

    def _asked(
        self, folder: ManagedEndpoint, record: EndpointRecord, core: Core, records: Mapping[str, EndpointRecord]
    ) -> bool:
        """Do what a command has asked for; whether nothing is left to do now."""
        name = folder.spec.name
        if record.asked == "restart" and record.asked_by != self._software.version:
            if time.time() - record.asked_at > _ASKED_S:
                self.log.say(name, f"{record.asked}: not done, since {record.asked_by} asked, and this is another")
                record.asked = ""
                return False
            self.log.once(name, f"waits to become what asked for a {record.asked}", record.asked_by)
            return True
        if core.state == "elsewhere" and not folder.spec.unbound_host:
            return False
        request, record.asked, record.taken_at = record.asked, "", record.asked_at
        self.log.is_over(name)
        for process in [core.process] if core.process is not None else folder.cores():
            how = daemon.stop(folder, process, interrupted=self.ended.is_set)
            self.log.say(name, f"asked for a {request}: process {process.pid} {how}")
        if request == "stop" and core.state in ("absent", "stale"):
            for cleared in daemon.end_leftovers(folder, interrupted=self.ended.is_set):
                self.log.say(name, cleared)
        if self.ended.is_set():
            return True
        record.wanted = "stopped" if request == "stop" else "up"
        record.ended()
        if core.state == "elsewhere":
            daemon.dismiss(folder)
            record.next_at = time.time() + daemon.DISMISSED_S
            self.log.say(name, f"asked for a {request}: its process is on another host, and ends without its pid file")
        elif request == "restart":
            self._begin(folder, record, records, "started")
        return True

    def _runs(self, folder: ManagedEndpoint, record: EndpointRecord, core: Core, pool: list[PoolProcess]) -> None:
        name = folder.spec.name
        assert core.process is not None
        self.log.is_over(name)
        if not record.is_of(core.process):
            record.began(core.process)
            record.ran_at = core.process.create_time()
            record.said = ""
            self.log.say(name, f"runs as process {core.process.pid}, which this watch did not start")
        record.down_at = 0.0
        record.ran_at = record.ran_at or time.time()
        if record.said:
            record.said = ""
            self.log.say(name, f"is up, process {core.process.pid}")
        record.wanted = "up"  # a person has started it, by other means if it was stopped
        if record.last_error and time.time() - record.started_at > self.fleet.watch.backoff_s[0]:
            record.last_error = ""
        for cleaned in folder.clean():
            self.log.say(name, f"removed the stale daemon.pid of {cleaned}, whose process is gone")
        self._end_orphans(folder, pool)
        self._hangs(folder, record, core)

    def _end_orphans(self, folder: ManagedEndpoint, pool: list[PoolProcess]) -> None:
        """End what a user endpoint has left that was killed, while its daemon goes on."""
        if not folder.orphans(pool) or self.ended.wait(ENDING_S):
            return
        if left := folder.orphans():
            orphans.end(left, interrupted=self.ended.is_set)
            names = ", ".join(orphans.names(left))
            self.log.say(folder.spec.name, f"ended what a user endpoint left that is gone: {names}")

    def _hangs(self, folder: ManagedEndpoint, record: EndpointRecord, core: Core) -> None:
        name = folder.spec.name
        now = time.monotonic()
        if core.process is None or (core.touched_s or 0.0) <= STALE_S:
            self.hanging.pop(name, None)
            return
        since = self.hanging.setdefault(name, now)
        if now - since < HANGS_S:
            return
        del self.hanging[name]
        text = f"gave no sign of life for {core.touched_s:.0f} s"
        self.log.say(name, f"process {core.process.pid} {text}: it is ended")
        daemon.stop(folder, core.process, 10.0, interrupted=self.ended.is_set)
        record.last_error = text
        went_down(record, self.fleet.watch, time.time())

    def _starts(self, folder: ManagedEndpoint, record: EndpointRecord, process: psutil.Process) -> None:
        """Follow a daemon that was started and has not registered yet."""
        name = folder.spec.name
        waited = time.time() - record.started_at
        if waited < _STARTING_S:
            self.log.once(name, f"is starting as process {record.pid}")
            return
        text = f"has not registered for {waited:.0f} s: {logs.last_of_start(folder)}"
        self.log.say(name, f"process {record.pid} {text}: it is ended")
        daemon.stop(folder, process, 10.0, interrupted=self.ended.is_set)
        record.last_error = text
        went_down(record, self.fleet.watch, time.time())

    def _fell(self, folder: ManagedEndpoint, record: EndpointRecord, code: int | None) -> None:
        """Say once that an endpoint is gone, and why."""
        now = time.time()
        where = f" on {record.host}" if record.elsewhere else ""
        why = "never ran" if not record.pid else f"process {record.pid}{where} is gone"
        if code is not None:
            why += f", ended with {daemon.exit_words(code)}"
        if code is not None and code > 0:
            why += f": {logs.last_of_start(folder)}"
        elif code is None and record.pid and (error := logs.last(folder)) is not None:
            why += f"; its last error was, at {error.at}: {error.message}"
        if code and record.restarts and (code == os.EX_TEMPFAIL or logs.OUTAGE.search(why)):
            # The web service cannot be reached: an outage must not use up the restarts.
            record.restarts.pop()
            why += "; not counted"
        record.last_error = why
        if record.pid:
            went_down(record, self.fleet.watch, now)
        else:
            record.down_at = now
        if record.pid and (record.elsewhere or record.boot != boot_id()):
            record.streak, record.next_at = 0, now  # its host went, or was restarted
        self.log.say(folder.spec.name, f"is down: {why}")

    def _first(self, records: Mapping[str, EndpointRecord], name: str) -> str | None:
        """Return another endpoint that has been started and has not registered yet."""
        for other, record in records.items():
            if other != name and not record.ran_at and record.process is not None:
                return other
        return None

    def _restart(self, folder: ManagedEndpoint, record: EndpointRecord, records: Mapping[str, EndpointRecord]) -> None:
        name, watch, now = folder.spec.name, self.fleet.watch, time.time()
        record.restarts = [at for at in record.restarts if now - watch.window_s < at <= now]
        at, why = next_time(record, watch, now)
        if why == "cap":
            self.log.decide(
                record,
                name,
                f"not restarted: {plural(watch.cap, 'restart')} in {watch.window_s:g} s; {moment(at, now)}",
            )
            return
        if why:
            self.log.decide(record, name, f"waits: back-off after {record.streak} in a row; restart {moment(at, now)}")
            return
        if (full := files.write_problem(folder.directory)) is not None:
            self.log.decide(record, name, f"not restarted: {folder.directory}: {full}; not counted, tried again")
            return
        number = len(record.restarts) + 1
        if self._begin(folder, record, records, "restarted", f"; {number} of {watch.cap} in {watch.window_s:g} s"):
            record.restarts.append(now)
            record.total += 1

    def _begin(
        self,
        folder: ManagedEndpoint,
        record: EndpointRecord,
        records: Mapping[str, EndpointRecord],
        how: str,
        count: str = "",
    ) -> bool:
        """Start a daemon; whether that was done."""
        name = folder.spec.name
        if daemon.is_first(folder.spec.user_dir) and (first := self._first(records, name)) is not None:
            self.log.once(name, "waits", f"{first} logs in first, since nobody has on this host")
            return False
        for cleared in daemon.clear(folder, interrupted=self.ended.is_set):
            self.log.say(name, cleared)
        if self.ended.is_set():
            return False
        try:
            present = Launch.now(folder.spec)
            child = daemon.start(folder, self._present_environment())
        except OSError as error:
            record.last_error = f"not started: {reason(error)}"
            self.log.decide(record, name, record.last_error)
            went_down(record, self.fleet.watch, time.time())
            return False
        self._children[name] = child
        record.began(daemon.process_of(child), present)
        record.said = "restarted"
        self.log.say(name, f"{how} as process {child.pid}{count}")
        return True

    def stop_all(self) -> None:
        """Stop the endpoints of this host that the watch looks after; the next watch starts them."""
        try:
            with self._state.records() as records, ThreadPoolExecutor(max(1, len(self.fleet.endpoints))) as pool:
                list(pool.map(lambda spec: self._stop(spec, records), self.fleet.endpoints))
        except (OSError, ProvWorkerError) as error:
            self.log.say("watch", f"endpoints are not stopped: {reason(error)}")

    def _stop(self, spec: EndpointSpec, records: Mapping[str, EndpointRecord]) -> None:
        try:
            folder = ManagedEndpoint(spec)
            if folder.foreign() is not None or (record := records.get(spec.name)) is None:
                return
            core = folder.core(record.seen)
            for process in [core.process] if core.process is not None else folder.cores():
                self.log.say(spec.name, f"process {process.pid} {daemon.stop(folder, process)}")
                record.ended()
        except (OSError, ProvWorkerError) as error:
            self.log.say(spec.name, f"is not stopped: {reason(error)}")

    def _present_environment(self) -> Mapping[str, str]:
        """Return what daemons run with: credentials may be others by now."""
        try:
            self._environment = daemon.environment(self.fleet)
            self.log.is_over("credentials")
        except InputError as error:
            self.log.once("credentials", f"{error}; goes on with those that it read before")
        return self._environment
