"""Tasks that are to run once: small files of a spool, ``<spool>/claims/``.

``TASK.begun``
    A worker is about to call the task's function. It is made by whoever comes first (``O_CREAT | O_EXCL``, which file
    systems of several nodes keep too: open(2)), and is on disk before the function is called.
``TASK.result``
    The message with its result, as the worker released it.

As the rest of a spool they are their user's alone: nobody else can say that a task has begun, or what came of it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass

from prov_worker.processes import process_start
from prov_worker.spool.own_files import open_in_private, read_own, replace_in_private
from prov_worker.spool.paths import JournalName, places_here, spool_dir

DIRECTORY = "claims"
_BEGUN, _RESULT = ".begun", ".result"
#: The web service has forgotten tasks that are so old, and delivers none of them again.
_KEPT_S = 30 * 86400
_MAX_CLAIM_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Claim:
    """Who began a task.

    Attributes:
        writer: the worker, as :class:`~prov_worker.spool.paths.JournalName` names it; empty if it could not say so.
        attempt: 1 for the first.
        at_ns: when, ns since the epoch.
    """

    writer: str = ""
    attempt: int = 0
    at_ns: int = 0

    @property
    def text(self) -> str:
        """What to say of it."""
        name = JournalName.parse(self.writer)
        if name is None:
            return "it has begun before"
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.at_ns / 1e9))
        return f"it has begun before, at {moment} in process {name.pid} on {name.host}"

    def runs(self) -> bool | None:
        """Return whether that worker lives; None if that cannot be known from here."""
        name = JournalName.parse(self.writer)
        return None if name is None else name.lives(places_here())


def take(crate_dir: str, task_id: str, attempt: int) -> bool:
    """Claim a task for this process; False if it has been claimed before, by whomever.

    Args:
        crate_dir: absolute path.
        task_id: UUID as text.
        attempt: 1 for the first.

    Raises:
        OSError: nobody can know: the spool cannot be written, or is not this user's.
    """
    path = _path(crate_dir, f"{task_id}{_BEGUN}")
    try:
        descriptor = open_in_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return False
    try:
        pid = os.getpid()
        claim = Claim(str(JournalName.here(None, pid, process_start(pid))), attempt, time.time_ns())
        os.write(descriptor, json.dumps(asdict(claim)).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
    return True


def keep_result(crate_dir: str, task_id: str, result: bytes) -> None:
    """Keep the message with a claimed task's result.

    Raises:
        OSError: there is no space.
    """
    replace_in_private(_path(crate_dir, f"{task_id}{_RESULT}"), result)


def result_of(crate_dir: str, task_id: str) -> bytes | None:
    """Return the message with the result of a claimed task; None if there is none."""
    try:
        return read_own(_path(crate_dir, f"{task_id}{_RESULT}"))
    except OSError:
        return None


def claim_of(crate_dir: str, task_id: str) -> Claim | None:
    """Return who began a task; None if nobody has."""
    try:
        text = read_own(_path(crate_dir, f"{task_id}{_BEGUN}"))[:_MAX_CLAIM_BYTES]
    except OSError:
        return None
    try:
        content = json.loads(text)
        return Claim(str(content["writer"]), int(content["attempt"]), int(content["at_ns"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Claim()  # the worker ended before it had written it: the task has begun for all that is known


def remove_old(crate_dir: str) -> None:
    """Remove what is kept of tasks that nobody delivers again."""
    directory = _path(crate_dir, "")
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _KEPT_S:
                    os.unlink(entry.path)
    except OSError:
        return


def _path(crate_dir: str, name: str) -> str:
    return os.path.join(spool_dir(crate_dir), DIRECTORY, name)
