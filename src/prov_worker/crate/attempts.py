"""Which attempt at a task has which name.

``<task_id>.crate`` is the attempt that finished last; an earlier one stands beside it as
``<task_id>.attempt-N.crate``. Crates are published by renaming a finished directory, which the file system does at
once or not at all; several publishers, on several nodes, may do so for one task at the same time. Nothing is locked:
shared file systems may not have locks. A rename onto a directory with content fails, and that is the arbiter.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.text import clean, safe_name
from prov_worker.errors import CrateError
from prov_worker.model import TaskRecord

SUFFIX = ".crate"
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_TRIES = 50
_conflicts = threading.Lock()


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes an attempt this one: two records with the same identity are the same event."""

    task_id: str
    attempt: int
    start_ns: int | None
    end_ns: int
    host: str
    pid: int

    @property
    def rank(self) -> tuple[int, int]:
        """Order of attempts: by end, then by number."""
        return self.end_ns, self.attempt

    def same(self, other: Identity) -> bool:
        """Whether both are one attempt. The end is left out: a finaliser after a crash may know a later one."""
        return (self.task_id, self.attempt, self.start_ns, self.host, self.pid) == (
            other.task_id,
            other.attempt,
            other.start_ns,
            other.host,
            other.pid,
        )


def identity_of(record: TaskRecord) -> Identity:
    """Identity of a record."""
    return Identity(
        clean(record.task_id, 1000),
        record.attempt,
        record.start_ns,
        record.end_ns,
        clean(record.worker.host),
        record.worker.pid,
    )


def read_identity(crate: Path) -> Identity | None:
    """Identity of a crate on disk; None where it cannot be read as one of ours."""
    try:
        graph = json.loads((crate / v.METADATA_FILE).read_bytes())["@graph"]
        values: dict[str, Any] = {one["@id"]: one.get("value") for one in graph if one["@type"] == "PropertyValue"}
        start = values.get("#start-ns")
        return Identity(
            str(values["#task-id"]).removeprefix("urn:uuid:"),
            int(values["#attempt"]),
            None if start is None else int(start),
            int(values["#end-ns"]),
            str(values.get("#worker-host", "")),
            int(values["#worker-pid"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def crate_name(task_id: str) -> str:
    """Directory name of a task's crate; ids that are no plain names are percent-encoded."""
    return safe_name(task_id) + SUFFIX


def published(crate_dir: Path, me: Identity) -> Path | None:
    """Path of the crate of this very attempt, where there is one."""
    final = crate_dir / crate_name(me.task_id)
    if not os.path.lexists(final):
        return None
    stem = safe_name(me.task_id)
    for path in (final, *sorted(crate_dir.glob(f"{_literal(stem)}.attempt-{me.attempt}*{SUFFIX}"))):
        other = read_identity(path)
        if other is not None and me.same(other):
            return path
    return None


def _literal(name: str) -> str:
    return name.replace("[", "[[]")


def place(staged: Path, crate_dir: Path, me: Identity) -> Path:
    """Give a finished directory its name.

    Args:
        staged: hidden directory in ``crate_dir``, complete. It is gone afterwards.
        crate_dir: where crates appear.
        me: identity of the attempt in it.

    Returns:
        Path of the crate of this attempt; of the one that was there, where somebody else had published it.

    Raises:
        CrateError: the names are fought over without end.
        OSError: the file system refused.
    """
    final = crate_dir / crate_name(me.task_id)
    if _rename(staged, final):
        return final
    with _conflicts:
        for _ in range(_TRIES):
            if _rename(staged, final):
                return final
            other = read_identity(final)
            if other is None:
                if os.path.lexists(final):
                    _set_aside(final)
                continue
            if me.same(other):
                discard(staged)
                return final
            if other.rank >= me.rank:
                return _keep(staged, crate_dir, me)
            _move_earlier(final, crate_dir, other, me)
    raise CrateError(f"{final}: could not be published, others keep publishing attempts at this task")


def _rename(source: Path, target: Path) -> bool:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _keep(path: Path, crate_dir: Path, who: Identity) -> Path:
    """Give ``path`` the name of an earlier attempt; drop it where that very attempt stands there already."""
    stem = f"{safe_name(who.task_id)}.attempt-{who.attempt}"
    for number in range(1, 10_000):
        target = crate_dir / (f"{stem}{SUFFIX}" if number == 1 else f"{stem}.{number}{SUFFIX}")
        if _rename(path, target):
            return target
        other = read_identity(target)
        if other is not None and who.same(other):
            _drop(path, crate_dir, who)
            return target
    raise CrateError(f"{crate_dir / stem}{SUFFIX}: no free name for another attempt")


def _move_earlier(final: Path, crate_dir: Path, expected: Identity, me: Identity) -> None:
    """Move the earlier attempt at ``final`` to its own name."""
    try:
        moved = _keep(final, crate_dir, expected)
    except FileNotFoundError:
        # Another publisher moved it first.
        return
    found = read_identity(moved)
    if found is None or found.same(expected):
        return
    # Between the look and the move another publisher had put its own attempt there: give that one its due name.
    if found.rank <= me.rank or not _rename(moved, final):
        _keep(moved, crate_dir, found)


def _set_aside(path: Path) -> None:
    """Free the name from something that is no crate of ours. Kept, never deleted: it may be somebody's data."""
    for number in range(1, 10_000):
        target = path.with_name(f"{path.name}.unreadable" if number == 1 else f"{path.name}.unreadable-{number}")
        if os.path.lexists(target):
            continue
        try:
            os.rename(path, target)
        except FileNotFoundError:
            # Another publisher moved it first.
            return
        return
    raise CrateError(f"{path}: no free name to set this aside")


def _drop(path: Path, crate_dir: Path, who: Identity) -> None:
    """Remove a second copy of an attempt; if another publisher has put something else there, that stays."""
    hidden = path.with_name(f".tmp-second-{path.name}-{os.getpid()}-{threading.get_ident()}")
    os.rename(path, hidden)
    # Looked at only now, when nobody else can exchange it any more.
    found = read_identity(hidden)
    if found is not None and not who.same(found):
        if not _rename(hidden, path):
            _keep(hidden, crate_dir, found)
        return
    discard(hidden)


def discard(path: Path) -> None:
    """Remove a hidden directory; what cannot be removed stays hidden."""
    shutil.rmtree(path, ignore_errors=True)
