"""What the sampler tells the finaliser after one look at all slots."""

from __future__ import annotations

from dataclasses import dataclass, field

from prov_worker.accelerators import NodeGpus
from prov_worker.agent.process_use import TreeUse
from prov_worker.attempt import AttemptId
from prov_worker.model import TaskSeries
from prov_worker.spool.slot_reader import SlotTask


@dataclass(slots=True)
class Death:
    """How a worker ended, as far as it can be seen from outside.

    ``status`` is the wait status (wait(2)); None if its parent had collected it before we looked.
    """

    status: int | None
    mono_ns: int


@dataclass(slots=True)
class WorkerDeath:
    """A worker that died: its slot's last word, how it ended, and the series of the task that died with it."""

    slot: str
    task: SlotTask | None
    death: Death
    cpu_ns: int | None = None
    note: bytes | None = None


@dataclass(slots=True)
class Tick:
    """What one tick has to tell the finaliser.

    Attributes:
        mark_ns: every task that ended before this moment (CLOCK_MONOTONIC) has had its last look, but for ``running``.
        running: starts (ns since the epoch) of tasks that run by their slots. A worker reads the clock at a task's end,
            and says in its slot that it has ended once the record is written.
        slots: paths of slots seen for the first time.
        changed: paths of slots whose sequence moved.
        series: finished series, by attempt.
        deaths: workers that died.
        trees: what was seen of process trees, by attempt.
        notes: (path of slot, ``start`` line) of tasks that run and have no line in the journal.
        samples: what running tasks use, by attempt, if events are asked for, with what the node's GPUs do.
        alive: number of live workers, and of engines that are not shut down.
        next_s: distance to the next tick, s.
    """

    mark_ns: int = 0
    running: list[int] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    series: list[tuple[AttemptId, TaskSeries]] = field(default_factory=list)
    trees: list[tuple[AttemptId, TreeUse]] = field(default_factory=list)
    deaths: list[WorkerDeath] = field(default_factory=list)
    notes: list[tuple[str, bytes]] = field(default_factory=list)
    samples: list[tuple[AttemptId, dict[str, float], dict[int, list[float]], NodeGpus]] = field(default_factory=list)
    alive: int = 0
    next_s: float = 1.0

    def __bool__(self) -> bool:
        message = self.slots or self.changed or self.series or self.trees or self.deaths or self.notes
        return bool(message or self.samples)
