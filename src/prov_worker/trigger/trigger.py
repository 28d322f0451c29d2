"""Watches a directory, and begins an action for each folder that has settled: once per content.

An action is on record before it begins, and after it ended. What was under way when a trigger was killed is asked for
by the next one, and not begun twice. One that fails is tried again, ever later, and is kept until it succeeds.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prov_worker.errors import ProvWorkerError
from prov_worker.humanize import duration, plural, size
from prov_worker.printable import line
from prov_worker.trigger import state as events
from prov_worker.trigger.actions.action import Action, ActionError, Outcome
from prov_worker.trigger.record import write_crate
from prov_worker.trigger.state import Pending
from prov_worker.trigger.watcher import Settled, Watcher

_BACKOFF_S = (30.0, 3600.0)
#: Between looks at commands that run.
_POLL_S = 0.5
_SECOND = 1_000_000_000


class Trigger:
    """Runs an action for each folder that settles.

    Args:
        watcher: of the directory.
        action: what is done.
        crates: directory of the triggers' crates.
        say: gets a line per decision.
        ended: set by whoever wants it to end; what is under way goes on.
        parallel: actions that may be under way at a time.
        backoff_s: shortest and longest time before a failed action is tried again; it doubles each time.
    """

    def __init__(
        self,
        watcher: Watcher,
        action: Action,
        crates: Path,
        say: Callable[[str], None],
        ended: threading.Event | None = None,
        *,
        parallel: int = 1,
        backoff_s: tuple[float, float] = _BACKOFF_S,
    ) -> None:
        self._watcher, self._action, self._crates = watcher, action, crates
        self._say, self._ended = say, ended or threading.Event()
        self._parallel, self._backoff_s = parallel, backoff_s
        self._running: dict[str, Settled] = {}
        self._entries: dict[str, Settled] = {}
        self._unwritten: dict[str, tuple[Settled, Outcome]] = {}
        self._trouble = ""
        self.fired = 0
        self.failed = 0

    def run(self, *, once: bool = False) -> None:
        """Watch until asked to end, or look once and wait for what began.

        Raises:
            InputError: the state is damaged, or cannot be written at all.
        """
        try:
            self._stay(once=once)
        finally:
            self._action.release()

    def _stay(self, *, once: bool) -> None:
        self._resume()
        while not self._ended.is_set():
            started = time.monotonic()
            self._look()
            if once:
                while self._running and not self._ended.wait(_POLL_S):
                    self._poll()
                    self._begin_waiting()
                return
            while (rest := started + self._watcher.every_s - time.monotonic()) > 0:
                if self._ended.wait(min(rest, _POLL_S) if self._running else rest):
                    return
                self._poll()

    def _look(self) -> None:
        self._poll()
        try:
            folders = self._watcher.look()
            self._trouble = ""
        except OSError as error:
            # A full disk, most often: nothing begins that could not be put on record.
            if not self._trouble:
                self._say(f"{self._watcher.state.path}: cannot be written: {error.strerror}; nothing begins meanwhile")
            self._trouble = error.strerror or str(error)
            return
        self._entries = {folder.name: folder for folder in folders}
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        while self._entries and len(self._running) < self._parallel:
            name = next(iter(self._entries))
            self._begin(self._entries.pop(name))

    # -- one folder ----------------------------------------------------------------------------------------------------

    def _begin(self, folder: Settled) -> None:
        record = self._watcher.state.records[folder.name]
        attempt = record.attempts + 1
        text = f"{folder.name}\0{folder.content}".encode("utf-8", "surrogateescape")
        key = f"{hashlib.sha256(text).hexdigest()[:20]}-{attempt}"
        pending = Pending(key, folder.content, attempt, details_of(folder))
        try:
            self._watcher.state.write(events.begins(folder.name, pending))
        except OSError as error:
            self._say(f"{line(folder.name)}: not begun: the state cannot be written: {error.strerror}")
            return
        self._say(f"{line(folder.name)}: settled, {plural(folder.files, 'file')}, {size(folder.size_bytes)}; begins")
        self._attempt(folder, key, again=False)

    def _attempt(self, folder: Settled, key: str, *, again: bool) -> None:
        try:
            outcome = self._action.begin(key, folder, again=again)
        except ActionError as error:
            outcome = Outcome(str(error))
        except ProvWorkerError as error:
            outcome = Outcome(str(error))
        if outcome is None:
            self._running[folder.name] = folder
        else:
            self._end(folder, outcome)

    def _resume(self) -> None:
        """Take up what another process began."""
        for name, record in self._watcher.state.records.items():
            if record.pending is None:
                continue
            folder = settled_of(self._watcher.directory / name, record.pending.details, record.pending.content)
            self._say(f"{line(name)}: was begun before; looking how it ended")
            self._attempt(folder, record.pending.key, again=True)

    def _poll(self) -> None:
        for folder, ending in list(self._unwritten.values()):
            self._end(folder, ending)
        for name, folder in list(self._running.items()):
            pending = self._watcher.state.records[name].pending
            outcome = Outcome("left nothing") if pending is None else self._action.outcome(pending.key)
            if outcome is not None:
                del self._running[name]
                self._end(folder, outcome)

    def _end(self, folder: Settled, outcome: Outcome) -> None:
        pending = self._watcher.state.records[folder.name].pending
        if pending is None:
            return
        name = line(folder.name)
        try:
            if outcome.error:
                wait_s = min(self._backoff_s[1], self._backoff_s[0] * 2.0 ** min(pending.attempt - 1, 30))
                next_ns = time.time_ns() + int(wait_s * _SECOND)
                self._watcher.state.write(events.failed(folder.name, pending.attempt, next_ns, outcome.error))
                self.failed += 1
                self._unwritten.pop(folder.name, None)
                self._say(f"{name}: attempt {pending.attempt} failed: {outcome.error}; again in {duration(wait_s)}")
                return
            run = {**outcome.run, "crate": self._crate(folder, pending, outcome.run)}
            self._watcher.fired(folder.name, pending.content, run)
        except OSError as error:
            # It is still pending on disk: it is written when there is space, or the next trigger asks how it ended.
            if folder.name not in self._unwritten:
                self._say(f"{name}: ended, and that cannot be written: {error.strerror}")
            self._unwritten[folder.name] = (folder, outcome)
            return
        self._unwritten.pop(folder.name, None)
        self.fired += 1
        self._say(
            f"{name}: done{''.join(f', {key} {outcome.run[key]}' for key in ('run', 'group') if key in outcome.run)}"
        )

    def _crate(self, folder: Settled, pending: Pending, run: dict[str, Any]) -> str | None:
        """Return path of the trigger's crate; None if it could not be written, which does not hold up the rest."""
        try:
            return os.fspath(write_crate(self._crates, folder, pending.key, run))
        except OSError as error:
            self._say(f"{line(folder.name)}: its trigger's crate cannot be written: {error.strerror or error}")
            return None


def details_of(folder: Settled) -> dict[str, Any]:
    """Return a folder as the state keeps it."""
    return {
        "files": folder.files,
        "bytes": folder.size_bytes,
        "seen_ns": folder.seen_ns,
        "settled_ns": folder.settled_ns,
    }


def settled_of(path: Path, details: dict[str, Any], content: str) -> Settled:
    """Return a folder that the state has kept."""
    absolute = Path(os.path.abspath(path))
    seen_ns, settled_ns = details["seen_ns"], details["settled_ns"]
    return Settled(absolute, details["files"], details["bytes"], seen_ns, settled_ns, content)
