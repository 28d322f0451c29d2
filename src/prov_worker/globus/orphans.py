"""Interchanges, managers and workers whose engine is gone (Parsl's HighThroughputExecutor, 2026.4 to 2026.10).

An engine that is killed leaves its interchange behind, and with it every manager that reports there. They never end:
they keep ports, cores and batch jobs, and an interchange that has no keys takes tasks of whichever engine binds the
ports of its own next.

What a process is, its title or its command line says. Whose it is, its arguments and open files say, never its id:

=========== ======================================= ==================================================================
kind        known by                                folder of the engine
=========== ======================================= ==================================================================
interchange title, or its module                    ``<folder>/<label>/interchange.log``, which it has open
manager     its module                              ``--cert_dir``, else as worker
worker      ``multiprocessing``'s option, and one   standard output in ``<folder>/submit_scripts`` (a local block), else
            of these files                          the log in ``<folder>/<label>/block-<n>/<id>``
=========== ======================================= ==================================================================

Managers and workers on compute nodes are not seen from here. They end by themselves once their interchange is gone,
after ``heartbeat_threshold``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from prov_worker.globus import daemons, processes

Kind = Literal["interchange", "manager", "worker"]

_TITLE = "parsl: HTEX interchange"
_INTERCHANGE = ("parsl.executors.high_throughput.interchange", "interchange.py")
_MANAGER = ("parsl.executors.high_throughput.process_worker_pool", "process_worker_pool.py")
_WORKER = "--multiprocessing-fork"
_SCRIPTS = "submit_scripts"
#: What is ended at an engine's start has no result to give any more: it is not waited for long.
GRACE_S = 3.0
#: An interchange that has no log by then gets none.
_YOUNG_S = 60.0


@dataclass(frozen=True, slots=True)
class PoolProcess:
    """A process of an executor on this host.

    Attributes:
        process: it.
        kind: see above.
        user: whose.
        folder: of the engine; None if it does not tell, as those of other users.
        engine: the process that runs the engine; of interchanges only, and None if it is gone.
        remote: whether the interchange is on another host; of managers only.
    """

    process: psutil.Process
    kind: Kind
    user: str
    folder: Path | None = None
    engine: psutil.Process | None = None
    remote: bool = False

    @property
    def is_mine(self) -> bool:
        """Whether it is this user's."""
        try:
            return self.process.uids().real == os.getuid()
        except psutil.Error:
            return False

    def __str__(self) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.process.create_time()))
        place = f" of {self.folder}" if self.folder else ""
        return f"{self.kind}{place}, process {self.process.pid} of {self.user} since {at}"


def pool_processes(wait_s: float = 0.0) -> list[PoolProcess]:
    """Return all interchanges, managers and workers that can be seen on this host, also those whose engine lives.

    If ``/proc`` hides processes of others (``hidepid``), those are missing.

    Args:
        wait_s: how long to wait for interchanges without an engine that do not tell their folder yet: in their first
            second they have no log. Two looks must find none, since one can meet a process while it takes its title.
    """
    deadline = time.monotonic() + wait_s
    looks = 0
    while True:
        parts = _pool_processes()
        looks = 0 if any(_is_young_orphan(part) for part in parts) else looks + 1
        if looks == 2 or time.monotonic() >= deadline:
            return parts
        time.sleep(0.1)


def _is_young_orphan(part: PoolProcess) -> bool:
    if part.kind != "interchange" or part.engine is not None or part.folder is not None or not part.is_mine:
        return False
    return time.time() - part.process.create_time() < _YOUNG_S and not _is_closed(part.process)


def _pool_processes() -> list[PoolProcess]:
    parts = []
    for pid in psutil.pids():
        try:
            process = psutil.Process(pid)
            kind = _kind(process.cmdline())
            if kind is None or not processes.is_alive(process):
                continue
            part = _look(process, kind)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or closed to this user
        if part is not None:
            parts.append(part)
    return parts


def without_engine(parts: Iterable[PoolProcess]) -> list[PoolProcess]:
    """Return those whose engine is gone.

    A manager or a worker does not show its engine: it is an orphan if no interchange of its folder has one.
    """
    parts = list(parts)
    living = {_real(part.folder) for part in parts if part.engine is not None and part.folder is not None}
    hidden = any(part.engine is not None and part.is_mine and _is_closed(part.process) for part in parts)
    orphans = []
    for part in parts:
        if part.kind == "interchange":
            if part.engine is None:
                orphans.append(part)
        elif part.folder is not None and not part.remote and not hidden and _real(part.folder) not in living:
            orphans.append(part)
    return orphans


def is_in(part: PoolProcess, folder: Path) -> bool:
    """Return whether it is this user's, and the folder of its engine is this one.

    A container may have another directory of the same path: the directory itself is compared too.
    """
    if part.folder is None or not part.is_mine or _real(part.folder) != _real(folder):
        return False
    try:
        return os.path.samestat(os.stat(f"/proc/{part.process.pid}/root{part.folder}"), os.stat(folder))
    except OSError:
        return False


def end(
    parts: Sequence[PoolProcess], grace_s: float = GRACE_S, *, interrupted: Callable[[], bool] = lambda: False
) -> list[psutil.Process]:
    """End processes of executors, with what runs in their blocks: tasks and their programs.

    Parsl ends a local block in the same way, by its process group; a program that left the group is left alone.

    Returns:
        What is still there.
    """
    pool = {part.process for part in parts}
    tasks = _tasks(parts) - pool
    processes.end(pool, grace_s, interrupted=interrupted)
    # Later: a task whose program is ended while its worker lives returns, and its crate would say that it completed.
    processes.end(tasks, grace_s, interrupted=interrupted)
    return [target for target in pool | tasks if processes.is_alive(target)]


