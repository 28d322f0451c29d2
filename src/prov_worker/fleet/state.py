"""What the fleet remembers on disk, of one fleet file on one host; and the locks that go with it.

Homes are shared by login nodes: each host has its own directory, but for a fleet whose host a batch system chooses. A
lock is taken twice, in that directory and on the node itself, since shared file systems may not lock, and private
places of a node may be emptied at a log-out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from prov_worker import files, locks
from prov_worker.errors import InputError, ProvWorkerError, SpoolError
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.launch import Launch
from prov_worker.globus import processes
from prov_worker.processes import boot_id, process_start
from prov_worker.spool.paths import private_directory, runtime_dir

Wanted = Literal["up", "stopped", "unknown"]
#: What a command leaves to the watch.
Asked = Literal["", "restart", "stop"]
#: Directory of a state that hosts share; no host has such a name.
_ANY_HOST = "any_host"
_CHOICES: dict[str, tuple[Any, ...]] = {"wanted": get_args(Wanted), "asked": get_args(Asked)}


@dataclass(slots=True)
class EndpointRecord:
    """What is known of one endpoint.

    Attributes:
        wanted: ``up``, or ``stopped`` by a person; ``unknown`` if a damaged file has taken that along.
        made: whether its directory was made by the fleet.
        pid: of the daemon that was started or seen last; 0 if there was none.
        host: on which that runs.
        start: of that process, clock ticks since boot.
        boot: of the machine, in which that was.
        started_at: when it began, seconds since the epoch.
        ran_at: when it was first seen to have registered, seconds since the epoch; 0 if it was not.
        down_at: when it was seen to be gone, seconds since the epoch; 0 while it runs.
        restarts: when it was restarted by the watch, seconds since the epoch, within the window.
        total: restarts in all.
        streak: how often in a row it did not stay up.
        next_at: not to be restarted before, seconds since the epoch.
        last_error: why it was gone.
        said: the last decision, so that it is not said again every time.
        software: what the daemon was started with, as the next two; see :class:`prov_worker.fleet.launch.Launch`.
        configuration: see ``software``.
        credentials: see ``software``.
        asked: what a command wants the watch to do.
        asked_by: software of that command: a watch of another version does not do it.
        asked_at: when, seconds since the epoch.
        taken_at: ``asked_at`` of what the watch has done last.
    """

    wanted: Wanted = "up"
    made: bool = False
    pid: int = 0
    host: str = ""
    start: int = 0
    boot: str = ""
    started_at: float = 0.0
    ran_at: float = 0.0
    down_at: float = 0.0
    restarts: list[float] = field(default_factory=list)
    total: int = 0
    streak: int = 0
    next_at: float = 0.0
    last_error: str = ""
    said: str = ""
    software: str = ""
    configuration: str = ""
    credentials: str = ""
    asked: Asked = ""
    asked_by: str = ""
    asked_at: float = 0.0
    taken_at: float = 0.0

    @property
    def process(self) -> psutil.Process | None:
        """The daemon that was started or seen last; None if it is gone, or not known on this host in this boot."""
        if self.seen is None or self.boot != boot_id():
            return None
        return processes.living(self.pid, self.start)

    @property
    def seen(self) -> int | None:
        """Id of the daemon that was started or seen last on this host, alive or not; None if there was none."""
        return None if not self.pid or self.elsewhere else self.pid

    def is_of(self, process: psutil.Process) -> bool:
        """Return whether a process that was alive a moment ago is the one that was started or seen last."""
        same = process.pid == self.seen and self.boot == boot_id()
        return same and process_start(process.pid) in (0, self.start)

    @property
    def elsewhere(self) -> bool:
        """Whether the daemon that was started or seen last was on another host."""
        return self.host not in ("", socket.gethostname())

    @property
    def launch(self) -> Launch:
        """What the daemon was started with."""
        return Launch(self.software, self.configuration, self.credentials)

    def began(self, process: psutil.Process, launch: Launch | None = None) -> None:
        """Take note of a daemon that runs, and of what it was started with, if that is known."""
        launch = launch or Launch()
        self.pid, self.start, self.boot = process.pid, process_start(process.pid), boot_id()
        self.host = socket.gethostname()
        self.started_at, self.ran_at, self.down_at = process.create_time(), 0.0, 0.0
        self.software, self.configuration, self.credentials = launch.software, launch.configuration, launch.credentials

    def ended(self) -> None:
        """Take note that the daemon was ended on purpose: the next start is not a restart."""
        self.pid, self.start, self.down_at, self.last_error = 0, 0, time.time(), ""
        self.forgive()

    def ask(self, request: Asked, software: str) -> None:
        """Leave something to the watch."""
        self.asked, self.asked_by, self.asked_at = request, software, time.time()

    def forgive(self) -> None:
        """Count from the beginning: an operator has seen to it."""
        self.restarts, self.streak, self.next_at, self.said = [], 0, 0.0, ""


class BusyError(ProvWorkerError):
    """Another process holds a lock."""


class State:
    """The state's directory: ``$XDG_STATE_HOME/prov-worker/fleet/<file's name>-<key>/<host>``.

    The last part is ``any_host`` for a fleet whose host a batch system chooses.

    Args:
        fleet: whose state it is.

    Raises:
        InputError: the directory cannot be made, or is not private.
    """

    def __init__(self, fleet: Fleet) -> None:
        home = os.environ.get("XDG_STATE_HOME")
        base = Path(home) if home and os.path.isabs(home) else Path.home() / ".local" / "state"
        self.names = fleet.names
        key = hashlib.sha256(os.fsencode(fleet.file)).hexdigest()[:12]
        self.key = f"{fleet.file.stem}-{key}"
        self.shared = fleet.unbound_host
        host = _ANY_HOST if self.shared else socket.gethostname()
        self.directory = base / "prov-worker" / "fleet" / self.key / host
        try:
            self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.directory}: cannot be made: {error.strerror}") from None
        if not private_directory(str(self.directory)):
            raise InputError(f"{self.directory}: cannot be made, or is not yours alone")
        self.path = self.directory / "state.json"
        self.log = self.directory / "watch.log"
        #: What is said of a file that could not be understood by the last :meth:`load`.
        self.damaged: str | None = None
        self._signature: tuple[int, ...] | None = None

    @property
    def changed(self) -> bool:
        """Whether another process has written the file since it was loaded or saved here."""
        return self._signature_now() != self._signature

    def load(self, *, keep_copy: bool = False) -> dict[str, EndpointRecord]:
        """Return all records by name. If the file cannot be understood, whether endpoints are to run is unknown.

        Args:
            keep_copy: keep a copy of such a file, since the caller writes a new one.

        Raises:
            InputError: it cannot be read.
        """
        self.damaged = None
        self._signature = self._signature_now()
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            return {str(name): _record(record) for name, record in document["endpoints"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be read: {error.strerror}; repair that, or move it away: then it is forgotten "
                "what was stopped by a person"
            ) from None
        except (ValueError, LookupError, TypeError, AttributeError):
            self.damaged = f"{self.path}: is damaged"
            if keep_copy:
                copy = self.path.with_suffix(".damaged")
                with contextlib.suppress(OSError):  # without space the new file will not be written either
                    shutil.copyfile(self.path, copy)
                    self.damaged += f", kept as {copy.name}"
            self.damaged += (
                "; counts are lost, and whether a person has stopped an endpoint: one that is down stays so until "
                "fleet up or restart"
            )
            return {name: EndpointRecord(wanted="unknown") for name in self.names}

    def save(self, records: dict[str, EndpointRecord]) -> None:
        """Write all records, whole or not at all.

        Raises:
            OSError: there is no space or no right.
        """
        data: dict[str, Any] = {"version": 1, "endpoints": {name: asdict(record) for name, record in records.items()}}
        files.write_file(self.path, json.dumps(data, indent=1) + "\n", mode=0o600, sync=True)
        self._signature = self._signature_now()

    @contextlib.contextmanager
    def records(self, wait_s: float = 60.0) -> Iterator[dict[str, EndpointRecord]]:
        """Lock the records, to be changed by this process alone, and saved at the end.

        Raises:
            BusyError: another command is at work for longer than ``wait_s``.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.lock("commands", wait_s))
            except BusyError as error:
                raise BusyError(f"another command is at work on this fleet: {error}") from None
            records = self.load(keep_copy=True)
            try:
                yield records
            finally:
                self.save(records)

    @contextlib.contextmanager
    def lock(self, name: str, wait_s: float = 0.0) -> Iterator[None]:
        """Hold a lock of this fleet on this host.

        Raises:
            BusyError: another process holds it; its number is in the message.
            InputError: neither place can be locked.
        """
        with contextlib.ExitStack() as stack:
            held = 0
            for path in self._lock_files(name):
                try:
                    descriptor = locks.open_lock(path)
                except OSError:
                    continue  # a full disk: the other place will do
                stack.callback(os.close, descriptor)
                if _locked(descriptor, path, wait_s):
                    held += 1
                    with contextlib.suppress(OSError):  # only for people
                        os.ftruncate(descriptor, 0)
                        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            if not held:
                raise InputError(f"{self.directory}: no lock can be had there, nor on this node")
            yield

    def _signature_now(self) -> tuple[int, ...] | None:
        """Return what is another if the file was replaced; a network file system is asked again for an open file."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _lock_files(self, name: str) -> list[Path]:
        paths = [self.directory / f"{name}.lock"]
        try:
            paths.append(Path(runtime_dir(str(self.directory))) / f"{name}.lock")
        except SpoolError:
            pass  # no private place on this node: the state's directory is left
        return paths


def _record(data: dict[str, Any]) -> EndpointRecord:
    """Return a record of the file; keys of later versions are passed over.

    Raises:
        TypeError, ValueError: it is none.
    """
    record = EndpointRecord()
    for key in (column.name for column in fields(EndpointRecord)):
        if key not in data:
            continue
        if not _fits(data[key], getattr(record, key)) or data[key] not in _CHOICES.get(key, (data[key],)):
            raise ValueError(key)
        setattr(record, key, data[key])
    return record


def _fits(value: Any, usual: Any) -> bool:
    """Return whether a value is of the kind of another one; numbers are of one kind."""
    if isinstance(usual, list):
        return isinstance(value, list) and all(_fits(item, 0.0) for item in value)
    if isinstance(usual, (bool, str)) or isinstance(value, bool):
        return type(value) is type(usual)
    return isinstance(value, (int, float))


def _locked(descriptor: int, path: Path, wait_s: float) -> bool:
    try:
        if locks.lock(descriptor, wait_s):
            return True
    except OSError:
        return False  # a file system without locks: the other place will do
    holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    raise BusyError(f"{path}: held by process {holder}")
