"""Supervise endpoints: restart those that are down, with back-off, logging each decision.

One watch at a time for a fleet file and a host, or among all hosts if a batch system chooses the host. What it counts
is on disk, so that the next watch goes on with it. It does what commands leave to it
(:mod:`prov_worker.fleet.delegate`): what it starts, its service manager or its batch job knows. If its environment is
replaced, such as by an upgrade, it starts itself again from there.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import psutil

from prov_worker import files, printable
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.fleet import daemon, launch, logs, metrics, presence
from prov_worker.fleet.endpoint import Folder
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet, Watch
from prov_worker.fleet.launch import Launch
from prov_worker.fleet.orphans import foreign as foreign_orphans
from prov_worker.fleet.reload import Reader
from prov_worker.fleet.state import BusyError, Record, State
from prov_worker.fleet.task_counts import Tally
from prov_worker.globus import orphans
from prov_worker.globus.daemons import STALE_S, Core
from prov_worker.globus.orphans import PoolProcess
from prov_worker.processes import boot_id

_LOG_BYTES = 4 << 20
#: A daemon that was started and has no pid file yet may be loading its code, or waiting for the web service.
_STARTING_S = 120.0
#: What a machine that slept looks like goes by in a moment: two looks so far apart must say that a daemon hangs.
_HANGS_S = 20.0
#: What an engine leaves that ends as it should is gone by then.
_ENDING_S = 1.0
#: Between looks at the state and the environment, which commands change; a start is looked at as often.
_STEP_S = 2.0
#: A daemon that was started so lately may end by itself yet.
_YOUNG_S = 20.0
#: ``--once`` waits so long for what is due by then, and looks again.
_SOON_S = 30.0
#: What a command of another version asked for is waited for so long: the environment is about to be replaced.
_ASKED_S = 120.0
#: An environment in which packages are replaced is at rest after this.
_AT_REST_S = 30.0
_CHECK_S = 10.0


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
        self._software = launch.software()
        self._prefix = launch.environment()
        self._replaced = self._software
        self._checked = self._rested = time.monotonic()
        self._young = False
        #: How long until an endpoint may be restarted, or has hung for long enough.
        self._due_s = math.inf
        self._foreign: set[psutil.Process] = set()
        self._pool: list[PoolProcess] = []

    @property
    def fleet(self) -> Fleet:
        """The file, as it was good last."""
        return self._reader.fleet

    def run(self, *, once: bool = False, stop_endpoints: bool = False) -> None:
        """Watch until told to end.

        Args:
            once: look once, and again if something is due soon.
            stop_endpoints: stop the endpoints at the end: whoever ends the watch means them too.

        Raises:
            InputError: another watch of this fleet is at work, or daemons cannot be started at all.
        """
        self._environ = daemon.environment(self.fleet)
        if (other := presence.on_another_host(self.state.directory, self.ended)) is not None:
            # File systems that hosts share may not lock.
            raise InputError(f"{self.fleet.path}: is being watched on {other.host} already, by process {other.pid}")
        try:
            with self.state.lock("watch"):
                if once:
                    self._look_once()
                else:
                    self._stay(stop_endpoints=stop_endpoints)
                for child in self._children.values():
                    child.returncode = child.poll() or 0  # they live on without this process
        except BusyError as error:
            raise InputError(f"{self.fleet.path}: is being watched on this host already: {error}") from None

    def _look_once(self) -> None:
        self.read()
        self.look()
        if self._due_s <= _SOON_S and not self.ended.wait(self._due_s):
            self.look()

    def _stay(self, *, stop_endpoints: bool) -> None:
        sign = presence.Sign(self.state.directory, self._software)
        self.log.say("watch", f"began as process {os.getpid()}, {self.fleet.path}")
        sign.begin()
        self.read()
        self.look()
        _notify("READY=1")
        while self._wait(sign):
            if self._is_replaced():
                self._follow()
            self.read()
            self.look()
        if stop_endpoints:
            _notify("STOPPING=1")
            self._stop_all()
        sign.end()
        self.log.say("watch", "ends; endpoints are " + ("stopped" if stop_endpoints else "left alone"))

    def _wait(self, sign: presence.Sign) -> bool:
        """Wait for the next look: after the interval, when a restart is due, or if there is news; False to end."""
        deadline = time.monotonic() + min(self.fleet.watch.interval_s, self._due_s)
        while (left := deadline - time.monotonic()) > 0:
            if self.ended.wait(min(left, _STEP_S)) or sign.asked_to_end:
                return False
            sign.renew()
            if self._young or self.state.changed or self._is_replaced():
                break
        return True

    # -- the watch's environment -----------------------------------------------------------------------------------

    def _is_replaced(self) -> bool:
        """Whether another environment, or other packages, are where this process was started from."""
        if not os.access(sys.executable, os.X_OK):
            return False
        if launch.environment() != self._prefix:
            return True
        now = time.monotonic()
        if now - self._checked > _CHECK_S:
            software, self._checked = launch.software(), now
            if software != self._replaced:
                self._replaced, self._rested = software, now
        return self._replaced != self._software and now - self._rested > _AT_REST_S

    def _follow(self) -> None:
        """Begin again as the software that is there now; daemons are not concerned."""
        self.log.say("watch", f"begins again: the environment is {launch.software()} now")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        try:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - as it was started
        except OSError as error:
            self._once("watch", "cannot begin again", _words(error))

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
                self._pool = orphans.pool_processes()
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
                        self._once(spec.name, "cannot be looked after now", _words(error))
                self._name_foreign()
                if self._unsaved is not None or repr(records) != before:
                    self._save(records)
                self._young = any(_is_young(record) for record in records.values())
                self._due_s = min([*_due(records.values()), *(_HANGS_S for _ in self._hanging)], default=math.inf)
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
            self._once(spec.name, "not touched", why)
            return
        if not folder.directory.exists():
            self._once(spec.name, "not created yet", f"prov-worker fleet up {spec.name}")
            return
        record = records.setdefault(spec.name, Record())
        code = self._exit_code(spec.name, record)
        core = folder.core(record.seen)
        if record.asked and self._asked(folder, record, core, records):
            return
        if core.state == "running":
            self._runs(folder, record, core)
            return
        if record.wanted == "stopped":
            self._once(spec.name, "stopped by a person; left alone")
            return
        if record.wanted == "unknown":
            self._once(
                spec.name,
                "is down, and whether a person stopped it is not known, since the state was damaged",
                f"left alone until prov-worker fleet up {spec.name}",
            )
            return
        if core.state == "elsewhere":
            self._once(
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
            self._once(spec.name, "waits", f"a daemon is starting or ending as process {others[0].pid}")
            return
        if not record.down_at:
            self._fell(folder, record, code)
        self._restart(folder, record, records)

    def _exit_code(self, name: str, record: Record) -> int | None:
        """How the daemon ended, if this process started it, as this program or as the one before."""
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

    def _asked(self, folder: Folder, record: Record, core: Core, records: Mapping[str, Record]) -> bool:
        """Do what a command has asked for; whether nothing is left to do now."""
        name = folder.spec.name
        if record.asked == "restart" and record.asked_by != self._software:
            if time.time() - record.asked_at > _ASKED_S:
                self.log.say(name, f"{record.asked}: not done, since {record.asked_by} asked, and this is another")
                record.asked = ""
                return False
            self._once(name, f"waits to become what asked for a {record.asked}", record.asked_by)
            return True
        if core.state == "elsewhere" and not folder.spec.unbound_host:
            return False
        request, record.asked, record.taken_at = record.asked, "", record.asked_at
        self._trouble.pop(name, None)
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

    def _runs(self, folder: Folder, record: Record, core: Core) -> None:
        name = folder.spec.name
        assert core.process is not None
        self._trouble.pop(name, None)
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
        record.wanted = "up"  # a person has started it, by other means where it was stopped
        if record.last_error and time.time() - record.started_at > self.fleet.watch.backoff_s[0]:
            record.last_error = ""
        for cleaned in folder.clean():
            self.log.say(name, f"removed the stale daemon.pid of {cleaned}, whose process is gone")
        self._end_orphans(folder)
        self._hangs(folder, record, core)

    def _end_orphans(self, folder: Folder) -> None:
        """End what a user endpoint has left that was killed, while its daemon goes on."""
        if not folder.orphans(self._pool) or self.ended.wait(_ENDING_S):
            return
        if left := folder.orphans():
            orphans.end(left, interrupted=self.ended.is_set)
            names = ", ".join(orphans.names(left))
            self.log.say(folder.spec.name, f"ended what a user endpoint left that is gone: {names}")

    def _name_foreign(self) -> None:
        foreign = foreign_orphans(self.fleet, self._pool)
        if any(part.process not in self._foreign for part in foreign) and not self.ended.wait(_ENDING_S):
            foreign = foreign_orphans(self.fleet)
        for part in foreign:
            if part.process not in self._foreign:
                self.log.say("host", f"left alone, though its engine is gone, since it is not of this fleet: {part}")
        self._foreign = {part.process for part in foreign}

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

    def _starts(self, folder: Folder, record: Record, process: psutil.Process) -> None:
        """A daemon that was started and has not registered yet."""
        name = folder.spec.name
        waited = time.time() - record.started_at
        if waited < _STARTING_S:
            self._once(name, f"is starting as process {record.pid}")
            return
        text = f"has not registered for {waited:.0f} s: {logs.last_of_start(folder)}"
        self.log.say(name, f"process {record.pid} {text}: it is ended")
        daemon.stop(folder, process, 10.0, interrupted=self.ended.is_set)
        record.last_error = text
        went_down(record, self.fleet.watch, time.time())

    def _fell(self, folder: Folder, record: Record, code: int | None) -> None:
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

    def _first(self, records: Mapping[str, Record], name: str) -> str | None:
        """Another endpoint that has been started and has not registered yet."""
        for other, record in records.items():
            if other != name and not record.ran_at and record.process is not None:
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
        number = len(record.restarts) + 1
        if self._begin(folder, record, records, "restarted", f"; {number} of {watch.cap} in {watch.window_s:g} s"):
            record.restarts.append(now)
            record.total += 1

    def _begin(self, folder: Folder, record: Record, records: Mapping[str, Record], how: str, count: str = "") -> bool:
        """Start a daemon; whether that was done."""
        name = folder.spec.name
        if daemon.is_first(folder.spec.user_dir) and (first := self._first(records, name)) is not None:
            self._once(name, "waits", f"{first} logs in first, since nobody has on this host")
            return False
        for cleared in daemon.clear(folder, interrupted=self.ended.is_set):
            self.log.say(name, cleared)
        if self.ended.is_set():
            return False
        try:
            present = Launch.now(folder.spec)
            child = daemon.start(folder, self._environment())
        except OSError as error:
            record.last_error = f"not started: {_words(error)}"
            self._say(record, name, record.last_error)
            went_down(record, self.fleet.watch, time.time())
            return False
        self._children[name] = child
        record.began(daemon.process_of(child), present)
        record.said = "restarted"
        self.log.say(name, f"{how} as process {child.pid}{count}")
        return True

    def _stop_all(self) -> None:
        """Stop the endpoints of this host that the watch looks after; the next watch starts them."""
        try:
            with self.state.records() as records, ThreadPoolExecutor(max(1, len(self.fleet.endpoints))) as pool:
                list(pool.map(lambda spec: self._stop(spec, records), self.fleet.endpoints))
        except (OSError, ProvWorkerError) as error:
            self.log.say("watch", f"endpoints are not stopped: {_words(error)}")

    def _stop(self, spec: EndpointSpec, records: Mapping[str, Record]) -> None:
        try:
            folder = Folder(spec)
            if folder.foreign() is not None or (record := records.get(spec.name)) is None:
                return
            core = folder.core(record.seen)
            for process in [core.process] if core.process is not None else folder.cores():
                self.log.say(spec.name, f"process {process.pid} {daemon.stop(folder, process)}")
                record.ended()
        except (OSError, ProvWorkerError) as error:
            self.log.say(spec.name, f"is not stopped: {_words(error)}")

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

    def _once(self, name: str, kind: str, detail: str = "") -> None:
        """Log something that is not counted, unless the last line of this watch was of the same kind."""
        if self._trouble.get(name) != kind:
            self._trouble[name] = kind
            self.log.say(name, f"{kind}: {detail}" if detail else kind)

    def _save(self, records: dict[str, Record]) -> None:
        try:
            self.state.save(records)
        except OSError as error:
            self._unsaved = records
            why = "disk full" if error.errno in files.FULL else _words(error)
            self._once("state", f"{self.state.path}: cannot be written ({why})", "kept in memory, tried again")
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
            self._once("metrics", f"{self.fleet.watch.metrics}: cannot be written", _words(error))


def _is_young(record: Record) -> bool:
    """Whether a daemon was started so lately that it may not have registered yet, or end by itself."""
    return record.pid > 0 and not record.down_at and time.time() - record.started_at < _YOUNG_S


def _due(records: Iterable[Record]) -> list[float]:
    """In how many seconds endpoints that are down may be started again."""
    now = time.time()
    waiting = [record for record in records if record.down_at and record.wanted == "up"]
    return [record.next_at - now for record in waiting if record.next_at > now]


def _notify(state: str) -> None:
    """Tell systemd, if it runs this process (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.sendto(state.encode(), f"\0{address[1:]}" if address[0] == "@" else address)


def _when(at: float, now: float) -> str:
    return f"at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at))}" if at > now else "now"


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno)}{' (disk full)' if error.errno == errno.ENOSPC else ''}"
    return str(error)
