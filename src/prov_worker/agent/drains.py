"""The rings of a node's workers, as the finaliser drains them into their journals.

All of them between any two of its steps, and from a thread beside a step that takes long, such as one that hashes what
a task has left. Before it reads a journal it drains the rings of that one, so that what a worker had recorded when its
slot was looked at is in the journal. If the file system of the crates hangs, so does all of this, thread or process:
journals and crates are on the same one. The sampler is another process, and a successor drains the rings of an agent
that was killed while it hung.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from prov_worker.errors import SpoolError
from prov_worker.spool.drain import drain, keep_what_is_there, open_held
from prov_worker.spool.journal import JournalWriter
from prov_worker.spool.paths import own_journal
from prov_worker.spool.ring_format import RINGS
from prov_worker.spool.ring_reader import RingReader, journal_name_of, rings_of

#: Rings are not looked at again before the first, and should be after the second.
_PAUSE_S, _LATENCY_S = 0.02, 0.06
#: The same as the second if the sampler, who wakes the finaliser when a task has ended, looks more often than that.
_TOLD_LATENCY_S = 0.3
#: How often it is looked whether a journal still is what its path leads to, and who else has let go of a ring.
_LOOK_S = 0.9


log = logging.getLogger(__name__)

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _alone(method: _Method) -> _Method:
    """Have one thread at a time in the methods of an object."""

    @functools.wraps(method)
    def guarded(self: Drains, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return cast("_Method", guarded)


class _Journal:
    """One journal, and the rings whose records it gets."""

    __slots__ = ("looked", "refused", "rings", "writer")

    def __init__(self, path: str, fallback: str) -> None:
        self.writer = JournalWriter(path, fallback)
        self.rings: list[RingReader] = []
        self.looked = 0.0
        self.refused: str | None = None


class Drains:
    """Drains the rings of some runtime directories.

    Args:
        runtimes: the directories.

    Attributes:
        told_after_s: how soon the sampler says that a task has ended, s.
    """

    def __init__(self, runtimes: Iterable[str]) -> None:
        self._runtimes = tuple(runtimes)
        self._listed: dict[str, tuple[int, int]] = {}
        self._journals: dict[str, _Journal] = {}
        self._open: set[str] = set()
        self._refused: dict[str, str] = {}
        self._retry_at = self._due = 0.0
        self.told_after_s = float("inf")
        self._lock = threading.RLock()
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin_step(self) -> None:
        """Drain from a thread if what is done now takes long, until :meth:`end_steps`."""
        if not self._busy.is_set():
            self._busy.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._drain_beside, name="drain", daemon=True)
                self._thread.start()

    def end_steps(self) -> None:
        """End all steps, or look at rings between two steps."""
        self._busy.clear()

    def _drain_beside(self) -> None:
        while not self._closed:
            self._busy.wait()
            time.sleep(_LATENCY_S)
            try:
                if self._busy.is_set() and time.monotonic() >= self._due + _LATENCY_S:
                    self.drain_all()
            except Exception:
                log.exception("draining beside a long step failed; it is done between steps")
                return

    @_alone
    def drain(self, journal: str) -> str | None:
        """Drain what is there for a journal; gives why that is not all, None if it is.

        Raises:
            OSError: neither the journal nor its fallback takes it.
        """
        self._find()
        name = os.path.basename(journal)
        refused = next((reason for path, reason in self._refused.items() if journal_name_of(path) == name), None)
        target = self._journals.get(journal)
        if target is not None:
            self._drain(target)
            refused = refused or target.refused
        return refused

    @_alone
    def unrecorded(self, journal: str) -> int:
        """Return tasks of a journal that left no record, as there was no space."""
        target = self._journals.get(journal)
        return sum(ring.unrecorded for ring in target.rings) if target is not None else 0

    @_alone
    def remove(self, journal: str, *, counted: bool) -> None:
        """Remove the rings of a journal that is finished.

        Args:
            journal: its path.
            counted: also rings that count tasks without a record.
        """
        target = self._journals.pop(journal, None)
        if target is None:
            return
        target.writer.close()
        for ring in target.rings:
            self._open.discard(ring.path)
            if ring.unrecorded and not counted:
                ring.close()
            else:
                with contextlib.suppress(OSError):
                    ring.remove()

    @_alone
    def close(self) -> None:
        """Let all files go."""
        self._closed = True
        self._busy.set()
        for target in self._journals.values():
            target.writer.close()
            for ring in target.rings:
                ring.close()
        self._journals.clear()

    @_alone
    def drain_all(self) -> None:
        """Drain all rings, unless that was done just now. What cannot be written is tried again."""
        now = time.monotonic()
        if now < self._due or self._closed:
            return
        self._due = now + _PAUSE_S
        self._find()
        for target in self._journals.values():
            with contextlib.suppress(OSError):  # whoever reads the journal says so
                self._drain(target)

    def next_s(self) -> float | None:
        """Return seconds until rings should be looked at; None if there are none."""
        if not self._journals:
            return None
        latency_s = _TOLD_LATENCY_S if self.told_after_s <= _LATENCY_S else _LATENCY_S
        return max(0.0, self._due + latency_s - time.monotonic())

    def _drain(self, target: _Journal) -> None:
        now = time.monotonic()
        if now - target.looked > _LOOK_S:
            target.looked = now
            target.writer.look()
        target.refused = None
        for ring in list(target.rings):
            try:
                if ring.has_next():
                    drain(ring, target.writer)
                if ring.is_closed and not ring.unrecorded and ring is not target.rings[-1]:
                    target.rings.remove(ring)
                    self._open.discard(ring.path)
                    ring.remove()
            except SpoolError as error:
                target.refused = str(error)  # or its writer was met; then the next look is a better one
                break

    def _find(self) -> None:
        """Open the rings that are new, and those that somebody else has let go."""
        again = bool(self._refused) and time.monotonic() >= self._retry_at
        for runtime in self._runtimes:
            try:
                status = os.stat(os.path.join(runtime, RINGS))
                listed = (status.st_mtime_ns, status.st_ino)
                if listed == self._listed.get(runtime) and not again:
                    continue
                # a directory that changed just now may change again within one tick of the file system's clock
                self._listed[runtime] = listed if time.time_ns() - status.st_mtime_ns > 100_000_000 else (0, 0)
                paths = rings_of(runtime)
            except OSError:
                continue
            self._refused = {path: reason for path, reason in self._refused.items() if path in paths}
            for path in paths:
                if path not in self._open:
                    self._add(path, runtime)
        if again:
            self._retry_at = time.monotonic() + _LOOK_S

    def _add(self, path: str, runtime: str) -> None:
        try:
            ring = open_held(path)
        except FileNotFoundError:
            return
        except (SpoolError, OSError) as error:
            self._refused[path] = f"{path}: cannot be read: {error}"
            return
        if ring is None:
            self._refused[path] = f"{path}: another process is writing its records to the journal"
            return
        self._refused.pop(path, None)
        self._open.add(path)
        journal = own_journal(ring.journal)
        target = self._journals.get(journal)
        if target is None:
            fallback = os.path.join(runtime, "spool", os.path.basename(journal))
            target = self._journals[journal] = _Journal(journal, fallback)
            if not ring.is_fresh:
                keep_what_is_there(target.writer)
        target.rings.append(ring)
