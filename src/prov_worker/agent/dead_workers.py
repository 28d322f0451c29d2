"""Journals of workers that are gone: closed, and put away once all is written."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prov_worker.agent.crate_job import CrateJob
from prov_worker.agent.death_reasons import failure_of_death, oom_kills
from prov_worker.agent.drains import Drains
from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.tick import WorkerDeath
from prov_worker.attempt import AttemptId
from prov_worker.humanize import plural
from prov_worker.model import Failure, host_name
from prov_worker.spool.notes import parse_note, read_notes
from prov_worker.spool.slot_reader import SlotReader, SlotTask

if TYPE_CHECKING:
    from prov_worker.agent.journals import Journals


@dataclass(frozen=True, slots=True)
class Calls:
    """Whom readers of journals call.

    Attributes:
        take: called with each attempt that a journal closes.
        waiting: gives the attempts of a journal whose crates are not written yet.
        say: called with a problem: a text, and what is put into it.
    """

    take: Callable[[CrateJob], None]
    waiting: Callable[[Follower], list[AttemptId]]
    say: Callable[..., None]


class DeadWorkers:
    """Closes the journals of workers that are gone.

    Args:
        journals: all of the node.
        drains: the rings of the node.
        calls: whom to call.
        last: nobody comes after this process.
    """

    def __init__(self, journals: Journals, drains: Drains, calls: Calls, *, last: bool) -> None:
        self._journals = journals
        self._drains = drains
        self._take, self._waiting, self._say = calls.take, calls.waiting, calls.say
        self._last = last
        self._waiting_to_close: list[tuple[WorkerDeath, SlotReader]] = []
        self._dead: dict[str, Follower] = {}
        self._oom_kills = oom_kills()

    def adopt(
        self, journal: str, failure: Failure, fallback: str | None = None, slot: SlotReader | None = None
    ) -> None:
        """Finish a journal whose writer is gone and that no sampler watched to its end.

        Args:
            journal: its path.
            failure: what to say of a task without an end.
            fallback: where its writer may have gone on.
            slot: what is left of its slot; it goes when the journal is put away.

        A journal of a later release is named and left alone, but for what it has of this one; so is one that cannot be
        read. What has no end in a journal with damaged lines is left open, as its end may be one of them.
        """
        follower = self._journals.follow(journal, fallback)
        self._journals.read(follower, None, everything=True)
        follower.dead = True
        if follower.obstacle() is not None:
            return
        ended_attempts = set(self._waiting(follower))
        for note in self._notes_beside(follower):
            attempt = AttemptId(note["task"], note["n"], note["ns"])
            if attempt not in ended_attempts and not follower.ledger.has(attempt, verdict=True):
                follower.note(note)
        last_ns = self._last_change_ns(follower)
        task = slot.read() if slot is not None else None
        running = _running(task)
        if slot is not None and task is not None and running is not None:
            if running in ended_attempts or follower.ledger.has(running, verdict=True):
                running = None
            else:
                self._note_of_dead(follower, running, slot.note(task))
                last_ns = max(last_ns, task.start_ns)
        obstacle = follower.obstacle()
        if obstacle is not None:
            self._say("%s", obstacle)
            return
        for ended in follower.close_open(failure, last_ns, running):
            self._take(CrateJob(ended, follower, cut_off=True))
        self._dead[journal + "#" if slot is None else slot.path] = follower

    @staticmethod
    def _note_of_dead(follower: Follower, running: AttemptId, line: bytes | None) -> None:
        note = parse_note(line) if line else None
        if note is not None and running == (note["task"], note["n"], note["ns"]):
            follower.note(note)

    def close(self, death: WorkerDeath, slot: SlotReader) -> None:
        """Close what a dead worker left open; later, if there may be more in its ring."""
        follower = self._journals.follow(slot.journal)
        self._journals.read(follower, death.slot, everything=True)
        if follower.undrained is not None:
            self._waiting_to_close.append((death, slot))
            return
        follower.dead = True
        task = death.task
        running = _running(task)
        now = oom_kills()
        kills = now - self._oom_kills if now is not None and self._oom_kills is not None else 0
        self._oom_kills = now
        if follower.obstacle() is not None:
            slot.close()  # left where it is, as the journal
            return
        failure = failure_of_death(death.death.status, host_name(), slot.pid, kills)
        end_ns = time.time_ns()
        if task is not None and task.running:
            end_ns = task.start_ns + death.death.mono_ns - task.mono_ns
        if running in self._waiting(follower):
            running = None  # it ended between its last line and its death
        if running is not None:
            self._note_of_dead(follower, running, death.note)
        for ended in follower.close_open(failure, end_ns, running):
            if death.cpu_ns is not None:
                ended.record.usage.cpu_sampled_s = death.cpu_ns / 1e9
            self._take(CrateJob(ended, follower, cut_off=True, death_seen=True))
        self._dead[death.slot] = follower
        slot.close()

    def close_waiting(self) -> None:
        """Close what dead workers left open that had not come whole out of their rings before."""
        waiting, self._waiting_to_close = self._waiting_to_close, []
        for death, slot in waiting:
            self.close(death, slot)

    @property
    def unfinished(self) -> int:
        """How many workers have died whose rings could not be drained yet."""
        return len(self._waiting_to_close)

    @staticmethod
    def _last_change_ns(follower: Follower) -> int:
        try:
            return os.stat(follower.path).st_mtime_ns
        except FileNotFoundError:
            return 0
        except OSError as error:
            follower.unread = f"{follower.path}: cannot be read: {error}"
            return 0

    def _notes_beside(self, follower: Follower) -> list[dict[str, Any]]:
        try:
            return read_notes(follower.path)
        except OSError as error:
            follower.unread = f"{error.filename}: cannot be read: {error}"
            return []

    def archive_finished(self, in_use: Collection[Follower]) -> None:
        """Put away the journals of the dead whose tasks all have their crates.

        Args:
            in_use: journals of tasks whose crates wait for something.
        """
        for path, follower in list(self._dead.items()):
            if follower.unfinished > 0 or follower in in_use:
                continue
            try:
                if follower.problems:
                    self._say(
                        "%s: %s cannot be understood; it is kept, as the record of a task may be among them",
                        follower.path,
                        plural(follower.problems, "line"),
                    )
                elif not follower.put_away():
                    self._journals.read(follower, None, everything=True)
                    continue
            except OSError as error:
                self._say("%s: the finished journal cannot be put away: %s", follower.path, error)
                continue
            del self._dead[path]
            self._journals.forget(follower)
            unrecorded = self._drains.unrecorded(follower.path)
            if unrecorded:
                self._say(
                    "%s: %s left no record: there was no space for more", follower.path, plural(unrecorded, "task")
                )
            self._drains.remove(follower.path, counted=self._last)
            with contextlib.suppress(OSError):  # an adopted journal has no slot
                os.unlink(path)


def _running(task: SlotTask | None) -> AttemptId | None:
    """Return the attempt that a dead worker's slot says is running; an engine's slot names none."""
    return task.attempt_id if task is not None and task.running and any(task.task) else None
