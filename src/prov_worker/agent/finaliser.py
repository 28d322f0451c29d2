"""The finishing half of the agent: joins what journals say with what was sampled, and publishes crates.

It works in small steps, so that it can be asked to stop between any two, and keeps whatever it cannot do now: a crate
that a full disk or a read-only directory refuses is tried again, with growing pauses, and its record stays in the
journal until it is written.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.agent.burst import Burst
from prov_worker.agent.capture_reader import CaptureReader
from prov_worker.agent.drains import Drains
from prov_worker.agent.endings import Endings
from prov_worker.agent.exits import failure_of_death, oom_kills
from prov_worker.agent.job_ends import JobEnds
from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.live.tally import Tally
from prov_worker.agent.output_files import LOOK_INTERVAL_S, Outputs, Sandboxes
from prov_worker.agent.plotter import Plotter
from prov_worker.agent.process_use import TreeUse
from prov_worker.agent.publisher import Publisher
from prov_worker.agent.sampler import Tick, WorkerDeath
from prov_worker.agent.stream_sender import StreamSender
from prov_worker.agent.task_events import TaskEvents
from prov_worker.agent.worker_monitor import attempt_of
from prov_worker.crate.writer import Plot
from prov_worker.errors import SpoolError
from prov_worker.model import AttemptId, Failure, TaskSeries, host_name
from prov_worker.spool.notes import parse_note, read_notes, write_note
from prov_worker.spool.paths import own_journal, place_of
from prov_worker.spool.places import RENEW_S, renew
from prov_worker.spool.records import Ended
from prov_worker.spool.slot import SlotReader, SlotTask

log = logging.getLogger(__name__)

#: How long a crate waits for its plot before it is published without.
PLOT_PATIENCE_S = 5.0
#: Work that may wait for the plotter: more, and a crate is published without a plot at once.
PLOT_QUEUE_S = 0.7
#: How long a lost task's own node is given to write the better crate.
LOST_GRACE_S = 10.0
_MAX_PLOTS_WAITING = 64
_MAX_PENDING = 2000
_MAX_SERIES = 20_000
_RETRY_FIRST_S = 0.5
_RETRY_MOST_S = 30.0
#: So many refusals in a row mean that the disk takes nothing, not that one record is odd.
_MAX_REFUSED = 3
_DRAIN_AGAIN_S = 0.2
_RECENT = 8


@dataclass(slots=True)
class Job:
    """One crate to write; ``death_seen`` if this agent saw the task's worker die."""

    ended: Ended
    follower: Follower
    series: TaskSeries | None = None
    plot: Plot | None = None
    completed: bool = False
    plot_until: float = 0.0
    slot: str | None = None
    sequence: int = 0
    death_seen: bool = False
    outputs: Outputs | None = None


