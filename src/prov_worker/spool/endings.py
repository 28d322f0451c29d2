"""Tasks that are to be ended, and tasks that were: small files of a spool, ``<spool>/endings/``.

``TASK.asked``
    Somebody wants the task to be cancelled. Every agent of the crate directory looks for these, and the one whose
    worker runs the task ends that worker, if need be as soon as the task begins.
``TASK.ATTEMPT.ended``
    An agent ends the worker of this attempt: written before it does, so that whoever sees the worker gone can know why.
``TASK.refused``
    The task cannot be ended, and why.

Each holds one JSON object. As the rest of a spool they are their user's alone: nobody else can ask.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from prov_worker.files import write_file
from prov_worker.redact import redact_part
from prov_worker.spool.own_files import make_private, read_own
from prov_worker.spool.paths import own_spools, private_directory, spool_dir

DIRECTORY = "endings"
TIME_LIMIT, CANCELLED = "time_limit", "cancelled"
_ASKED, _ENDED, _REFUSED = ".asked", ".ended", ".refused"
#: Files of tasks that were never seen again go after a week.
_KEPT_S = 7 * 86400
_MAX_BYTES = 4096
#: Clocks of two nodes may differ by this much, ns.
_SKEW_NS = 60_000_000_000
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an agent ended a worker.

    Attributes:
        task_id: UUID as text.
        attempt: 1 for the first.
        start_ns: when the task began, ns since the epoch.
        kind: ``time_limit`` or ``cancelled``.
        at_ns: when it was ended, ns since the epoch.
        host: of the worker.
        pid: of the worker.
        limit_s: the limit; None if it was none.
        by: who cancelled it; None.
    """

    task_id: str
    attempt: int
    start_ns: int
    kind: str
    at_ns: int
    host: str
    pid: int
    limit_s: float | None = None
    by: str | None = None

    @property
    def text(self) -> str:
        """What to say of it."""
        reason = f"time limit of {self.limit_s:g} s" if self.limit_s is not None else f"cancelled by {self.by}"
        return f"{reason}: worker process {self.pid} on {self.host} was ended"


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants a task to be cancelled.

    Attributes:
        task_id: UUID as text.
        by: who.
        at_ns: when, ns since the epoch.
    """

    task_id: str
    by: str
    at_ns: int


def ask(crate_dir: str, task_id: str, by: str) -> None:
    """Ask the agents of a crate directory to cancel a task.

    Args:
        crate_dir: the directory.
        task_id: UUID as text.
        by: who asks.

    Raises:
        OSError: the spool cannot be written, or is not this user's.
    """
    wish = Wish(task_id, redact_part(by, _MAX_NAME), time.time_ns())
    _write(crate_dir, f"{task_id}{_ASKED}", asdict(wish))


def refuse(crate_dir: str, task_id: str, why: str) -> None:
    """Say that a task cannot be ended.

    Raises:
        OSError: as of :func:`ask`.
    """
    _write(crate_dir, f"{task_id}{_REFUSED}", {"why": why})


def note(crate_dir: str, ending: Ending) -> None:
    """Say why the worker of an attempt is about to be ended.

    Raises:
        OSError: as of :func:`ask`.
    """
    _write(crate_dir, f"{ending.task_id}.{ending.attempt}{_ENDED}", asdict(ending))


def withdraw(crate_dir: str, ending: Ending) -> None:
    """Take back what :func:`note` said: the task ended by itself."""
    _remove(_path(crate_dir, f"{ending.task_id}.{ending.attempt}{_ENDED}"))


def forget_wish(crate_dir: str, task_id: str) -> None:
    """Ask no more."""
    _remove(_path(crate_dir, f"{task_id}{_ASKED}"))


def wishes(crate_dir: str) -> Iterator[Wish]:
    """Yield what is asked for; what cannot be read is passed over."""
    directory = _path(crate_dir, "")
    for name in _names(directory):
        if name.endswith(_ASKED):
            content = _read(os.path.join(directory, name))
            task_id, by, at_ns = (content.get(key) for key in ("task_id", "by", "at_ns"))
            if f"{task_id}{_ASKED}" == name and isinstance(by, str) and isinstance(at_ns, int):
                yield Wish(str(task_id), by[:_MAX_NAME], at_ns)


def changed_ns(crate_dir: str) -> int:
    """Return when something was asked for or answered last, as the file system tells; 0 if never."""
    try:
        return os.stat(_path(crate_dir, "")).st_mtime_ns
    except OSError:
        return 0


def ending_of(crate_dir: str, task_id: str, attempt: int, not_before_ns: int) -> Ending | None:
    """Return why an attempt's worker was ended by an agent; None if it was not.

    Args:
        crate_dir: the crate directory.
        task_id: UUID as text.
        attempt: 1 for the first.
        not_before_ns: an ending of an earlier execution of the same number is not one of this one's.
    """
    for spool in own_spools(crate_dir):
        content = _read(os.path.join(spool, DIRECTORY, f"{task_id}.{attempt}{_ENDED}"))
        ending = _ending(content)
        if ending is not None and ending.at_ns >= not_before_ns - _SKEW_NS:
            return ending
    return None


def answers(crate_dir: str, task_ids: Collection[str], not_before_ns: int) -> dict[str, Ending | str]:
    """Return, of tasks that were to be cancelled, the ending, or why there can be none; others are left out.

    Args:
        crate_dir: the crate directory.
        task_ids: UUIDs as text.
        not_before_ns: when it was asked for.
    """
    directory = _path(crate_dir, "")
    answered: dict[str, Ending | str] = {}
    for name in _names(directory):
        task_id = name.partition(".")[0]
        if task_id not in task_ids:
            continue
        if name.endswith(_ENDED):
            ending = _ending(_read(os.path.join(directory, name)))
            if ending is not None and ending.at_ns >= not_before_ns - _SKEW_NS:
                answered[task_id] = ending
        elif name.endswith(_REFUSED):
            why = _read(os.path.join(directory, name)).get("why")
            if isinstance(why, str):
                answered.setdefault(task_id, why)
    return answered


def remove_old(crate_dir: str) -> None:
    """Remove files of tasks that nobody asks for any more."""
    directory = _path(crate_dir, "")
    for name in _names(directory):
        path = os.path.join(directory, name)
        try:
            if time.time() - os.lstat(path).st_mtime > _KEPT_S:
                os.unlink(path)
        except OSError:
            continue


def _path(crate_dir: str, name: str) -> str:
    return os.path.join(spool_dir(crate_dir), DIRECTORY, name)


def _write(crate_dir: str, name: str, content: dict[str, Any]) -> None:
    path = _path(crate_dir, name)
    directory = os.path.dirname(path)
    if not private_directory(os.path.dirname(directory)):
        raise PermissionError(f"{os.path.dirname(directory)}: is not a directory of this user's alone")
    make_private(directory)
    write_file(path, json.dumps(content), mode=0o600)


def _read(path: str) -> dict[str, Any]:
    try:
        content = json.loads(read_own(path)[:_MAX_BYTES])
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _ending(content: dict[str, Any]) -> Ending | None:
    try:
        ending = Ending(**{field.name: content.get(field.name) for field in fields(Ending)})  # type: ignore[arg-type]
        numbers = (ending.attempt, ending.start_ns, ending.at_ns, ending.pid)
        sound = all(type(number) is int for number in numbers) and ending.kind in (TIME_LIMIT, CANCELLED)
        return ending if sound and ending.text else None
    except (TypeError, ValueError):
        return None


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
