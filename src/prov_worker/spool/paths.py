"""Where slots and journals are, and how they are named.

``<crate_dir>/.spool/<host>~<place>-<pid>-<start>[-t<thread>].jsonl`` are journals; ``.spool/closed/`` takes those whose
worker is gone and whose tasks all have crates. A second user of a crate directory has a ``.spool-<uid>``. The runtime
directory is node-local and private: one per user, process name space and crate directory, because that is what one
agent serves.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from typing import NamedTuple

from prov_worker.errors import SpoolError
from prov_worker.processes import host_name, is_running, pid_namespace, process_start, runs_in_container
from prov_worker.spool import places
from prov_worker.spool.own_files import allocate, is_private, make_private, open_in_private, open_own, read_own

SPOOL = ".spool"
CLOSED = "closed"
JOURNAL_SUFFIX = ".jsonl"
LEDGER_SUFFIX = ".done"
NOTES_SUFFIX = ".open"
SLOT_PREFIX = "slot."
#: ``$TMPDIR`` is where a batch system may have put it.
_RUNTIME_ROOTS = ("/dev/shm", "/run/user", "$TMPDIR", "/tmp", "/var/tmp")  # noqa: S108 - each is checked
_TOKEN = "runtime.token"  # noqa: S105 - the name of a file
_TOKEN_LENGTH = 32
#: What a worker's slot and ring take, bytes.
_ROOM = 160 << 10


class JournalName(NamedTuple):
    """What a journal's file name says.

    Attributes:
        host: name of the node.
        pid: process id of the writer.
        start: when that started, in clock ticks since boot.
        thread: its thread, None for the whole process, 0 for an engine.
        place: where its process id means something (:mod:`prov_worker.spool.places`); empty in names of releases that
            knew none.
    """

    host: str
    pid: int
    start: int
    thread: int | None = None
    place: str = ""

    def __str__(self) -> str:
        thread = "" if self.thread is None else f"-t{self.thread}"
        host = f"{self.host}~{self.place}" if self.place else self.host
        return f"{host}-{self.pid}-{self.start}{thread}{JOURNAL_SUFFIX}"

    @classmethod
    def here(cls, runtime: str | None, pid: int, start: int, thread: int | None = None) -> JournalName:
        """Return the name for a process of this place, with its runtime directory."""
        return cls(host_name(), pid, start, thread, place_of(runtime))

    @classmethod
    def parse(cls, name: str) -> JournalName | None:
        """Read a file name; None if it is not the name of a journal. Host names may hold dashes."""
        if not name.endswith(JOURNAL_SUFFIX):
            return None
        parts = name[: -len(JOURNAL_SUFFIX)].split("-")
        thread = None
        if len(parts) > 3 and parts[-1][:1] == "t" and parts[-1][1:].isdigit():
            thread = int(parts.pop()[1:])
        if len(parts) < 3 or not parts[-1].isdigit() or not parts[-2].isdigit():
            return None
        host = "-".join(parts[:-2])
        before, tilde, place = host.rpartition("~")
        if not tilde or len(place) != places.LENGTH or not place.isalnum():
            before, place = host, ""
        return cls(before, int(parts[-2]), int(parts[-1]), thread, place)

    @property
    def is_engine(self) -> bool:
        """Whether it is the journal of an engine: no thread has the number 0."""
        return self.thread == 0

    def is_alive(self) -> bool:
        """Return whether the process runs on *this* node still: same id and same start, and not a zombie.

        Workers in a container that has the node's name have another id here: they are looked for by what they started
        at. From within a container the processes outside are not to be seen.
        """
        if process_start(self.pid) == self.start:
            return is_running(self.pid)
        return runs_in_container(self.pid, self.start)

    def lives(self, here: frozenset[str]) -> bool | None:
        """Return whether the writer lives; None if that cannot be known from here.

        Args:
            here: as of :func:`places_here`. Of another place, such as a container of this node, or of none, a process
                that is to be seen lives; that it is not to be seen says nothing.
        """
        if self.place in here:
            return is_running(self.pid, self.start)
        return True if self.is_of_this_host and self.is_alive() else None

    @property
    def is_of_this_host(self) -> bool:
        """Whether the host has this one's name. Releases that knew no places took what stands before the first dot."""
        name = host_name()
        return self.host == name or (not self.place and self.host == name.split(".", 1)[0])


def place_of(runtime: str | None) -> str:
    """Return the place of a process with this runtime directory."""
    return places.place(None if runtime is None else os.path.dirname(os.path.dirname(runtime)))


def places_here() -> frozenset[str]:
    """Return what this place is called by processes here, whatever root their runtime directory is in."""
    return frozenset(map(places.place, (None, *runtime_roots())))


def spool_dir(crate_dir: str) -> str:
    """Return directory of this user's journals in a crate directory; it may be still to be made.

    ``.spool``, if nobody else has it: a directory of this user's, closed to others. Else ``.spool-<uid>`` by the same
    test; else, as somebody may have taken that name on purpose, one with a name that nobody can take first.
    """
    uid = os.geteuid()
    for name in (SPOOL, f"{SPOOL}-{uid}"):
        path = os.path.join(crate_dir, name)
        if is_private(path) is not False:
            return path
    own = own_spools(crate_dir)
    return own[0] if own else os.path.join(crate_dir, f"{SPOOL}-{uid}-{os.urandom(8).hex()}")


