"""Where slots and journals are, and how they are named.

``<crate_dir>/.spool/<host>-<pid>-<start>[-t<thread>].jsonl`` are journals; ``.spool/closed/`` takes those whose
worker is gone and whose tasks all have crates. A second user of a crate directory has a ``.spool-<uid>``. The runtime
directory is node-local and private: one per user, process name space and crate directory, because that is what one
agent serves.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

from prov_worker.errors import SpoolError
from prov_worker.processes import is_running, pid_namespace, process_start, runs_in_container

SPOOL = ".spool"
CLOSED = "closed"
JOURNAL_SUFFIX = ".jsonl"
LEDGER_SUFFIX = ".done"
NOTES_SUFFIX = ".open"
SLOT_PREFIX = "slot."
_RUNTIME_ROOTS = ("/dev/shm", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - each is checked by private_directory


@dataclass(frozen=True, slots=True)
class JournalName:
    """What a journal's file name says: node, process id, start of the process in clock ticks since boot, thread id."""

    host: str
    pid: int
    start: int
    thread: int | None = None

    def __str__(self) -> str:
        thread = "" if self.thread is None else f"-t{self.thread}"
        return f"{self.host}-{self.pid}-{self.start}{thread}{JOURNAL_SUFFIX}"

    @classmethod
    def parse(cls, name: str) -> JournalName | None:
        """Read a file name; None where it is not the name of a journal. Host names may hold dashes."""
        if not name.endswith(JOURNAL_SUFFIX):
            return None
        parts = name[: -len(JOURNAL_SUFFIX)].split("-")
        thread = None
        if len(parts) > 3 and parts[-1][:1] == "t" and parts[-1][1:].isdigit():
            thread = int(parts.pop()[1:])
        if len(parts) < 3 or not parts[-1].isdigit() or not parts[-2].isdigit():
            return None
        return cls("-".join(parts[:-2]), int(parts[-2]), int(parts[-1]), thread)

    @property
    def is_engine(self) -> bool:
        """Whether it is the journal of an engine: no thread has the number 0."""
        return self.thread == 0

    def is_alive(self) -> bool:
        """Whether the process runs on *this* node still: same id and same start, and not a zombie.

        Workers in a container that has the node's name have another id here: they are looked for by what they started
        at. From within a container the processes outside are not to be seen.
        """
        if process_start(self.pid) == self.start:
            return is_running(self.pid)
        return runs_in_container(self.pid, self.start)


def spool_dir(crate_dir: str) -> str:
    """Directory of this user's journals in a crate directory.

    A spool is closed to others (0700). Where another user's is there already, this user's is ``.spool-<uid>``.
    """
    path = os.path.join(crate_dir, SPOOL)
    try:
        owner = os.stat(path).st_uid
    except OSError:
        return path
    uid = os.getuid()
    if owner == uid or os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return path
    return f"{path}-{uid}"


def other_spools(crate_dir: str) -> list[str]:
    """Directories of other users' journals in a crate directory."""
    own = spool_dir(crate_dir)
    try:
        names = sorted(os.listdir(crate_dir))
    except OSError:
        return []
    paths = (os.path.join(crate_dir, name) for name in names if name == SPOOL or name.startswith(f"{SPOOL}-"))
    return [path for path in paths if path != own and os.path.isdir(path)]


def private_directory(path: str) -> bool:
    """Make a directory for this user alone (0700) and say whether it is one: ours, no link, closed to others."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return False
    if status.st_mode & 0o077:
        try:
            os.chmod(path, 0o700)
        except OSError:
            return False
    return os.access(path, os.W_OK | os.X_OK)


def runtime_dir(crate_dir: str) -> str:
    """Private node-local directory of the slots, the agent's lock and its log; made where it is missing.

    Raises:
        SpoolError: no place on this node can be made private.
    """
    key = hashlib.sha256(os.fsencode(f"{os.path.realpath(crate_dir)}\0{pid_namespace()}")).hexdigest()[:16]
    for base in _runtime_bases():
        if os.path.isdir(os.path.dirname(base)) and private_directory(base):
            path = os.path.join(base, key)
            if private_directory(path):
                return path
    raise SpoolError(f"{', '.join(_RUNTIME_ROOTS)}: no private directory can be made there for slots")


def runtime_dirs() -> list[str]:
    """This user's runtime directories on this node, of all crate directories."""
    directories = []
    for base in _runtime_bases():
        try:
            directories += [os.path.join(base, name) for name in sorted(os.listdir(base))]
        except OSError:
            continue
    return directories


def _runtime_bases() -> list[str]:
    uid = os.getuid()
    roots = (os.path.join(root, str(uid)) if root == "/run/user" else root for root in _RUNTIME_ROOTS)
    return [os.path.join(root, f"prov-worker-{uid}") for root in roots]
