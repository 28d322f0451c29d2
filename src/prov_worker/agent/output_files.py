"""Files that a task left in its sandbox: path, size and sha256, by reference, as they were when the task ended.

The agent comes tens of milliseconds after the end, and a client may take files away as soon as it has the result. So it
looks at the sandbox while the task runs, opens what is there when it hears of the end, and hashes from the open
descriptors, which hold a file that is removed. What it cannot know it does not say: a file that was changed or taken
away in between has no digest, but the reason why. ``capture_outputs: at_end`` has the worker list names, sizes and
times before the result leaves.

A task may name anything: a FIFO that nobody writes to, a file of ``/proc`` without end, a log that grows for ever. So
no more is read of a file than the size that it had, nothing is waited for, and the time for all files of a task is
limited.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from prov_worker.attempt import AttemptId
from prov_worker.model import OutputFile
from prov_worker.sandbox import LIMIT_S, MAX_FILES, Listed, list_files
from prov_worker.spool.records import Ended

#: Files larger than this, and files beyond this total, are listed without a digest: hashing must not outlast the task.
MAX_HASHED_BYTES = 1 << 30
MAX_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20
#: What stands there is made as it is read, and has no size.
_MADE = ("/proc/", "/sys/")
#: Sandboxes of running tasks are looked at this often, and less often if a look takes long.
LOOK_INTERVAL_S = 0.5
_LOOK_SHARE = 0.05
_MAX_SEEN = 256
#: Most descriptors that are held for all tasks together.
_MAX_OPEN = 512
#: A file system's clock ticks coarsely (4 ms or so), and shows no time after now unless it is another machine's.
_TICK_NS = 10_000_000

TAKEN_AWAY = "taken away before it was hashed"
CHANGED = "changed after the task had ended"
TOO_LARGE = "too large to be hashed beside the tasks"
UNREADABLE = "it could not be read"


@dataclass(slots=True)
class Budget:
    """How much may be read of the files of one task.

    Attributes:
        left_bytes: that may still be hashed.
        until: moment after which nothing is looked at (``time.monotonic``).
    """

    left_bytes: int = field(default_factory=lambda: MAX_HASHED_BYTES)
    until: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.until


@dataclass(slots=True)
class Outputs:
    """What is known of a sandbox when its task has ended.

    Attributes:
        sandbox: its directory.
        files: what the task left there, by path within the sandbox.
        complete: whether these are all.
        missing: why a file has no digest, by path.
        descriptors: of files that were opened.
        note: what to say of the sandbox as a whole.
    """

    sandbox: str
    files: dict[str, Listed]
    complete: bool = True
    missing: dict[str, str] = field(default_factory=dict)
    descriptors: dict[str, int] = field(default_factory=dict)
    note: str | None = None


class Sandboxes:
    """Looks at the sandboxes of running tasks, and at each once more when its task has ended."""

    def __init__(self) -> None:
        self._seen: OrderedDict[AttemptId, dict[str, Listed]] = OrderedDict()
        self._due_s = 0.0
        self._open = 0

    def is_due(self) -> bool:
        """Return whether it is time to look again."""
        return time.monotonic() >= self._due_s

    def look(self, running: dict[AttemptId, str]) -> None:
        """Look at sandboxes, by attempt."""
        now_s = time.monotonic()
        for attempt, sandbox in running.items():
            listing = None if _is_made(sandbox) else list_files(sandbox)
            if listing is not None:
                self._seen[attempt] = listing[0]
                self._seen.move_to_end(attempt)
        while len(self._seen) > max(_MAX_SEEN, len(running)):
            self._seen.popitem(last=False)  # its end is still to be read, or was never written
        took_s = time.monotonic() - now_s
        self._due_s = now_s + max(LOOK_INTERVAL_S, took_s / _LOOK_SHARE)

    def end(self, ended: Ended) -> Outputs | None:
        """Open what is in the sandbox of a task that has ended; None if it had no sandbox."""
        before = self._seen.pop(ended.record.attempt_id, {})
        if ended.sandbox is None:
            return None
        if _is_made(ended.sandbox):
            return Outputs(ended.sandbox, {}, note=f"{ended.sandbox} holds no files that a task could have left.")
        end_ns = ended.record.end_ns
        listing = list_files(ended.sandbox)
        there, complete = listing if listing is not None else ({}, True)
        outputs = Outputs(ended.sandbox, {}, complete)
        if ended.files is not None:
            outputs.files = ended.files
            outputs.complete = len(ended.files) < MAX_FILES
        else:
            outputs.files = there | {path: before[path] for path in before.keys() - there.keys()}
            for path in before.keys() - there.keys():
                if listing is not None and not _changed_since(
                    os.path.dirname(os.path.join(ended.sandbox, path)), end_ns
                ):
                    del outputs.files[path]  # the task itself removed it
            for path, file in there.items():
                if end_ns + _TICK_NS < file.modified_ns <= time.time_ns():
                    outputs.missing[path] = CHANGED
                    if path in before:
                        outputs.files[path] = before[path]
        if listing is None:
            outputs.note = "The task's sandbox was taken away as soon as the task had ended"
            if ended.files is not None or before:
                outputs.note += ": its files are listed as they were seen last."
            else:
                outputs.note += f": its files are not known{_HINT}."
        for path, file in outputs.files.items():
            if path not in there:
                outputs.missing[path] = TAKEN_AWAY
            elif there[path] != file:
                outputs.missing.setdefault(path, CHANGED)
            elif self._open < _MAX_OPEN and path not in outputs.missing:
                self._hold(outputs, path)
        return outputs

    def hashed(self, outputs: Outputs, budget: Budget | None = None) -> tuple[list[OutputFile], str | None]:
        """Return the files of a sandbox with their digests, sorted by path, and a note if not all could be taken."""
        files: list[OutputFile] = []
        budget = budget or Budget()
        for path, listed in sorted(outputs.files.items()):
            digest, reason = None, outputs.missing.get(path)
            fd = outputs.descriptors.pop(path, -1)
            if fd >= 0:
                self._open -= 1
            try:
                if reason is None and (listed.size_bytes > budget.left_bytes or budget.is_over):
                    reason = TOO_LARGE
                if reason is None:
                    budget.left_bytes -= listed.size_bytes
                    if fd < 0:
                        fd = os.open(os.path.join(outputs.sandbox, path), _FLAGS)
                    digest, reason = _digest(fd, listed, budget)
            except FileNotFoundError:
                reason = TAKEN_AWAY
            except OSError:
                reason = UNREADABLE
            finally:
                if fd >= 0:
                    os.close(fd)
            files.append(OutputFile(path, listed.size_bytes, digest, None if digest else reason))
        note = outputs.note
        if not outputs.complete:
            note = f"Only the first {MAX_FILES} files of the sandbox, or those seen in {LIMIT_S:g} s, are listed."
        return files, note

    def release(self, outputs: Outputs | None) -> None:
        """Close what was opened and is not needed."""
        if outputs is not None:
            for fd in outputs.descriptors.values():
                os.close(fd)
            self._open -= len(outputs.descriptors)
            outputs.descriptors.clear()

    def _hold(self, outputs: Outputs, path: str) -> None:
        try:
            outputs.descriptors[path] = os.open(os.path.join(outputs.sandbox, path), _FLAGS)
            self._open += 1
        except FileNotFoundError:
            outputs.missing[path] = TAKEN_AWAY
        except OSError:
            outputs.missing[path] = UNREADABLE


_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HINT = " (`capture_outputs: at_end` has them listed before the result leaves)"


def _digest(fd: int, listed: Listed, budget: Budget) -> tuple[str | None, str | None]:
    """Return digest of an open file, or why there is none: it must be the one that was listed, before and after."""
    digest = None
    for moment in ("before", "after"):
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or Listed(status.st_size, status.st_mtime_ns) != listed:
            return None, CHANGED
        if moment == "before":
            digest = _digest_of(fd, listed.size_bytes, budget)
    return digest, None if digest else TOO_LARGE if budget.is_over else CHANGED


def _changed_since(directory: str, end_ns: int) -> bool:
    """Return whether something came into a directory or left it after a moment; true if the directory is gone.

    Clients take files within milliseconds, and a file system's clock is never ahead of the moment: no tick is added.
    """
    try:
        return end_ns < os.stat(directory).st_mtime_ns
    except OSError:
        return True


def declared_files(files: list[OutputFile], budget: Budget | None = None) -> list[OutputFile]:
    """Return files that user code named, with size and hash as they are now; what cannot be read is left out."""
    declared: list[OutputFile] = []
    budget = budget or Budget()
    for file in files:
        try:
            status = os.stat(file.path)
        except (OSError, ValueError):
            continue
        if not stat.S_ISREG(status.st_mode) or _is_made(file.path):
            continue
        digest = _digest_of_path(file.path, status.st_size, budget)
        declared.append(OutputFile(file.path, status.st_size, digest))
    return declared


def _is_made(path: str) -> bool:
    return f"{os.path.realpath(path)}/".startswith(_MADE)


def _digest_of_path(path: str, size: int, budget: Budget) -> str | None:
    """Return the :func:`_digest_of` a file that is not open; None also if it is too large or cannot be read."""
    if size > budget.left_bytes or budget.is_over:
        return None
    budget.left_bytes -= size
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        return _digest_of(fd, size, budget) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _digest_of(fd: int, size: int, budget: Budget) -> str | None:
    """Return hex digest of the first bytes of a file, as many as it had; None if it has fewer, or the time is over.

    Raises:
        OSError: they cannot be read.
    """
    digest = hashlib.sha256()
    with open(fd, "rb", buffering=0, closefd=False) as file:
        while size and not budget.is_over:
            block = file.read(min(size, _BLOCK_BYTES))
            if not block:
                return None
            digest.update(block)
            size -= len(block)
    return None if size else digest.hexdigest()
