"""The finishing half of the agent: joins what journals say with what was sampled, and publishes crates.

It works in small steps, so that it can be asked to stop between any two, and keeps whatever it cannot do now: a crate
that a full disk or a read-only directory refuses is tried again, with growing pauses, and its record stays in the
journal until it is written.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Sequence, Sized
from pathlib import Path

from prov_worker.agent.burst import Burst
from prov_worker.agent.capture_reader import CaptureReader
from prov_worker.agent.crate_job import CrateJob
from prov_worker.agent.dead_workers import Calls
from prov_worker.agent.drains import Drains
from prov_worker.agent.endings import Endings
from prov_worker.agent.job_ends import JobEnds
from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.journals import Journals
from prov_worker.agent.live.tally import Tally
from prov_worker.agent.output_files import LOOK_INTERVAL_S, Sandboxes
from prov_worker.agent.plot_queue import PlotQueue
from prov_worker.agent.publisher import Publisher
from prov_worker.agent.refused_crates import RefusedCrates
from prov_worker.agent.sampled_tasks import SampledTasks
from prov_worker.agent.stream_sender import StreamSender
from prov_worker.agent.task_events import TaskEvents
from prov_worker.agent.tick import Tick
from prov_worker.attempt import AttemptId
from prov_worker.model import Failure
from prov_worker.settings import Settings
from prov_worker.spool.paths import place_of
from prov_worker.spool.records import Ended
from prov_worker.spool.slot_reader import SlotReader

log = logging.getLogger(__name__)

#: How long a lost task's own node is given to write the better crate.
LOST_GRACE_S = 10.0
_MAX_PENDING = 2000
_RECENT = 8


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
        self._publisher = publisher
        self._name = finaliser or f"{place_of(runtime)}-{os.getpid()}"
        self._sampled = SampledTasks()
        self._pending: deque[CrateJob] = deque()
        self._losses: deque[tuple[float, CrateJob]] = deque()
        self._sandboxes = Sandboxes()
        self._mark_ns = 0
        self._running: list[int] = []
        self._plots = PlotQueue(publisher)
        self._captures = CaptureReader(runtimes or [runtime])
        self._capturing: dict[int, CrateJob] = {}
        self._refused = RefusedCrates()
        self._burst = Burst()
        self._jobs = JobEnds()
        self._endings = Endings(publisher.crate_dir)
        self._holding = self._awaited = self._ending = self._watches = self._changed = False
        self.published = 0
        self.recent: deque[tuple[Ended, Path]] = deque(maxlen=_RECENT)
        self.tally = Tally()
        self.problems: deque[str] = deque(maxlen=100)
        self._events = TaskEvents(runtime, publisher.crate_dir, self.say)
        self._journals = Journals(
            runtime,
            self._name,
            self._drains,
            self._events,
            Calls(self._take, self._ended_attempts, self.say),
            last=last,
        )
        self._sender = None if last else StreamSender(publisher.crate_dir, self.say)
        #: Crates that are published, but whose events are not on disk.
        self._untold: deque[CrateJob] = deque()

    # -- what the sampler says ---------------------------------------------------------------------------------------

    def take(self, tick: Tick) -> None:
        """Take one message of the sampler."""
        self._mark_ns = max(self._mark_ns, tick.mark_ns)
        self._running = tick.running
        self._changed = self._changed or bool(tick.slots or tick.changed or tick.deaths)
        self._drains.told_after_s = tick.next_s
        for path in tick.slots:
            self._journals.watch(path)
        self._sampled.take(tick)
        if any(series.task is not None and len(series.task) > 10 for _, series in tick.series):
            self._plots.start()  # ready by the time that a long task's record is read
        self._journals.changed(tick.changed)
        for path, line in tick.notes:
            self._journals.note(path, line)
        for attempt, sample, gpus, counting in tick.samples:
            self._events.sampled(attempt, sample, gpus, counting)
        for death in tick.deaths:
            self._journals.close_dead_worker(death)

    def adopt(
        self, journal: str, failure: Failure, fallback: str | None = None, slot: SlotReader | None = None
    ) -> None:
        """Finish a journal whose writer is gone; see :meth:`prov_worker.agent.journals.Journals.adopt`."""
        self._journals.adopt(journal, failure, fallback, slot)

    def _take(self, job: CrateJob) -> None:
        """Take an attempt that a journal closes."""
        ended = job.ended
        self._endings.explain(ended.record)
        if ended.settings.get("capture_outputs", True):  # open its files before they are taken away
            job.outputs = self._sandboxes.end(ended)
        if job.cut_off:
            self._pending.append(job)
            self._events.ended(ended)
            return
        self._awaited = self._awaited or ended.settings.get("write") == "before_result"
        if ended.lost:
            self._losses.append((time.monotonic() + LOST_GRACE_S, job))
        else:
            self._pending.append(job)
            self._events.ended(ended)

    def _ended_attempts(self, follower: Follower) -> list[AttemptId]:
        jobs = (*self._pending, *self._refused.jobs)
        return [job.ended.record.attempt_id for job in jobs if job.follower is follower]

    # -- work --------------------------------------------------------------------------------------------------------

    def work(self, until: float) -> bool:
        """Do what can be done until a moment (``time.monotonic``).

        Returns:
            Whether there is more to do right now.
        """
        for job in self._plots.drawn():
            self._publish(job)
        self._revive()
        self._journals.drain_again()
        self._look_at_sandboxes()
        self._endings.look(self._journals.slots(), changed=self._changed)
        self._changed = False
        self._holding = self._holds()
        self._drains.drain_all()
        while not self._holding and time.monotonic() < until:
            self._drains.drain_all()
            if len(self._pending) < _MAX_PENDING:
                self._journals.read_changed()
            if not self._step():
                break
        self._drains.end_steps()
        self._tell()
        waiting = [*(job for _, job in self._losses), *self._plots.jobs(), *self._capturing.values()]
        self._journals.archive_finished([job.follower for job in waiting])
        self._journals.renew_leases()
        self._plots.rest()
        self._publisher.rest()
        return not self._holding and (self._ready() or self._journals.are_unread)

    def _look_at_sandboxes(self) -> None:
        """Look at what running tasks have made so far: a client may take it away as soon as it has a result."""
        if not self._sandboxes.is_due():
            return
        running: dict[AttemptId, str] = {}
        self._watches = False
        for follower in self._journals.at_work():
            self._watches = True
            if follower.state.settings.get("capture_outputs", True):
                running |= follower.state.sandboxes()
        self._sandboxes.look(running)

    def _holds(self) -> bool:
        """Return whether a burst of tasks goes first. Results that are released by their crates never wait for one."""
        begun = sum((slot.sequence() + 1) // 2 for slot in self._journals.slots())
        return self._burst.holds(begun, time.monotonic()) and not (self._awaited or self._ending)

    def next_s(self) -> float:
        """Return seconds until something is due without a message of the sampler."""
        due = [1.0, self._endings.next_s()]
        now = time.monotonic()
        if self._refused.jobs:
            due.append(self._refused.again_at - now)
        if self._plots or self._capturing or self._holding:
            due.append(0.05)
        if self._watches:
            due.append(LOOK_INTERVAL_S)
        if self._losses:
            due.append(self._losses[0][0] - now)
        drain_s = self._drains.next_s()
        if drain_s is not None:
            due.append(drain_s)
        again_s = self._journals.next_s()
        if again_s is not None:
            due.append(again_s)
        return max(0.0, min(due))

    @property
    def outstanding(self) -> int:
        """Crates that are still to be written, as far as is known."""
        waiting: tuple[Sized, ...] = (self._pending, self._refused.jobs, self._plots, self._capturing, self._losses)
        return sum(map(len, (*waiting, self._untold))) + self._journals.outstanding

    @property
    def in_a_burst(self) -> bool:
        """Whether quick tasks have followed one another for so long that their crates wait no longer."""
        return self._burst.lasts(time.monotonic())

    @property
    def stuck(self) -> int:
        """Crates that could not be written when it was tried last."""
        return len(self._refused.jobs)

    def workers(self) -> list[Follower]:
        """Return the journals of workers that live; may be called from any thread."""
        return self._journals.workers()

    def writer_of(self, slot: str) -> tuple[SlotReader | None, Follower | None]:
        """Return a worker's slot by its path, and its journal; may be called from any thread."""
        return self._journals.writer_of(slot)

    def settings_with(self, name: str) -> Settings | None:
        """Return the settings of the first worker that have an option other than by default; None if none has."""
        chosen = (follower.state.settings for follower in self.workers() if name in follower.state.settings)
        return next((self._publisher.settings(settings) for settings in chosen), None)

    def plot_fileno(self) -> int:
        """Return descriptor of the plotter's answers, -1 without one."""
        return self._plots.fileno()

    def finish(self) -> None:
        """Stop waiting for ticks, of which there will be no more, and for any grace."""
        self._mark_ns = 1 << 62
        self._running = []
        self._ending = True
        for _, job in self._losses:
            self._pending.append(job)
        self._losses.clear()
        self._journals.read_all_again()

    def close(self) -> None:
        """Release all resources. Unfinished records stay in the journals."""
        self._plots.close()
        self._captures.close()
        self._publisher.close()
        self._tell()
        self._events.close()
        if self._sender is not None:
            self._sender.close()
        self._journals.close()

    def _ready(self) -> bool:
        """Return whether the next crate can be written: its task has had its last look, and the disk takes crates."""
        if not self._pending or self._refused.all_are(time.monotonic()):
            return False
        job = self._pending[0]
        looked_at = job.ended.mono_end_ns <= self._mark_ns and job.ended.record.start_ns not in self._running
        return looked_at or job.follower.dead

    def _revive(self) -> None:
        """Bring back what waited for a time: unreadable journals, refused crates, late plots, lost tasks."""
        now = time.monotonic()
        self._journals.retry_unreadable()
        while self._losses and self._losses[0][0] <= now:
            self._pending.appendleft(self._losses.popleft()[1])
        for reading in self._captures.done() if self._capturing else ():
            job = self._capturing.pop(id(reading.ended))
            if not self._plots.ask(job):
                self._publish(job)
        for job in self._plots.overdue(now):
            self._publish(job)
        self._pending.extend(self._refused.due(now))

    def _step(self) -> bool:
        """Write one crate; false if none is due."""
        if not self._ready():
            return False
        self._drains.begin_step()
        job = self._pending.popleft()
        ended = job.ended
        if job.follower.is_done(ended):
            self._sandboxes.release(job.outputs)
            job.follower.skip()
            self._journals.acknowledge(job)
            return True
        if ended.lost and self._is_reported(job):
            return True
        if not job.completed:
            if ended.lost:
                self._events.ended(ended)
            job.series = self._sampled.series.pop(ended.record.attempt_id, None)
            self._jobs.explain(ended.record, job.death_seen)
            try:
                tree = self._sampled.trees.pop(ended.record.attempt_id, None)
                outputs = None if job.outputs is None else self._sandboxes.hashed(job.outputs)
                self._publisher.complete(ended, job.series, tree, outputs)
            except Exception as error:  # best effort
                self.say("task %s: its record could not be completed: %s", ended.record.task_id, error)
            job.completed = True
            if self._ask_libraries(job) or self._plots.ask(job):
                return True
        self._publish(job)
        return True

    def _publish(self, job: CrateJob) -> None:
        try:
            crate = self._publisher.publish(job.ended, job.series, job.plot)
        except OSError as error:
            self._refused.add(job, time.monotonic())
            self.say("%s: crates cannot be written, their records are kept: %s", self._publisher.crate_dir, error)
            return
        except Exception as error:  # whatever a damaged record does, it must not take the others with it
            self.say("task %s: its record makes no crate and is kept: %s", job.ended.record.task_id, error)
        else:
            self.published += 1
            self.recent.append((job.ended, crate))
            self.tally.add(job.ended.record)
            self._refused.end()
            self._events.published(job.ended, crate)
            if self._events.flush():
                job.follower.done(job.ended)
            else:
                self._untold.append(job)
        self._journals.acknowledge(job)

    def _tell(self) -> None:
        """Write events; an attempt is done with once those of it are on disk."""
        if self._events.look() and self._sender is not None:
            self._sender.keep(self._events.request)
        if self._events.flush():
            while self._untold:
                job = self._untold.popleft()
                job.follower.done(job.ended)

    def _ask_libraries(self, job: CrateJob) -> bool:
        """Have read what libraries stored of the task; false if the crate need not wait for that."""
        try:
            settings = self._publisher.settings(job.ended.settings)
            reading = self._captures.take(job.ended, settings, job.outputs)
        except Exception as error:  # whatever a library left, the crate appears
            self.say("task %s: what libraries report of it is left out: %s", job.ended.record.task_id, error)
            return False
        if reading is None:
            return False
        self._capturing[id(job.ended)] = job
        return True

    def _is_reported(self, job: CrateJob) -> bool:
        """Look whether a lost task's own node has reported it; true if nothing is left to write."""
        from prov_worker.agent.lost_tasks import complete, evidence_of

        evidence = evidence_of(self._publisher.crate_dir, self._runtime, job.ended, self._name)
        if evidence.published:
            job.follower.done(job.ended)
            self._journals.acknowledge(job)
            return True
        complete(job.ended, evidence)
        if evidence.ended is not None:
            self._endings.explain(job.ended.record)
        return False

    def say(self, kind: str, *values: object) -> None:
        """Log a problem once for as long as it stays the same: a text, and what is put into it."""
        problem = kind % values
        if problem not in self.problems:
            self.problems.append(problem)
            log.warning(kind, *values)
