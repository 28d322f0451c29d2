"""What a trigger remembers on disk, so that each content is fired once: one line per event, appended and synced.

One trigger has it at a time (a lock beside it). It is rewritten, whole or not at all, when most of its lines are
of the past.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker import files
from prov_worker.errors import InputError
from prov_worker.locks import FORK_WAIT_S, lock, open_lock
from prov_worker.spool.own_files import make_private

#: Contents of a folder that are remembered as fired.
_CONTENTS = 32
#: What the first line of a state file says.
FORMAT = "prov-worker trigger 1"


@dataclass(slots=True)
class Pending:
    """An action that was decided on and whose outcome is not on record.

    Attributes:
        key: of this attempt: unique for folder, content and attempt.
        content: of the folder.
        attempt: from 1.
        details: of the folder when it was settled, as an action gets it.
    """

    key: str
    content: str
    attempt: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class FolderRecord:
    """What is known of one folder.

    Attributes:
        signature: when it was seen last; empty if it was not.
        content: see :class:`prov_worker.trigger.scan.Tree`.
        since_s: when the signature was first seen, by the monotonic clock of that boot.
        boot: id of the boot.
        seen_ns: when the folder was first seen, nanoseconds since the epoch.
        fired: contents whose action succeeded, or that were to be skipped.
        run: what the last action gave.
        attempts: of the present content that failed.
        next_ns: when it is tried again, nanoseconds since the epoch.
        error: why the last one failed.
        pending: None if no action is under way.
    """

    signature: str = ""
    content: str = ""
    since_s: float = 0.0
    boot: str = ""
    seen_ns: int = 0
    fired: list[str] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    next_ns: int = 0
    error: str = ""
    pending: Pending | None = None


def default_path(directory: Path) -> Path:
    """Return the state file of a directory: below ``$XDG_STATE_HOME/prov-worker/trigger``."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    real = os.path.realpath(directory)
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    return Path(base) / "prov-worker" / "trigger" / f"{os.path.basename(real) or 'root'}-{digest}.jsonl"


class State:
    """The state file, locked for this process until :meth:`close`.

    Args:
        path: of the file; its directory is made, closed to others.

    Raises:
        InputError: another trigger has it, or it is damaged or of something else; it is named.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, FolderRecord] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = open_lock(f"{path}.lock")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
        self._lines = 0
        self._file = -1
        try:
            if not lock(self._lock, FORK_WAIT_S):
                raise InputError(
                    f"{path}: another trigger is at work with it; one a directory, or give each its --state"
                )
            self.is_new = not path.exists() or not path.stat().st_size
            self._load()
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if self.is_new:
                self._append([{"format": FORMAT}])
        except OSError as error:
            self.close()
            raise InputError(f"{path}: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the file up."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    @property
    def runs(self) -> Path:
        """Directory of what actions leave behind, made when it is first asked for."""
        path = self.path.with_name(f"{self.path.name}.runs")
        make_private(os.fspath(path))
        return path

    def _load(self) -> None:
        data = self.path.read_bytes() if self.path.exists() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # a line that was cut off by a crash: what it tells did not happen
            os.truncate(self.path, whole)
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    raise TypeError("not an object")
                if number == 1 and entry.get("format") != FORMAT:
                    raise InputError(f"{self.path}: not a trigger's state, or of another release")
                self._apply(entry)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{self.path}:{number}: is damaged ({error}); without it, what was fired before is fired again"
                ) from None
            self._lines += 1

    def _apply(self, entry: dict[str, Any]) -> None:
        if "name" not in entry:
            return
        record = self.records.setdefault(entry["name"], FolderRecord())
        kind = entry["event"]
        if kind == "seen":
            if entry["content"] != record.content:
                record.attempts, record.next_ns, record.error = 0, 0, ""
            record.signature, record.content = entry["signature"], entry["content"]
            record.since_s, record.boot = entry["since_s"], entry["boot"]
            record.seen_ns = entry["seen_ns"]
        elif kind == "begins":
            record.pending = Pending(entry["key"], entry["content"], entry["attempt"], entry["details"])
        elif kind in ("fired", "skipped"):
            if entry["content"] not in record.fired:
                record.fired = [*record.fired[1 - _CONTENTS :], entry["content"]]
            record.run = entry.get("run", {})
            record.pending, record.attempts, record.next_ns, record.error = None, 0, 0, ""
        elif kind == "failed":
            record.pending = None
            record.attempts, record.next_ns, record.error = entry["attempt"], entry["next_ns"], entry["error"]
        else:
            raise ValueError(f"unknown event {kind}")

    def _append(self, entries: Iterable[dict[str, Any]], *, sync: bool = True) -> None:
        lines = [json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries]
        if not lines:
            return
        data = "".join(lines).encode()
        while data:
            data = data[os.write(self._file, data) :]
        if sync:
            os.fsync(self._file)
        self._lines += len(lines)

    def write(self, *entries: dict[str, Any], sync: bool = True) -> None:
        """Record events: on disk first, then in :attr:`records`.

        Raises:
            OSError: there is no space; nothing is recorded of what was not written.
        """
        self._append(entries, sync=sync)
        for entry in entries:
            self._apply(entry)
        if self._lines > 1000 + 4 * len(self.records):
            self._compact()

    def _compact(self) -> None:
        lines = [json.dumps({"format": FORMAT})]
        for name, record in self.records.items():
            lines += (json.dumps(entry, separators=(",", ":")) for entry in _events(name, record))
        files.write_file(self.path, "\n".join(lines) + "\n", mode=0o600, sync=True)
        os.close(self._file)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._lines = len(lines)


def _events(name: str, record: FolderRecord) -> Iterable[dict[str, Any]]:
    """Yield the fewest events that a record follows from."""
    if record.signature:
        yield seen(name, record.signature, record.content, record.since_s, record.boot, record.seen_ns)
    for content in record.fired:
        run = {"run": record.run} if content == record.fired[-1] else {}
        yield {"event": "fired", "name": name, "content": content, **run}
    if record.attempts:
        yield failed(name, record.attempts, record.next_ns, record.error)
    if record.pending is not None:
        yield begins(name, record.pending)


def seen(name: str, signature: str, content: str, since_s: float, boot: str, seen_ns: int) -> dict[str, Any]:
    """Return the event that a folder was found changed, or for the first time."""
    times = {"since_s": since_s, "boot": boot, "seen_ns": seen_ns}
    return {"event": "seen", "name": name, "signature": signature, "content": content, **times}


def begins(name: str, pending: Pending) -> dict[str, Any]:
    """Return the event that an action is about to begin."""
    return {
        "event": "begins",
        "name": name,
        "key": pending.key,
        "content": pending.content,
        "attempt": pending.attempt,
        "details": pending.details,
    }


def failed(name: str, attempt: int, next_ns: int, error: str) -> dict[str, Any]:
    """Return the event that an action failed."""
    return {"event": "failed", "name": name, "attempt": attempt, "next_ns": next_ns, "error": error}