def names(parts: Iterable[PoolProcess]) -> list[str]:
    """Return kinds and ids, as ``interchange 4711``; interchanges first, then managers."""
    return [f"{part.kind} {part.process.pid}" for part in sorted(parts, key=lambda part: (part.kind, part.process.pid))]


def _tasks(parts: Sequence[PoolProcess]) -> set[psutil.Process]:
    """Return what managers and workers have started, in their process groups; also if its parent is gone."""
    blocks = {(_group(part.process), part.folder) for part in parts if part.kind != "interchange"}
    groups = {group for group, _ in blocks} - {0, os.getpgid(0)}
    if not groups:
        return set()
    started = {process for process in processes.mine() if (_group(process), _folder_of_block(process, [])) in blocks}
    for part in parts:
        with contextlib.suppress(psutil.Error):
            started |= set(part.process.children(recursive=True))
    return {process for process in started if _group(process) in groups}


def _group(process: psutil.Process) -> int:
    with contextlib.suppress(OSError):
        return os.getpgid(process.pid)
    return 0


# -- one process ---------------------------------------------------------------------------------------------------


def _kind(arguments: Sequence[str]) -> Kind | None:
    if not arguments:
        return None
    names = {word.rsplit("/", 1)[-1] for word in arguments}
    if arguments[0].startswith(_TITLE) or not names.isdisjoint(_INTERCHANGE):
        return "interchange"
    if not names.isdisjoint(_MANAGER):
        return "manager"
    return "worker" if _WORKER in arguments else None


def _look(process: psutil.Process, kind: Kind) -> PoolProcess | None:
    uid, user = process.uids().real, process.username()
    if uid != os.getuid():
        if kind == "worker":
            return None  # any program's that uses multiprocessing
        return PoolProcess(process, kind, user, engine=_engine(process) if kind == "interchange" else None)
    if kind == "interchange":
        return PoolProcess(process, kind, user, _folder_of_interchange(process), _engine(process))
    arguments = process.cmdline()
    folder = _folder_of_block(process, arguments if kind == "manager" else [])
    if kind == "worker" and folder is None:
        return None
    return PoolProcess(process, kind, user, folder, remote=kind == "manager" and _is_remote(arguments))


def _folder_of_interchange(process: psutil.Process) -> Path | None:
    for path in map(Path, processes.opened(process)):
        if path.name == "interchange.log":
            return path.parent.parent
    # It has just been started, and has neither a title nor a log yet. Daemons name the folder in the environment.
    named = processes.environment(process).get("GLOBUS_COMPUTE_ENDPOINT_DIR")
    return Path(named) if named else None


def _folder_of_block(process: psutil.Process, arguments: Sequence[str]) -> Path | None:
    certificates = _option(arguments, "--cert_dir")
    if certificates.startswith("/"):
        return Path(certificates).parent.parent
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            path = Path(os.readlink(f"/proc/{process.pid}/fd/{descriptor}"))
            if path.parent.name == _SCRIPTS:
                return path.parent.parent
    logs = _option(arguments, "--logdir")
    if logs.startswith("/"):
        return Path(logs).parent
    for path in map(Path, processes.opened(process)):
        if path.suffix == ".log" and path.stem.startswith("worker_") and path.parent.parent.name.startswith("block-"):
            return path.parent.parent.parent.parent
    return None


def _is_closed(process: psutil.Process) -> bool:
    """Return whether the kernel does not show what a process has open, to its own user either."""
    try:
        os.listdir(f"/proc/{process.pid}/fd")
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _option(arguments: Sequence[str], name: str) -> str:
    """Return the value of an option, as ``--name value`` or ``--name=value``; empty if it is not there."""
    for number, word in enumerate(arguments):
        if word == name and number + 1 < len(arguments):
            return arguments[number + 1]
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return ""


def _is_remote(arguments: Sequence[str]) -> bool:
    """Return whether a manager reports to an interchange of another host: that one's engine cannot be seen here."""
    addresses = (_option(arguments, "-a") or _option(arguments, "--addresses")).split(",")
    here = {address.address.split("%")[0] for nets in psutil.net_if_addrs().values() for address in nets}
    # Names as they are: to resolve them may take long.
    here |= {"localhost", socket.gethostname(), socket.gethostname().split(".")[0]}
    return any(addresses) and not any(address in here or address.startswith("127.") for address in addresses)


def _engine(interchange: psutil.Process) -> psutil.Process | None:
    """Return the process that has started an interchange, itself or by another program, and lives.

    An orphan has other ancestors: init, or what a container or a user's session has in its place. They are of another
    user, or the daemon, which starts no interchange itself, or have not loaded ZeroMQ, by which engines talk.
    """
    uid = interchange.uids().real
    for ancestor in interchange.parents():
        if not processes.is_alive(ancestor):
            continue
        if ancestor.pid == os.getpid():
            return ancestor
        try:
            if ancestor.uids().real != uid or daemons.is_core_title(processes.command(ancestor)):
                return None
            with open(f"/proc/{ancestor.pid}/maps", encoding="utf-8", errors="replace") as maps:
                if any("zmq" in line for line in maps):
                    return ancestor
        except psutil.NoSuchProcess:
            continue
        except (psutil.AccessDenied, OSError):
            # Closed to this user: it is an engine, unless it is the init of a host or of a session.
            return None if ancestor.pid == 1 or ancestor.name() == "systemd" else ancestor
    return None


def _real(folder: Path | None) -> str:
    return os.path.realpath(folder) if folder is not None else ""