def own_journal(journal: str) -> str:
    """Return where a journal is that a worker has named: in this user's spool, which is made if it is missing.

    Another user may have made the spool that was nobody's yet when the worker looked.
    """
    directory, name = os.path.split(journal)
    crate_dir = os.path.dirname(directory)
    if not os.path.basename(directory).startswith(SPOOL) or not os.path.isdir(crate_dir):
        return journal
    if not private_directory(directory):
        directory = spool_dir(crate_dir)
        private_directory(directory)
    return os.path.join(directory, name)


def own_spools(crate_dir: str) -> list[str]:
    """Return this user's spools in a crate directory: most often one, more if names were taken and free again."""
    uid = os.geteuid()
    own = (SPOOL, f"{SPOOL}-{uid}")
    paths = [path for name, path in _spools(crate_dir) if name in own or name.startswith(f"{SPOOL}-{uid}-")]
    return [path for path in paths if is_private(path)]


def other_spools(crate_dir: str) -> list[str]:
    """Return unused spools in a crate directory: other users', and what is open to others or no directory."""
    own = own_spools(crate_dir)
    return [path for _, path in _spools(crate_dir) if path not in own]


def _spools(crate_dir: str) -> list[tuple[str, str]]:
    """Return names and paths of what looks like a spool, the plain name first."""
    names = _listed(crate_dir)
    return [(name, os.path.join(crate_dir, name)) for name in names if name == SPOOL or name.startswith(f"{SPOOL}-")]


def _listed(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def private_directory(path: str) -> bool:
    """Make a directory for this user alone (0700) and say whether it is one: ours, no link, closed to others."""
    try:
        make_private(path)
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK)


def runtime_dir(crate_dir: str, refused: list[str] | None = None) -> str:
    """Return private node-local directory of the slots, the agent's lock and its log; made if it is missing.

    The first of the roots that takes a slot and a ring. If others have taken its name in all of them, one with a token,
    which is kept in a file of this user's spool.

    Args:
        crate_dir: which crate directory it belongs to.
        refused: takes why roots before it were passed over.

    Raises:
        SpoolError: no place on this node can be made private.
    """
    key = _key(crate_dir)
    reasons: list[str] = [] if refused is None else refused
    for base in _runtime_bases(crate_dir, make=True):
        path = os.path.join(base, key)
        try:
            make_private(base)
            make_private(path)
            _try_room(path)
        except OSError as error:
            reasons.append(f"{base}: {error.strerror}")
            continue
        return path
    raise SpoolError(f"{', '.join(_RUNTIME_ROOTS)}: no private directory can be made there for slots")


def runtime_dirs_of(crate_dir: str) -> list[str]:
    """Return the runtime directories of a crate directory that there are on this node, in order of preference."""
    key = _key(crate_dir)
    paths = [os.path.join(base, key) for base in _runtime_bases(crate_dir, make=False)]
    return [path for path in paths if is_private(path)]


def is_crate_dir(crate_dir: str) -> bool:
    """Return whether there is such a directory, or is to be one for tasks of this node that have not ended."""
    return os.path.isdir(crate_dir) or bool(runtime_dirs_of(crate_dir))


def runtime_dirs() -> list[str]:
    """Return this user's runtime directories on this node, of all crate directories."""
    name = f"prov-worker-{os.geteuid()}"
    directories = []
    for root in runtime_roots():
        for base in (
            os.path.join(root, entry) for entry in _listed(root) if entry == name or entry.startswith(f"{name}-")
        ):
            if is_private(base):
                directories += [os.path.join(base, entry) for entry in _listed(base)]
    return directories


def _key(crate_dir: str) -> str:
    return hashlib.sha256(os.fsencode(f"{os.path.realpath(crate_dir)}\0{pid_namespace()}")).hexdigest()[:16]


def _try_room(directory: str) -> None:
    """Find out whether a worker's slot and ring can be made.

    Raises:
        OSError: the file system is full or read-only, or refuses.
    """
    path = os.path.join(directory, f".space-{os.getpid()}-{threading.get_native_id()}")
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        allocate(descriptor, _ROOM)
    finally:
        os.close(descriptor)
        os.unlink(path)


def runtime_roots() -> list[str]:
    """Return directories in which runtime directories may be."""
    roots = (os.environ.get("TMPDIR", "") if root == "$TMPDIR" else root for root in _RUNTIME_ROOTS)
    roots = (os.path.join(root, str(os.geteuid())) if root == "/run/user" else root for root in roots)
    return [root for root in dict.fromkeys(roots) if os.path.isabs(root) and os.path.isdir(root)]


def _runtime_bases(crate_dir: str, *, make: bool) -> Iterator[str]:
    """Yield where runtime directories may be: under the plain names, then under those with the token."""
    name = f"prov-worker-{os.geteuid()}"
    for root in runtime_roots():
        yield os.path.join(root, name)
    if not any(is_private(os.path.join(root, name)) is False for root in runtime_roots()):
        return
    token = _token(spool_dir(crate_dir), make=make)
    for root in runtime_roots() if token else ():
        path = os.path.join(root, f"{name}-{token}")
        yield path


def _token(spool: str, *, make: bool) -> str:
    """Return what nobody else knows beforehand: from a file of this user's; empty if there is none."""
    path = os.path.join(spool, _TOKEN)
    with contextlib.suppress(OSError):
        text = read_own(path).decode("ascii", "replace").strip()
        if len(text) == _TOKEN_LENGTH and text.isalnum():
            return text
    if make:
        with contextlib.suppress(OSError):
            from prov_worker.files import write_file  # most names are free

            token = os.urandom(_TOKEN_LENGTH // 2).hex()
            os.close(open_in_private(path, os.O_WRONLY | os.O_CREAT))
            write_file(path, token, mode=0o600)
            return token
    return ""