class Finaliser:
    """Publishes the crates of one crate directory.

    Args:
        runtime: the runtime directory, whose slots and fallback journals are this node's.
        publisher: writes crates.
        finaliser: name of this process for ledgers.

        runtimes: the runtime directories whose rings are drained; the one above if not given.
        last: nobody comes after this process: what it says of tasks without a record is said for good.

    Attributes:
        published: crates written.
        recent: the last of them: what ended, and its crate or the pack that it is in.
        tally: what they came to.
        problems: messages about what could not be done, newest last; a bounded number.
    """

    def __init__(
        self,
        runtime: str,
        publisher: Publisher,
        finaliser: str | None = None,
        *,
        runtimes: Sequence[str] | None = None,
        last: bool = False,
    ) -> None:
        self._runtime = runtime
        self._drains = Drains([runtime] if runtimes is None else runtimes)
        self._last = last
        self._undrained: set[str] = set()
        self._unburied: list[tuple[WorkerDeath, SlotReader]] = []
        self._drain_again_at = 0.0
        self._publisher = publisher
        self._name = finaliser or f"{place_of(runtime)}-{os.getpid()}"
        self._renewed_at = 0.0
        self._followers: dict[str, Follower] = {}
        self._slots: dict[str, SlotReader] = {}
        self._series: OrderedDict[AttemptId, TaskSeries] = OrderedDict()
        self._trees: OrderedDict[AttemptId, TreeUse] = OrderedDict()
        self._pending: deque[Job] = deque()
        self._plotting: dict[int, Job] = {}
        self._losses: deque[tuple[float, Job]] = deque()
        self._unread: set[str] = set()
        self._unreadable: set[str] = set()
        self._read_again_at = 0.0
        self._sandboxes = Sandboxes()
        self._dead: dict[str, Follower] = {}
        self._mark_ns = 0
        self._plotter = Plotter()
        self._captures = CaptureReader(runtimes or [runtime])
        self._capturing: dict[int, Job] = {}
        self._retry_at = 0.0
        self._retry_pause = _RETRY_FIRST_S
        self._retry: deque[Job] = deque()
        self._refused = 0
        self._burst = Burst()
        self._jobs = JobEnds()
        self._endings = Endings(publisher.crate_dir)
        self._holding = self._awaited = self._ending = self._watches = False
        self._oom_kills = oom_kills()
        self.published = 0
        self.recent: deque[tuple[Ended, Path]] = deque(maxlen=_RECENT)
        self.tally = Tally()
        self.problems: deque[str] = deque(maxlen=100)
        self._events = TaskEvents(runtime, publisher.crate_dir, self.say)
        self._sender = None if last else StreamSender(publisher.crate_dir, self.say)
        #: Crates that are published, but whose events are not on disk.
        self._untold: deque[Job] = deque()

    # -- what the sampler says ---------------------------------------------------------------------------------------

    def take(self, tick: Tick) -> None:
        """Take one message of the sampler."""
        self._mark_ns = max(self._mark_ns, tick.mark_ns)
        for path in tick.slots:
            self._watch(path)
        for attempt, series in tick.series:
            self._series[attempt] = series
            if len(self._series) > _MAX_SERIES:
                self._series.popitem(last=False)
            if series.task is not None and len(series.task) > 10:
                self._plotter.start()  # ready by the time that a long task's record is read
        for attempt, tree in tick.trees:
            self._trees[attempt] = tree
            if len(self._trees) > _MAX_SERIES:
                self._trees.popitem(last=False)
        self._unread.update(path for path in tick.changed if path in self._slots)
        for path, line in tick.notes:
            self._note(path, line)
        for attempt, sample in tick.samples:
            self._events.sampled(attempt, sample)
        for death in tick.deaths:
            slot = self._slots.pop(death.slot, None)
            if slot is not None:
                self._unread.discard(death.slot)
                self._bury(death, slot)

    def follow(self, journal: str, fallback: str | None = None) -> Follower:
        """Follow a journal, from its beginning; one that is followed already is only read again."""
        follower = self._followers.get(journal)
        if follower is None:
            follower = self._followers[journal] = Follower(journal, fallback, self._name)
        return follower

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
        follower = self.follow(journal, fallback)
        self._read(follower, None, everything=True)
        follower.dead = True
        if follower.obstacle() is not None:
            return
        ended_attempts = set(self._ended_attempts(follower))
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
            self.say("%s", obstacle)
            return
        for ended in follower.close_open(failure, last_ns, running):
            self._pending.append(self._job(Job(ended, follower)))
            self._events.ended(ended)
        self._dead[journal + "#" if slot is None else slot.path] = follower

    @staticmethod
    def _note_of_dead(follower: Follower, running: AttemptId, line: bytes | None) -> None:
        note = parse_note(line) if line else None
        if note is not None and running == (note["task"], note["n"], note["ns"]):
            follower.note(note)

    def _watch(self, path: str) -> None:
        try:
            slot = SlotReader(path)
        except SpoolError as error:
            self.say("%s", error)
            return
        slot.journal = own_journal(slot.journal)
        before = self._slots.get(path)
        if before is not None:
            before.close()
        self._slots[path] = slot
        self.follow(slot.journal, os.path.join(self._runtime, "spool", os.path.basename(slot.journal)))
        self._unread.add(path)

    def _note(self, path: str, line: bytes) -> None:
        """Write down what a worker keeps in its slot about a task that is not quick after all."""
        slot = self._slots.get(path)
        if slot is not None:
            try:
                write_note(slot.journal, self._name, line)
            except OSError as error:
                self.say("%s: the start of a task could not be noted beside it: %s", slot.journal, error)
            start = parse_note(line) if self._events.active else None
            if start is not None:
                self._read(self.follow(slot.journal), path)  # which has its function
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

    def _bury(self, death: WorkerDeath, slot: SlotReader) -> None:
        """Close what a dead worker left open; later, if there may be more in its ring."""
        follower = self.follow(slot.journal)
        self._read(follower, death.slot, everything=True)
        if follower.undrained is not None:
            self._unburied.append((death, slot))
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
        if running in self._ended_attempts(follower):
            running = None  # it ended between its last line and its death
        if running is not None:
            self._note_of_dead(follower, running, death.note)
        for ended in follower.close_open(failure, end_ns, running):
            if death.cpu_ns is not None:
                ended.record.usage.cpu_sampled_s = death.cpu_ns / 1e9
            self._pending.append(self._job(Job(ended, follower, death_seen=True)))
            self._events.ended(ended)
        self._dead[death.slot] = follower
        slot.close()

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

    def _ended_attempts(self, follower: Follower) -> list[AttemptId]:
        return [job.ended.record.attempt_id for job in (*self._pending, *self._retry) if job.follower is follower]

    # -- work --------------------------------------------------------------------------------------------------------

    def work(self, until: float) -> bool:
        """Do what can be done until a moment (``time.monotonic``).

        Returns:
            Whether there is more to do right now.
        """
        for answer in self._plotter.answers():
            self._drawn(answer.number, answer.data, answer.error)
        self._revive()
        self._drain_again()
        self._look_at_sandboxes()
        self._endings.look(self._slots.values())
        self._holding = self._holds()
        self._drains.drain_all()
        while not self._holding and time.monotonic() < until:
            self._drains.drain_all()
            if len(self._pending) < _MAX_PENDING:
                self._read_some()
            if not self._step():
                break
        self._tell()
        self._put_away()
        self._renew_leases()
        self._plotter.rest()
        self._publisher.rest()
        return not self._holding and bool(self._ready() or self._unread)

    def _look_at_sandboxes(self) -> None:
        """Look at what running tasks have made so far: a client may take it away as soon as it has a result."""
        if not self._sandboxes.is_due():
            return
        running: dict[AttemptId, str] = {}
        self._watches = False
        for path, slot in self._slots.items():
            if not slot.sequence() & 1:
                continue
            self._watches = True
            follower = self.follow(slot.journal)
            self._read(follower, path)  # the line of its start comes a moment after the slot has said that it runs
            if follower.state.settings.get("capture_outputs", True):
                running |= follower.state.sandboxes()
        self._sandboxes.look(running)

    def _drain_again(self) -> None:
        """Look again at journals that did not have all records when they were read."""
        if time.monotonic() < self._drain_again_at:
            return
        self._drain_again_at = time.monotonic() + _DRAIN_AGAIN_S
        self._unread |= self._undrained
        self._undrained.clear()
        unburied, self._unburied = self._unburied, []
        for death, slot in unburied:
            self._bury(death, slot)

    def _job(self, job: Job) -> Job:
        """Open the files of a task that has ended, before they are taken away; say who ended it."""
        self._endings.explain(job.ended.record)
        if job.ended.settings.get("capture_outputs", True):
            job.outputs = self._sandboxes.end(job.ended)
        return job

    def _holds(self) -> bool:
        """Whether a burst of tasks goes first. Results that are released by their crates never wait for one."""
        begun = sum((slot.sequence() + 1) // 2 for slot in self._slots.values())
        return self._burst.holds(begun, time.monotonic()) and not (self._awaited or self._ending)

    def next_s(self) -> float:
        """Seconds until something is due without a message of the sampler."""
        due = [1.0, self._endings.next_s()]
        now = time.monotonic()
        if self._retry:
            due.append(self._retry_at - now)
        if self._plotting or self._capturing or self._holding:
            due.append(0.05)
        if self._watches:
            due.append(LOOK_INTERVAL_S)
        if self._losses:
            due.append(self._losses[0][0] - now)
        drain_s = self._drains.next_s()
        if drain_s is not None:
            due.append(drain_s)
        if self._undrained or self._unburied:
            due.append(self._drain_again_at - now)
        return max(0.0, min(due))

    @property
    def outstanding(self) -> int:
        """Crates that are still to be written, as far as is known."""
        waiting = (self._pending, self._retry, self._plotting, self._capturing, self._losses)
        return sum(map(len, (*waiting, self._unburied, self._undrained, self._untold)))

    @property
    def in_a_burst(self) -> bool:
        """Whether quick tasks have followed one another for so long that their crates wait no longer."""
        return self._burst.lasts(time.monotonic())

    @property
    def stuck(self) -> int:
        """Crates that could not be written when it was tried last."""
        return len(self._retry)

    def workers(self) -> list[Follower]:
        """Return the journals of workers that live; may be called from any thread."""
        followers = (self._followers.get(slot.journal) for slot in list(self._slots.values()))
        return [follower for follower in followers if follower is not None and not follower.is_engine]

    def metrics_dir(self) -> str | None:
        """Return the directory for Prometheus that a worker's settings name; None if none does."""
        chosen = (follower.state.settings for follower in self.workers() if "metrics_dir" in follower.state.settings)
        return next((self._publisher.settings(settings).metrics_dir for settings in chosen), None)

    def writer_of(self, slot: str) -> tuple[SlotReader | None, Follower | None]:
        """Return a worker's slot by its path, and its journal; may be called from any thread."""
        reader = self._slots.get(slot)
        return reader, None if reader is None else self._followers.get(reader.journal)

    def plot_fileno(self) -> int:
        """Descriptor of the plotter's answers, -1 without one."""
        return self._plotter.fileno()

    def finish(self) -> None:
        """There will be no more ticks: what is pending need not wait for one, nor for any grace."""
        self._mark_ns = 1 << 62
        self._ending = True
        for _, job in self._losses:
            self._pending.append(job)
        self._losses.clear()
        self._unread.update(self._slots)

    def close(self) -> None:
        """Let everything go. Whatever is outstanding stays in the journals."""
        self._plotter.close()
        self._captures.close()
        self._publisher.close()
        self._tell()
        self._events.close()
        if self._sender is not None:
            self._sender.close()
        self._drains.close()
        for follower in self._followers.values():
            follower.ledger.close()

    def _ready(self) -> bool:
        """Whether the next crate can be written: its task has had its last look, and the disk takes crates."""
        if not self._pending or (self._refused >= _MAX_REFUSED and time.monotonic() < self._retry_at):
            return False
        job = self._pending[0]
        return job.follower.dead or job.ended.mono_end_ns <= self._mark_ns

    def _read_some(self) -> None:
        for path in list(self._unread):
            slot = self._slots.get(path)
            if slot is None:
                self._unread.discard(path)
                continue
            follower, sequence = self.follow(slot.journal), slot.sequence()
            if not self._read(follower, path):
                self._unread.discard(path)
                if not follower.unfinished and follower.obstacle() is None:
                    # whatever ended before has its crate, be it by an agent that died before it could say so
                    slot.acknowledge(sequence - (sequence & 1))

    def _read(self, follower: Follower, path: str | None, everything: bool = False) -> bool:
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
                    job = self._job(Job(ended, follower, slot=path, sequence=sequence))
                    self._awaited = self._awaited or ended.settings.get("write") == "before_result"
                    if ended.lost:
                        self._losses.append((time.monotonic() + LOST_GRACE_S, job))
                    else:
                        self._pending.append(job)
                        self._events.ended(ended)
            except OSError as error:
                follower.unread = f"{follower.path}: cannot be read: {error}"
                self.say("%s", follower.unread)
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
            self.say("%s", obstacle)
        return more

    def _drain(self, journal: str) -> str | None:
        """Have what is in a worker's ring in its journal; gives why there may be more."""
        try:
            return self._drains.drain(journal)
        except OSError as error:
            return f"{journal}: cannot be written, the records stay in memory: {error}"

    def _revive(self) -> None:
        """Bring back what waited for a time: unreadable journals, refused crates, late plots, lost tasks."""
        now = time.monotonic()
        if self._unreadable and self._read_again_at <= now:  # a file system that failed may have come back
            self._read_again_at = now + _RETRY_FIRST_S
            self._unread |= self._unreadable
            self._unreadable.clear()
        while self._losses and self._losses[0][0] <= now:
            self._pending.appendleft(self._losses.popleft()[1])
        for reading in self._captures.done() if self._capturing else ():
            job = self._capturing.pop(id(reading.ended))
            if not self._ask_for_plot(job):
                self._publish(job)
        for number, job in list(self._plotting.items()):
            if job.plot_until <= now:
                del self._plotting[number]
                self._without_plot(job, f"it was not drawn within {PLOT_PATIENCE_S:g} s")
        if self._retry and self._retry_at <= now:
            self._refused = 0
            self._pending.extend(self._retry)
            self._retry.clear()

    def _step(self) -> bool:
        """Write one crate; false where none is due."""
        if not self._ready():
            return False
        job = self._pending.popleft()
        ended = job.ended
        if job.follower.is_done(ended):
            self._sandboxes.release(job.outputs)
            job.follower.skip()
            self._settled(job)
            return True
        if ended.lost and self._evidence(job):
            return True
        if not job.completed:
            if ended.lost:
                self._events.ended(ended)
            job.series = self._series.pop(ended.record.attempt_id, None)
            self._jobs.explain(ended.record, job.death_seen)
            try:
                tree = self._trees.pop(ended.record.attempt_id, None)
                outputs = None if job.outputs is None else self._sandboxes.hashed(job.outputs)
                self._publisher.complete(ended, job.series, tree, outputs)
            except Exception as error:  # as above: what cannot be added is left out
                self.say("task %s: its record could not be completed: %s", ended.record.task_id, error)
            job.completed = True
            if self._ask_libraries(job) or self._ask_for_plot(job):
                return True
        self._publish(job)
        return True

    def _publish(self, job: Job) -> None:
        try:
            crate = self._publisher.publish(job.ended, job.series, job.plot)
        except OSError as error:
            if not self._retry:
                self._retry_at = time.monotonic() + self._retry_pause
                self._retry_pause = min(self._retry_pause * 2, _RETRY_MOST_S)
            self._retry.append(job)
            self._refused += 1
            self.say("%s: crates cannot be written, their records are kept: %s", self._publisher.crate_dir, error)
            return
        except Exception as error:  # whatever a damaged record does, it must not take the others with it
            self.say("task %s: its record makes no crate and is kept: %s", job.ended.record.task_id, error)
        else:
            self.published += 1
            self.recent.append((job.ended, crate))
            self.tally.add(job.ended.record)
            self._retry_pause = _RETRY_FIRST_S
            self._refused = 0
            self._events.published(job.ended, crate)
            if self._events.flush():
                job.follower.done(job.ended)
            else:
                self._untold.append(job)
        self._settled(job)

    def _tell(self) -> None:
        """Write events; an attempt is done with once those of it are on disk."""
        if self._events.look() and self._sender is not None:
            self._sender.keep(self._events.request)
        if self._events.flush():
            while self._untold:
                job = self._untold.popleft()
                job.follower.done(job.ended)

    def _settled(self, job: Job) -> None:
        slot = self._slots.get(job.slot) if job.slot is not None else None
        if slot is None:
            return
        sequence, task = job.sequence, slot.read()
        # The task may have begun after the slot was looked at, and have ended before its journal was read.
        if task is not None and attempt_of(task) == job.ended.record.attempt_id:
            sequence = max(sequence, task.sequence)
        slot.acknowledge(sequence)

    def _ask_libraries(self, job: Job) -> bool:
        """Have read what libraries stored of the task; false if the crate need not wait for that."""
        try:
            settings = self._publisher.settings(job.ended.settings)
            reading = self._captures.take(job.ended, settings, job.outputs)
        except Exception as error:  # whatever a library left, the crate appears
            self.say("task %s: what libraries told of it is left out: %s", job.ended.record.task_id, error)
            return False
        if reading is None:
            return False
        self._capturing[id(job.ended)] = job
        return True

    # -- plots -------------------------------------------------------------------------------------------------------

    def _ask_for_plot(self, job: Job) -> bool:
        """Ask for a plot where one belongs into the crate; false where the crate need not wait."""
        settings = self._publisher.settings(job.ended.settings)
        if settings.plots != "png" or not self._publisher.wants_plot(job.ended, job.series):
            return False
        if self._plotter.broken:
            job.ended.record.notes.append(_no_plot(self._plotter.broken))
            return False
        queue_s = len(self._plotting) * self._plotter.pace_s if settings.write == "background" else 0.0
        if len(self._plotting) >= _MAX_PLOTS_WAITING or queue_s > PLOT_QUEUE_S:
            job.ended.record.notes.append(_no_plot("more were asked for than could be drawn in time"))
            return False
        assert job.series is not None
        number = self._plotter.request(job.series, self._publisher.title(job.ended))
        if number is None:
            job.ended.record.notes.append(_no_plot(self._plotter.broken or "the plotter has died"))
            return False
        patience = PLOT_PATIENCE_S if settings.write == "background" else 6 * PLOT_PATIENCE_S
        job.plot_until = time.monotonic() + patience
        self._plotting[number] = job
        return True

    def _drawn(self, number: int, data: bytes | None, error: str | None) -> None:
        job = self._plotting.pop(number, None)
        if job is None:
            return
        if data is None:
            self._without_plot(job, error or "no reason was given")
            return
        job.plot = Plot("cpu_usage.png", data)
        self._publish(job)

    def _without_plot(self, job: Job, reason: str) -> None:
        job.ended.record.notes.append(_no_plot(reason))
        self._publish(job)

    # -- lost tasks --------------------------------------------------------------------------------------------------

    def _evidence(self, job: Job) -> bool:
        """Look whether a lost task's own node has told of it; true where nothing is left to write."""
        from prov_worker.agent.lost_tasks import evidence_of

        evidence = evidence_of(self._publisher.crate_dir, self._runtime, job.ended, self._name)
        if evidence.published:
            job.follower.done(job.ended)
            self._settled(job)
            return True
        if evidence.ended is not None:
            evidence.ended.record.failure = job.ended.record.failure
            evidence.ended.record.function.id = evidence.ended.record.function.id or job.ended.record.function.id
            evidence.ended.record.end_ns = max(job.ended.record.end_ns, evidence.ended.record.start_ns)
            evidence.ended.lost = True
            self._endings.explain(evidence.ended.record)
            job.ended.record = evidence.ended.record
            job.ended.function = evidence.ended.function
            job.ended.settings = evidence.ended.settings or job.ended.settings
        else:
            reason = evidence.unread or "No worker began this task"
            job.ended.record.notes.append(f"{reason}: its start is the moment when the engine took it.")
        return False

    # -- journals that are finished ----------------------------------------------------------------------------------

    def _put_away(self) -> None:
        for path, follower in list(self._dead.items()):
            if follower.unfinished > 0 or any(job.follower is follower for job in self._losses_and_plots()):
                continue
            try:
                if follower.problems:
                    self.say(
                        "%s: %d lines cannot be understood; it is kept, as the record of a task may be among them",
                        follower.path,
                        follower.problems,
                    )
                elif not follower.put_away():
                    self._read(follower, None, everything=True)
                    continue
            except OSError as error:
                self.say("%s: the finished journal cannot be put away: %s", follower.path, error)
                continue
            del self._dead[path]
            self._followers.pop(follower.path, None)
            unrecorded = self._drains.unrecorded(follower.path)
            if unrecorded:
                self.say("%s: %d tasks left no record: there was no room for more", follower.path, unrecorded)
            self._drains.remove(follower.path, counted=self._last)
            with contextlib.suppress(OSError):  # an adopted journal has no slot
                os.unlink(path)

    def _renew_leases(self) -> None:
        """Tell other places that the journals of these workers have an owner that lives."""
        now = time.monotonic()
        if now - self._renewed_at < RENEW_S:
            return
        self._renewed_at = now
        for slot in self._slots.values():
            with contextlib.suppress(OSError):  # it has no line yet, or its file system does not take it now
                renew(slot.journal)

    def _losses_and_plots(self) -> list[Job]:
        return [*(job for _, job in self._losses), *self._plotting.values(), *self._capturing.values()]

    def say(self, kind: str, *values: object) -> None:
        """Log a problem once for as long as it stays the same: a text, and what is put into it."""
        problem = kind % values
        if problem not in self.problems:
            self.problems.append(problem)
            log.warning(kind, *values)


def _running(task: SlotTask | None) -> AttemptId | None:
    """The attempt that a dead worker's slot says is running; an engine's slot names none."""
    return attempt_of(task) if task is not None and task.running and any(task.task) else None


def _no_plot(reason: str) -> str:
    return f"No plot was drawn: {reason}."
