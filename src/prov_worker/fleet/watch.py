"""Looks after endpoints: those that are down are started again, not too often, with a line for each decision.

One watch at a time for a fleet file and a host. What it counts is on disk, so that the next watch goes on with it. It
ends at once on SIGTERM and leaves the endpoints alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping

from prov_worker import files
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.fleet import daemon, logs, metrics
from prov_worker.fleet.endpoint import Folder
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet, Watch
from prov_worker.fleet.reload import Reader
from prov_worker.fleet.state import BusyError, Record, State
from prov_worker.fleet.task_counts import Tally
from prov_worker.globus.daemons import STALE_S, Core

_LOG_BYTES = 4 << 20
#: A daemon that was started and has no pid file yet may be loading its code, or waiting for the web service.
_STARTING_S = 120.0
#: What a machine that slept looks like goes by in a moment: two looks so far apart must say that a daemon hangs.
_HANGS_S = 20.0


class WatchLog:
    """A line a decision: printed, and kept in the state's directory.

    Args:
        state: whose log it is.
        show: prints a line.
    """

    def __init__(self, state: State, show: Callable[[str], None]) -> None:
        self._path = state.log
        self._show = show

    def say(self, name: str, text: str) -> None:
        """Say what was decided of an endpoint, and why. A full disk keeps nothing from being printed."""
        line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {name}: {' '.join(text.split())}"
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


def next_time(record: Record, watch: Watch, now: float) -> tuple[float, str]:
    """When an endpoint that is down may be started again, and what it waits for.

    Returns:
        Seconds since the epoch, and ``""``, ``"back-off"`` or ``"cap"``.
    """
    recent = [at for at in record.restarts if now - watch.window_s < at <= now]
    if len(recent) >= watch.cap:
        return sorted(recent)[-watch.cap] + watch.window_s, "cap"
    # A clock that was set back must not stop it for longer than the longest wait.
    due = min(record.next_at, now + watch.backoff_s[1])
    return (due, "back-off") if due > now else (now, "")


def went_down(record: Record, watch: Watch, now: float) -> None:
    """Take note that an endpoint is gone: one that was up for long is started at once, others wait ever longer."""
    shortest, longest = watch.backoff_s
    stayed = record.ran_at > 0 and now - record.ran_at >= longest
    record.streak = 0 if stayed else record.streak + 1
    record.down_at = now
    record.next_at = now if stayed else now + min(longest, shortest * 2.0 ** min(record.streak - 1, 60))


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
        self._reader = Reader(fleet)
        self.log = WatchLog(state, show)
        self.ended = ended
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._hanging: dict[str, float] = {}
        self._trouble: dict[str, str] = {}
        #: What could not be saved: a full disk must not make it forget.
        self._unsaved: dict[str, Record] | None = None
        self._environ: Mapping[str, str] = {}
        self._tally = Tally()

    @property
    def fleet(self) -> Fleet:
        """The file, as it was good last."""
        return self._reader.fleet

    def run(self, *, once: bool = False) -> None:
        """Watch until told to end.

        Args:
            once: look once.

        Raises:
            InputError: another watch of this fleet is at work on this host, or daemons cannot be started at all.
        """
        self._environ = daemon.environment(self.fleet)
        try:
            with self.state.lock("watch"):
                self.log.say("watch", f"began as process {os.getpid()}, {self.fleet.path}")
                while True:
                    self.read()
                    self.look()
                    if once or self.ended.wait(self.fleet.watch.interval_s):
                        break
                self.log.say("watch", "ends; endpoints are left alone")
                for child in self._children.values():
                    child.returncode = child.poll() or 0  # they live on without this process
        except BusyError as error:
            raise InputError(f"{self.fleet.path}: is being watched on this host already: {error}") from None

    def read(self) -> None:
        """Read the file again where it has changed, and say what came and what went."""
        for name, text in self._reader.look():
            self.log.say(name, text)
        self.state.names = self.fleet.names

    def look(self) -> None:
        """Look at every endpoint once, and act."""
        try:
            with self.state.lock("commands"):
                records = self._unsaved or self.state.load(aside=True)
                before = repr(records)
                if self.state.damaged is not None:
                    self.log.say("state", self.state.damaged)
                    self.state.damaged, before = None, ""
                for spec in self.fleet.endpoints:
                    if self.ended.is_set():
                        break
                    try:
                        self._look_at(spec, records)
                    except (OSError, ProvWorkerError) as error:
                        # One endpoint's trouble is not the others'.
                        self._once(spec.name, f"cannot be looked after now: {_words(error)}")
                if self._unsaved is not None or repr(records) != before:
                    self._save(records)
                self._metrics(records)
        except BusyError:
            self._once("watch", "another command is at work on this fleet; looks again later")
        except ProvWorkerError as error:
            self._once("watch", str(error))
        else:
            self._trouble.pop("watch", None)

    # -- one endpoint --------------------------------------------------------------------------------------------

    def _look_at(self, spec: EndpointSpec, records: dict[str, Record]) -> None:
        folder = Folder(spec)
        if (why := folder.foreign()) is not None:
            self._once(spec.name, f"not touched: {why}")
            return
        if not folder.directory.exists():
            self._once(spec.name, f"not created yet: prov-worker fleet up {spec.name}")
            return
        record = records.setdefault(spec.name, Record())
        child = self._children.get(spec.name)
        ended = None if child is None else child.poll()
        code = ended if child is not None and child.pid == record.pid else None
        core = folder.core(record.process)
        if core.state == "running":
            self._runs(folder, record, core)
            return
        if record.wanted == "stopped":
            self._once(spec.name, "stopped by a person; left alone")
            return
        if record.wanted == "unknown":
            self._once(
                spec.name,
                "is down, and whether a person stopped it is not known, since the state was damaged: left alone until "
                f"prov-worker fleet up {spec.name}",
            )
            return
        if core.state == "elsewhere":
            self._once(
                spec.name,
                f"waits: daemon.pid was touched {core.touched_s or 0:.0f} s ago and its process is not here; it runs "
                "on another host, or ended a moment ago",
            )
            return
        known = record.process
        if known is not None and known.alive:
            self._starts(folder, record)
            return
        if others := folder.cores():
            self._once(spec.name, f"waits: a daemon is starting or ending as process {others[0].pid}")
            return
        if not record.down_at:
            self._fell(folder, record, code)
        self._restart(folder, record, records)

    def _runs(self, folder: Folder, record: Record, core: Core) -> None:
        name = folder.spec.name
        assert core.process is not None
        self._trouble.pop(name, None)
        if record.process != core.process:
            record.began(core.process)
            record.ran_at = core.process.since
            record.said = ""
            self.log.say(name, f"runs as process {core.process.pid}, which this watch did not start")
        record.down_at = 0.0
        record.ran_at = record.ran_at or time.time()
        if record.said:
            record.said = ""
            self.log.say(name, f"is up, process {core.process.pid}")
        record.wanted = "up"  # a person has started it, by other means where it was stopped
        if record.last_error and time.time() - record.started_at > self.fleet.watch.backoff_s[0]:
            record.last_error = ""
        for cleaned in folder.clean():
            self.log.say(name, f"removed the stale daemon.pid of {cleaned}, whose process is gone")
        self._hangs(folder, record, core)

    def _hangs(self, folder: Folder, record: Record, core: Core) -> None:
        name = folder.spec.name
        now = time.monotonic()
        if core.process is None or (core.touched_s or 0.0) <= STALE_S:
            self._hanging.pop(name, None)
            return
        since = self._hanging.setdefault(name, now)
        if now - since < _HANGS_S:
            return
        del self._hanging[name]
        text = f"gave no sign of life for {core.touched_s:.0f} s"
        self.log.say(name, f"process {core.process.pid} {text}: it is ended")
        daemon.stop(folder, core.process, 10.0, interrupted=self.ended.is_set)
        record.last_error = text
        went_down(record, self.fleet.watch, time.time())

    def _starts(self, folder: Folder, record: Record) -> None:
        """A daemon that was started and has not registered yet."""
        name = folder.spec.name
        assert record.process is not None
        waited = time.time() - record.started_at
        if waited < _STARTING_S:
            self._once(name, f"is starting as process {record.pid}")
            return
        text = f"has not registered for {waited:.0f} s: {logs.last_of_start(folder)}"
        self.log.say(name, f"process {record.pid} {text}: it is ended")
        daemon.stop(folder, record.process, 10.0, interrupted=self.ended.is_set)
        record.last_error = text
        went_down(record, self.fleet.watch, time.time())

    def _fell(self, folder: Folder, record: Record, code: int | None) -> None:
        """Say once that an endpoint is gone, and why."""
        now = time.time()
        why = "never ran" if not record.pid else f"process {record.pid} is gone"
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
        self.log.say(folder.spec.name, f"is down: {why}")

    def _first(self, records: Mapping[str, Record], name: str) -> str | None:
        """Another endpoint that has been started and has not registered yet."""
        for other, record in records.items():
            if other != name and not record.ran_at and record.process is not None and record.process.alive:
                return other
        return None

    def _restart(self, folder: Folder, record: Record, records: Mapping[str, Record]) -> None:
        name, watch, now = folder.spec.name, self.fleet.watch, time.time()
        record.restarts = [at for at in record.restarts if now - watch.window_s < at <= now]
        at, why = next_time(record, watch, now)
        if why == "cap":
            self._say(record, name, f"not restarted: {watch.cap} restarts in {watch.window_s:g} s; {_when(at, now)}")
            return
        if why:
            self._say(record, name, f"waits: back-off after {record.streak} in a row; restart {_when(at, now)}")
            return
        if (full := files.write_problem(folder.directory)) is not None:
            self._say(record, name, f"not restarted: {folder.directory}: {full}; not counted, tried again")
            return
        if daemon.is_first(folder.spec.user_dir) and (first := self._first(records, name)) is not None:
            self._once(name, f"waits: {first} logs in first, since nobody has on this host")
            return
        for done in daemon.clear(folder, interrupted=self.ended.is_set):
            self.log.say(name, done)
        if self.ended.is_set():
            return
        number = len(record.restarts) + 1
        try:
            child = daemon.start(folder, self._environment())
        except OSError as error:
            self._say(record, name, f"not restarted: {_words(error)}")
            went_down(record, watch, now)
            return
        self._children[name] = child
        record.began(daemon.process_of(child))
        record.restarts.append(now)
        record.total += 1
        record.said = "restarted"
        self.log.say(name, f"restarted as process {child.pid}; {number} of {watch.cap} in {watch.window_s:g} s")

    def _environment(self) -> Mapping[str, str]:
        """What daemons run with: credentials may be others by now."""
        try:
            self._environ = daemon.environment(self.fleet)
            self._trouble.pop("credentials", None)
        except InputError as error:
            self._once("credentials", f"{error}; goes on with those that it read before")
        return self._environ

    # -- saying and keeping --------------------------------------------------------------------------------------

    def _say(self, record: Record, name: str, text: str) -> None:
        """Say a decision, unless it was the last one: it holds over restarts of the watch."""
        if record.said != text:
            record.said = text
            self.log.say(name, text)

    def _once(self, name: str, text: str) -> None:
        """Say something that is not counted, unless this watch has said it last."""
        kind = text.split(":", 1)[0]
        if self._trouble.get(name) != kind:
            self._trouble[name] = kind
            self.log.say(name, text)

    def _save(self, records: dict[str, Record]) -> None:
        try:
            self.state.save(records)
        except OSError as error:
            self._unsaved = records
            why = "disk full" if error.errno in files.FULL else _words(error)
            self._once("state", f"{self.state.path}: cannot be written ({why}): kept in memory, tried again")
        else:
            if self._unsaved is not None:
                self.log.say("state", f"{self.state.path}: written again")
            self._unsaved = None
            self._trouble.pop("state", None)

    def _metrics(self, records: dict[str, Record]) -> None:
        if self.fleet.watch.metrics is None:
            return
        try:
            metrics.write(self.fleet, self.state, records, self._tally)
            self._trouble.pop("metrics", None)
        except OSError as error:
            self._once("metrics", f"{self.fleet.watch.metrics}: cannot be written: {_words(error)}")


def _when(at: float, now: float) -> str:
    return f"at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at))}" if at > now else "now"


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno)}{' (disk full)' if error.errno == errno.ENOSPC else ''}"
    return str(error)
