"""Journals of a node, followed while their workers live.

Of each attempt that a journal closes, a :class:`~prov_worker.agent.crate_job.CrateJob` is handed on. Whatever cannot be
read now is read later; what a later release wrote, or what is damaged, is named and left where it is.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from prov_worker.agent.crate_job import CrateJob
from prov_worker.agent.dead_workers import Calls, DeadWorkers
from prov_worker.agent.drains import Drains
from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.task_events import TaskEvents
from prov_worker.agent.tick import WorkerDeath
from prov_worker.errors import SpoolError
from prov_worker.model import Failure
from prov_worker.spool.notes import parse_note, write_note
from prov_worker.spool.paths import own_journal
from prov_worker.spool.places import RENEW_S, renew
from prov_worker.spool.slot_reader import SlotReader

_READ_AGAIN_S = 0.5
_DRAIN_AGAIN_S = 0.2


class Journals:
    """The journals and slots that one finaliser reads.

    Args:
        runtime: the runtime directory, whose slots and fallback journals are this node's.
        name: of the finaliser, for ledgers.
        drains: the rings of the node.
        events: called for attempts that run.
        calls: whom to call.
        last: nobody comes after this process.
    """

    def __init__(
        self,
        runtime: str,
        name: str,
        drains: Drains,
        events: TaskEvents,
        calls: Calls,
        *,
        last: bool,
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._drains = drains
        self._events = events
        self._take = calls.take
        self._say = calls.say
        self._followers: dict[str, Follower] = {}
        self._slots: dict[str, SlotReader] = {}
        #: By slot, the sequence of the running task whose start was read.
        self._starts_read: dict[str, int] = {}
        self._unread: set[str] = set()
        self._unreadable: set[str] = set()
        self._undrained: set[str] = set()
        self._dead = DeadWorkers(self, drains, calls, last=last)
        self._read_again_at = self._drain_again_at = self._renewed_at = 0.0

    # -- which there are -----------------------------------------------------------------------------------------------

    def watch(self, path: str) -> None:
        """Watch a slot, and follow its journal."""
        try:
            slot = SlotReader(path)
        except SpoolError as error:
            self._say("%s", error)
            return
        slot.journal = own_journal(slot.journal)
        before = self._slots.get(path)
        if before is not None:
            before.close()
        self._slots[path] = slot
        self._starts_read.pop(path, None)
        self.follow(slot.journal, os.path.join(self._runtime, "spool", os.path.basename(slot.journal)))
        self._unread.add(path)

    def follow(self, journal: str, fallback: str | None = None) -> Follower:
        """Follow a journal, from its beginning; one that is followed already is only read again."""
        follower = self._followers.get(journal)
        if follower is None:
            follower = self._followers[journal] = Follower(journal, fallback, self._name)
        return follower

    def slots(self) -> Collection[SlotReader]:
        """Return the slots of workers that live."""
        return self._slots.values()

    def workers(self) -> list[Follower]:
        """Return the journals of workers that live; may be called from any thread."""
        followers = (self._followers.get(slot.journal) for slot in list(self._slots.values()))
        return [follower for follower in followers if follower is not None and not follower.is_engine]

    def writer_of(self, slot: str) -> tuple[SlotReader | None, Follower | None]:
        """Return a worker's slot by its path, and its journal; may be called from any thread."""
        reader = self._slots.get(slot)
        return reader, None if reader is None else self._followers.get(reader.journal)

    def at_work(self) -> Iterator[Follower]:
        """Yield the journals of workers that run a task, read until they say how it began, if they do."""
        for path, slot in self._slots.items():
            sequence = slot.sequence()
            if sequence & 1:
                follower = self.follow(slot.journal)
                if self._starts_read.get(path) != sequence:
                    self.read(follower, path)  # the line of its start comes a moment after the slot says that it runs
                    if _has_start(slot, follower, sequence):
                        self._starts_read[path] = sequence
                yield follower

    @property
    def outstanding(self) -> int:
        """Journals that have to be looked at again, as there may be more in their workers' rings."""
        return self._dead.unfinished + len(self._undrained)

    @property
    def are_unread(self) -> bool:
        """Whether there is something to read now."""
        return bool(self._unread)

    def next_s(self) -> float | None:
        """Return the seconds until :meth:`drain_again` has something to do; None if it has not."""
        if self.outstanding:
            return self._drain_again_at - time.monotonic()
        return None

    # -- reading -------------------------------------------------------------------------------------------------------

    def changed(self, paths: Sequence[str]) -> None:
        """Read the journals of these slots at the next occasion."""
        self._unread.update(path for path in paths if path in self._slots)

    def read_all_again(self) -> None:
        """Read the journals of all slots at the next occasion."""
        self._unread.update(self._slots)

    def retry_unreadable(self) -> None:
        """Read at the next occasion what could not be read: a file system that failed may have come back."""
        now = time.monotonic()
        if self._unreadable and self._read_again_at <= now:
            self._read_again_at = now + _READ_AGAIN_S
            self._unread |= self._unreadable
            self._unreadable.clear()

    def read_changed(self) -> None:
        """Read journals whose workers' slots have changed, a part of each."""
        for path in list(self._unread):
            slot = self._slots.get(path)
            if slot is None:
                self._unread.discard(path)
                continue
            follower, sequence = self.follow(slot.journal), slot.sequence()
            if not self.read(follower, path):
                self._unread.discard(path)
                if not follower.unfinished and follower.obstacle() is None:
                    # whatever ended before has its crate, be it by an agent that died before it could say so
                    slot.acknowledge(sequence - (sequence & 1))

    def read(self, follower: Follower, path: str | None, everything: bool = False) -> bool:
        """Read a part of a journal; says whether there may be more."""
        more = not follower.ledger.unread
        slot = self._slots.get(path) if path is not None else None
        while more:
            before, more = follower.size, False
            sequence = slot.sequence() if slot is not None else 0
            follower.undrained = self._drain(follower.path)
            if follower.undrained is not None and path is not None:
                self._undrained.add(path)
            try:
                for ended in follower.read():
                    self._take(CrateJob(ended, follower, slot=path, sequence=sequence))
            except OSError as error:
                follower.unread = f"{follower.path}: cannot be read: {error}"
                self._say("%s", follower.unread)
                if path is not None:
                    self._unreadable.add(path)
                return False
            follower.unread = None
            more = follower.size != before
            if more and self._events.active:
                self._tell_begun(follower, follower.state.open_starts())
            if not everything:
                break
        obstacle = follower.obstacle()
        if obstacle is not None:
            self._say("%s", obstacle)
        return more

    def _drain(self, journal: str) -> str | None:
        """Have what is in a worker's ring in its journal; gives why there may be more."""
        try:
            return self._drains.drain(journal)
        except OSError as error:
            return f"{journal}: cannot be written, the records stay in memory: {error}"

    def drain_again(self) -> None:
        """Look again at journals that did not have all records when they were read."""
        if time.monotonic() < self._drain_again_at:
            return
        self._drain_again_at = time.monotonic() + _DRAIN_AGAIN_S
        self._unread |= self._undrained
        self._undrained.clear()
        self._dead.close_waiting()

    def note(self, path: str, line: bytes) -> None:
        """Write down what a worker keeps in its slot about a task that is not quick after all."""
        slot = self._slots.get(path)
        if slot is not None:
            try:
                write_note(slot.journal, self._name, line)
            except OSError as error:
                self._say("%s: the start of a task could not be noted beside it: %s", slot.journal, error)
            start = parse_note(line) if self._events.active else None
            if start is not None:
                self.read(self.follow(slot.journal), path)  # which has its function
                self._tell_begun(self.follow(slot.journal), [start])

    def _tell_begun(self, follower: Follower, starts: list[dict[str, Any]]) -> None:
        """Tell of attempts that run, by their ``start`` lines."""
        for start in starts:
            try:
                ended = follower.state.begun(start)
            except (LookupError, TypeError, ValueError):
                continue  # counted as a problem by who read it
            if not self._events.knows(ended.record.attempt_id):
                self._events.begun(ended)

    def acknowledge(self, job: CrateJob) -> None:
        """Tell a worker that its task is dealt with."""
        slot = self._slots.get(job.slot) if job.slot is not None else None
        if slot is None:
            return
        sequence, task = job.sequence, slot.read()
        # The task may have begun after the slot was looked at, and have ended before its journal was read.
        if task is not None and task.attempt_id == job.ended.record.attempt_id:
            sequence = max(sequence, task.sequence)
        slot.acknowledge(sequence)

    # -- workers that are gone -----------------------------------------------------------------------------------------

    def adopt(
        self, journal: str, failure: Failure, fallback: str | None = None, slot: SlotReader | None = None
    ) -> None:
        """Finish a journal whose writer is gone; see :meth:`prov_worker.agent.dead_workers.DeadWorkers.adopt`."""
        self._dead.adopt(journal, failure, fallback, slot)

    def close_dead_worker(self, death: WorkerDeath) -> None:
        """Take a dead worker's slot off those that are watched, and close what it left open."""
        slot = self._slots.pop(death.slot, None)
        if slot is not None:
            self._unread.discard(death.slot)
            self._starts_read.pop(death.slot, None)
            self._dead.close(death, slot)

    def archive_finished(self, in_use: Collection[Follower]) -> None:
        """Put away the journals of the dead whose tasks all have their crates.

        Args:
            in_use: journals of tasks whose crates wait for something.
        """
        self._dead.archive_finished(in_use)

    def forget(self, follower: Follower) -> None:
        """Follow a journal no longer, which is put away."""
        self._followers.pop(follower.path, None)

    def renew_leases(self) -> None:
        """Tell other places that the journals of these workers have an owner that lives."""
        now = time.monotonic()
        if now - self._renewed_at < RENEW_S:
            return
        self._renewed_at = now
        for slot in self._slots.values():
            with contextlib.suppress(OSError):  # it has no line yet, or its file system does not take it now
                renew(slot.journal)

    def close(self) -> None:
        """Let all files go."""
        self._drains.close()
        for follower in self._followers.values():
            follower.ledger.close()


def _has_start(slot: SlotReader, follower: Follower, sequence: int) -> bool:
    """Return whether all is read of how the task that runs began: its line, or what its slot has in place of one."""
    task = slot.read()
    if task is None or task.sequence != sequence:
        return False
    return slot.note(task) is not None or follower.has_begun(task.attempt_id)
