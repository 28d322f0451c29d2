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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.attempt import AttemptId
from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import clean, safe_name
from prov_worker.crate.staging import staging_name
from prov_worker.errors import CrateError
from prov_worker.files import exchange, read_regular
from prov_worker.model import VERDICTS, TaskRecord

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_TRIES = 50
#: No step crate of ours has so much metadata.
_MAX_METADATA = 64 << 20
_conflicts = threading.Lock()


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which attempt a crate is of, and when it ended: a finaliser after a crash may know a later end than another.

    Attributes:
        id: which attempt; its task id as the crate has it.
        end_ns: nanoseconds since the epoch.
        verdict: kind of the failure, if it was stated without the word of the task's worker; else empty.
        error: the line that says why it failed, of a crate on disk.
    """

    id: AttemptId
    end_ns: int
    verdict: str = ""
    error: str = field(default="", compare=False)

    def is_of(self, other: Attempt) -> bool:
        """Return whether both are of one execution. The engine does not know when a task that it lost was begun."""
        if self.id == other.id:
            return True
        return self.id[:2] == other.id[:2] and "lost" in (self.verdict, other.verdict)

    def gives_way_to(self, other: Attempt) -> bool:
        """Return whether it is a verdict, and the other is the end of the same execution."""
        return bool(self.verdict) and not other.verdict and self.is_of(other)

    @property
    def rank(self) -> tuple[int, int]:
        """Order of attempts: by end, then by number."""
        return self.end_ns, self.id.attempt


def attempt_of(record: TaskRecord) -> Attempt:
    """Return the attempt of a record."""
    verdict = record.failure.kind if record.is_verdict and record.failure is not None else ""
    return Attempt(record.attempt_id._replace(task_id=clean(record.task_id, 1000)), record.end_ns, verdict)


def read_attempt(crate: Path) -> Attempt | None:
    """Return the attempt of a crate on disk; None if it cannot be read as one of ours."""
    try:
        return parse_attempt(read_regular(crate / v.METADATA_FILE, _MAX_METADATA))
    except OSError:
        return None


def parse_attempt(metadata: bytes) -> Attempt | None:
    """Return the attempt of a crate with these metadata; None if they cannot be read as ours."""
    try:
        graph = json.loads(metadata)["@graph"]
        values: dict[str, Any] = {
            entity["@id"]: entity.get("value") for entity in graph if entity["@type"] == "PropertyValue"
        }
        task_id = str(values["#task-id"]).removeprefix("urn:uuid:")
        end_ns = int(values["#end-ns"])
        # a crate that names no start is of a task that no worker began
        attempt = AttemptId(task_id, int(values["#attempt"]), int(values.get("#start-ns", end_ns)))
        kind = values.get("#failure-kind")
        error = next((str(entity["error"]) for entity in graph if "error" in entity), "")
        return Attempt(attempt, end_ns, kind if kind in VERDICTS else "", error)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def published(crate_dir: Path, me: Attempt) -> tuple[Path, Attempt] | None:
    """Return the crate of this very attempt and what it says, if there is one."""
    stem = safe_name(me.id.task_id)  # ids that are not plain names are percent-encoded
    final = crate_dir / v.crate_name(stem)
    if not os.path.lexists(final):
        return None
    earlier = v.crate_name(_literal(v.attempt_key(stem, me.id.attempt)) + "*")
    for path in (final, *sorted(crate_dir.glob(earlier))):
        other = read_attempt(path)
        if other is not None and me.is_of(other):
            return path, other
    return None


def _literal(name: str) -> str:
    return name.replace("[", "[[]")


def place(staged: Path, crate_dir: Path, me: Attempt) -> Path:
    """Give a finished directory its name.

    Args:
        staged: hidden directory in ``crate_dir``, complete. It is gone afterwards.
        crate_dir: where crates appear.
        me: the attempt in it.

    Returns:
        Path of the crate of this attempt; of the one that was there, if somebody else had published it. One that
        was a verdict is replaced by the end of the task.

    Raises:
        CrateError: the names are fought over without end.
        OSError: the file system refused.
    """
    final = crate_dir / v.crate_name(safe_name(me.id.task_id))
    if _rename(staged, final):
        return final
    with _conflicts:
        for _ in range(_TRIES):
            if _rename(staged, final):
                return final
            other = read_attempt(final)
            if other is None:
                if os.path.lexists(final):
                    _set_aside(final)
                continue
            if other.gives_way_to(me):
                if _replace(staged, final, other):
                    return final
                _withdraw(final, crate_dir, other)
                continue
            if me.is_of(other):
                discard(staged)
                return final
            if other.rank >= me.rank:
                return _keep(staged, crate_dir, me)
            _move_earlier(final, crate_dir, other, me)
    raise CrateError(final, "could not be published, others keep publishing attempts at this task")


def _rename(source: Path, target: Path) -> bool:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _keep(path: Path, crate_dir: Path, who: Attempt) -> Path:
    """Give ``path`` the name of an earlier attempt; drop it if that very attempt stands there already."""
    stem = safe_name(who.id.task_id)
    for number in range(1, 10_000):
        target = crate_dir / v.crate_name(v.attempt_key(stem, who.id.attempt, number))
        if _rename(path, target):
            return target
        other = read_attempt(target)
        if other is not None and other.gives_way_to(who):
            if _replace(path, target, other):
                return target
            _withdraw(target, crate_dir, other)
            if _rename(path, target):
                return target
            other = read_attempt(target)
        if other is not None and who.is_of(other):
            _drop(path, crate_dir, who)
            return target
    raise CrateError(crate_dir / v.crate_name(stem), "no free name for another attempt")


def _replace(path: Path, target: Path, expected: Attempt) -> bool:
    """Put a crate in the place of one that has a verdict, at once: there is no moment without either.

    Returns:
        Whether that was done; False if the file system cannot do it, or another publisher had come first.
    """
    try:
        if not exchange(path, target):
            return False
        if read_attempt(path) == expected:
            discard(path)
            return True
        exchange(path, target)  # what another publisher had put there is not ours to take away
    except FileNotFoundError:
        pass  # it was moved meanwhile
    return False


def _withdraw(path: Path, crate_dir: Path, expected: Attempt) -> None:
    """Remove a crate that has a verdict; if another publisher has put something else there, that stays."""
    hidden = path.with_name(staging_name(f"verdict-{path.name}"))
    try:
        os.rename(path, hidden)
    except FileNotFoundError:
        return  # another publisher was first
    other = read_attempt(hidden)
    if other == expected:
        discard(hidden)
    elif not _rename(hidden, path) and other is not None:
        _keep(hidden, crate_dir, other)


def _move_earlier(final: Path, crate_dir: Path, expected: Attempt, me: Attempt) -> None:
    """Move the earlier attempt at ``final`` to its own name."""
    try:
        moved = _keep(final, crate_dir, expected)
    except FileNotFoundError:
        # Another publisher moved it first.
        return
    other = read_attempt(moved)
    if other is None or other.id == expected.id:
        return
    # Between the look and the move another publisher had put its own attempt there: give that one its due name.
    if other.rank <= me.rank or not _rename(moved, final):
        _keep(moved, crate_dir, other)


def _set_aside(path: Path) -> None:
    """Free the name from something that is not a crate of ours. Kept, never deleted: it may be somebody's data."""
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
    raise CrateError(path, "no free name to move this away")


def _drop(path: Path, crate_dir: Path, who: Attempt) -> None:
    """Remove a second copy of an attempt; if another publisher has put something else there, that stays."""
    hidden = path.with_name(staging_name(f"second-{path.name}"))
    os.rename(path, hidden)
    # Looked at only now, when nobody else can exchange it any more.
    other = read_attempt(hidden)
    if other is not None and who.id != other.id:
        if not _rename(hidden, path):
            _keep(hidden, crate_dir, other)
        return
    discard(hidden)


def discard(path: Path) -> None:
    """Remove a hidden directory; what cannot be removed stays hidden."""
    shutil.rmtree(path, ignore_errors=True)
