"""One worker as the sampler sees it: its slot, the meters of its process tree, and the series of its running task."""

from __future__ import annotations

import os
import time
from collections.abc import Collection

from prov_worker.agent.buffers import Buffer, Quantity
from prov_worker.agent.descendants import Descendants
from prov_worker.agent.held_rows import HeldRows
from prov_worker.agent.orphans import Image
from prov_worker.agent.process_meter import Io, ProcessMeter, boot_offset_ns, exit_code, reaped_exit_code
from prov_worker.agent.process_use import TreeUse
from prov_worker.agent.sampling_settings import Plan
from prov_worker.agent.tick import Death
from prov_worker.model import Series
from prov_worker.processes import process_start
from prov_worker.spool.slot_reader import SlotReader, SlotTask

#: CPU time since the start, ns: what the means of ``cpu_percent`` are made of. It is in no series.
CPU_TIME = "cpu_ns"
TASK_QUANTITIES = (
    Quantity("cpu_percent", "percent"),
    Quantity(CPU_TIME, "count", counter=True),
    Quantity("rss_bytes", "byte"),
    Quantity("threads", "count"),
    Quantity("read_chars", "byte", counter=True),
    Quantity("written_chars", "byte", counter=True),
    Quantity("read_bytes", "byte", counter=True),
    Quantity("written_bytes", "byte", counter=True),
    Quantity("children", "count"),
    Quantity("children_rss_bytes", "byte"),
)
_NAN = float("nan")
#: A sample that comes sooner after the start of a task, or after another, is left out.
_SHORTEST_NS = 4_000_000
#: Children are looked for, and threads counted, less often than samples are taken: the kernel walks lists for it.
_LOOK_INTERVAL_NS = 250_000_000
_NEVER_S = 3600.0
#: Distance of what is reported of a running task while it runs, at least.
_TOLD_NS = 5_000_000_000
#: Values of a row of samples that are reported, by the name they are reported by.
_TOLD = {0: "rss_bytes", 1: "threads", 6: "children", 7: "children_rss_bytes"}
_ALL = frozenset(("cpu", "memory", "threads", "io", "children"))


class TaskSamples:
    """The series of one task of one worker, and what to know it by.

    Attributes:
        task: what its slot says.
        rows: samples.
        peak_rss_bytes: largest total of the worker's process tree at one sample; 0 without a sample.
        rss_bytes: that total at the last sample; None without one.
        threads: of the worker, at the last sample.
        children: number of its descendants, at the last sample.
    """

    def __init__(self, task: SlotTask) -> None:
        self.task = task
        self.rows = HeldRows(Buffer(TASK_QUANTITIES), task.mono_ns)
        self.peak_rss_bytes = 0
        self.rss_bytes: int | None = None
        self.threads: int | None = None
        self.children: int | None = None
        self.tree: TreeUse | None = None
        self._told_ns = task.mono_ns
        self._told_used_ns = 0

    def reported(self, mono_ns: int) -> dict[str, float] | None:
        """Return what the task uses now, for who follows it while it runs; None if that was reported just now.

        ``cpu_percent`` is the mean since it was reported last; 100 is one logical CPU.
        """
        passed_ns = mono_ns - self._told_ns
        if passed_ns < _TOLD_NS:
            return None
        row, used_ns = self.rows.last(), self.rows.used_ns
        sample: dict[str, float] = {name: int(row[at]) for at, name in _TOLD.items() if row and row[at] == row[at]}
        if used_ns:
            sample["cpu_percent"] = round(100 * (used_ns - self._told_used_ns) / passed_ns, 2)
        self._told_ns, self._told_used_ns = mono_ns, used_ns
        return sample

    def series(self, end_ns: int, interval_s: float) -> Series:
        """Return samples between the task's start and ``end_ns`` (CLOCK_MONOTONIC)."""
        self.rows.flush()
        series = self.rows.buffer.series(self.task.mono_ns, end_ns, interval_s)
        _mean_by_time(series)
        return series


def _mean_by_time(series: Series) -> None:
    """Make the means of CPU use what was used over the time that each sample stands for, and drop what they come of."""
    percent, used = series.columns.get("cpu_percent"), series.columns.pop(CPU_TIME, None)
    if percent is None or used is None:
        return
    offset_s, used_ns = 0.0, 0.0
    for number, (mean, later_ns) in enumerate(zip(percent.mean, used.mean, strict=True)):
        later_s = series.offset_s[number]
        if mean is None or later_ns is None or later_s <= offset_s:
            continue
        value = round(max(0.0, (later_ns - used_ns) / (later_s - offset_s) / 1e7), 2)
        percent.mean[number] = int(value) if value.is_integer() else value
        offset_s, used_ns = later_s, later_ns


class Watched:
    """A worker under watch.

    Args:
        slot: its slot.

    Attributes:
        current: samples of the task that runs now, or ran at the last look.
        seen: sequence at the last look.
        plan: what is read of it, if its settings ask for something else than the default.
        interval_ns: distance of samples.
        image: what tells the processes that come from it.
    """

    def __init__(self, slot: SlotReader) -> None:
        self.slot = slot
        self.meter = ProcessMeter(slot.pid, slot.thread)
        self.image = Image(slot.pid)
        self.current: TaskSamples | None = None
        self.seen = -1
        self.due_ns = 0
        self.plan = Plan.of(slot.telemetry, slot.interval_s)
        row_s = slot.interval_s if self.plan is None else self.plan.row_s
        self.interval_ns = int((_NEVER_S if row_s is None else row_s) * 1e9)
        self._due: dict[str, int] = {}
        self._descendants = Descendants(self.meter, slot.thread is None)
        self._listed: list[tuple[int, int]] = []
        self._look_due_ns = 0
        self._self_cpu = 0
        self._sampled_ns = 0
        self._last_row: tuple[float, ...] | None = None
        self._looked_cpu: int | None = None
        self._io_before: Io | None = None
        self._io_most = [0, 0, 0, 0]
        self._pidfd = _pidfd(slot.pid)
        if process_start(slot.pid) != slot.start:
            self._forget_pidfd()
            self._gone = True
        else:
            self._gone = False

    def fileno(self) -> int:
        """Return descriptor that becomes readable when the process dies (pidfd_open(2)); -1 if there is none."""
        return self._pidfd

    def begin(self, task: SlotTask) -> None:
        """Start the series of another task."""
        self.current = TaskSamples(task)
        self._self_cpu = task.cpu_ns
        self._sampled_ns = task.mono_ns
        self._look_due_ns = 0
        self._last_row = self._looked_cpu = None
        self._io_before = None
        self._io_most = [0, 0, 0, 0]
        self._due.clear()
        begun = self.slot.begun_descendants(task.sequence)
        # at each task: while a machine is suspended one of the clocks stands still (clock_gettime(2))
        self._descendants.begin(task.mono_ns, boot_offset_ns(), begun, time.monotonic_ns())

    @property
    def counts_cpu(self) -> bool:
        """Whether CPU time is sampled."""
        return self.plan is None or "cpu" in self.plan.task

    @property
    def sampled_ns(self) -> int:
        """Until when the CPU time of the running task is counted, CLOCK_MONOTONIC."""
        return self._sampled_ns

    @property
    def interval_s(self) -> float:
        """Seconds between samples."""
        return self.interval_ns / 1e9

    def sample(self, mono_ns: int) -> None:
        """Take one sample of the running task: of what is due, and NaN of what is not or is switched off."""
        current, plan = self.current, self.plan
        now = time.monotonic_ns()  # a tick may have begun a while ago
        if current is None or now - self._sampled_ns < _SHORTEST_NS:
            return  # a share of almost no time is no share
        # the clock before all else: what is read after it holds until it moves
        cpu = self.meter.cpu_ns()
        if cpu is not None and cpu == self._looked_cpu and self._rested(current, mono_ns, now):
            return
        rss = self.meter.rss_bytes()
        if rss == 0:
            return  # dead: it has no memory any more, which is not a reading of the task
        due: Collection[str] = _ALL
        if plan is not None:
            due = {kind for kind, seconds in plan.task.items() if self._is_due(kind, int(seconds * 1e9), mono_ns)}
            if not due:
                return
        if plan is None or not plan.task.keys().isdisjoint(("cpu", "children", "threads", "memory", "io")):
            looked = self._follow(mono_ns, now)
            if looked and plan is None and self.slot.thread is None:
                self._looked_cpu = cpu
        row = [_NAN] * (len(TASK_QUANTITIES) - 2)
        charges: list[tuple[int, int, int]] | None = None
        if "cpu" in due:
            if cpu is None:
                return
            charges = [(max(0, cpu - self._self_cpu), self._sampled_ns, now), *self._descendants.charges]
            self._descendants.charges.clear()
            self._self_cpu = cpu
            self._sampled_ns = now
        elif plan is not None and "cpu" not in plan.task:
            self._descendants.charges.clear()
        tree_rss = self._descendants.rss_bytes
        if "memory" in due and rss is not None:
            row[0] = rss
            current.rss_bytes = rss + tree_rss
            current.peak_rss_bytes = max(current.peak_rss_bytes, current.rss_bytes)
        if "threads" in due and self._descendants.threads is not None:
            row[1] = current.threads = self._descendants.threads
        if "io" in due:
            row[2:6] = self._bytes()
        if "children" in due:
            current.children = len(self._descendants)
            row[6:8] = current.children, tree_rss
        self._last_row = tuple(row)
        current.rows.add(now, self._last_row, charges)

    def _rested(self, current: TaskSamples, mono_ns: int, now: int) -> bool:
        """Take a sample of a worker whose clock has not moved since all of it was read; false if that is not enough.

        What has not run has read, written, forked and waited for nothing, and has come to no memory. Pages may be taken
        away from it, which is looked at now and then; and descendants are what they are by themselves.
        """
        row = self._last_row
        if row is None or self._descendants.are_there:
            return False
        if mono_ns >= self._look_due_ns:
            rss = self.meter.rss_bytes()
            if not rss or not self._descendants.rests(now):
                return False
            self._look_due_ns = mono_ns + _LOOK_INTERVAL_NS
            if rss != row[0]:
                self._last_row = row = (rss, *row[1:])
                current.rss_bytes = rss
                current.peak_rss_bytes = max(current.peak_rss_bytes, rss)
        self._sampled_ns = now
        current.rows.add_idle(now, row)
        return True

    def follows(self, pid: int) -> bool:
        """Return whether a process is counted already."""
        return self._descendants.follows(pid)

    def adopt(self, pid: int) -> None:
        """Count a process that has left the tree."""
        self._descendants.adopt(pid, time.monotonic_ns())

    def follow(self, mono_ns: int) -> None:
        """See to the descendants while no task runs, so that the next one finds them listed."""
        if (self._descendants.listed() or self._listed) and mono_ns >= self._look_due_ns:
            self._follow(mono_ns, time.monotonic_ns())

    def _follow(self, mono_ns: int, now: int) -> bool:
        """Read the descendants; gives whether it was looked who there is."""
        complete = self._descendants.sample(now)
        looks = not complete or mono_ns >= self._look_due_ns or self._descendants.has_changed()
        if looks:
            self._look_due_ns = mono_ns + _LOOK_INTERVAL_NS
            self._descendants.look(now)
            listed = self._descendants.listed()
            if listed != self._listed:
                self._listed = listed
                self.slot.list_descendants(listed)
        return looks

    def _bytes(self) -> list[float]:
        """Return bytes of the tree since the first look at the task; they never fall, whoever counts them now."""
        io = self.meter.io()
        if io is None:
            return [_NAN] * 4
        if self._io_before is None:
            self._io_before = io
        a, b = io, self._io_before
        own = Io(a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3])
        self._io_most = list(map(max, self._io_most, self._descendants.io_since_start(own)))
        return [*self._io_most]

    def _is_due(self, kind: str, interval_ns: int, mono_ns: int) -> bool:
        due_ns = self._due.get(kind, mono_ns)
        if mono_ns + 2 * self.interval_ns // 5 < due_ns:
            return False
        self._due[kind] = max(due_ns + interval_ns, mono_ns + interval_ns // 2)
        return True

    def detach(self) -> TaskSamples | None:
        """Give the samples of the task away; None if there is nothing to say of it.

        The descendants are looked at once more: those that outlive the task are not in the worker's counters.
        """
        current, self.current = self.current, None
        if current is None:
            return None
        current.rows.flush()
        descendants = self._descendants
        if descendants.listed() or descendants.has_changed():
            self._look_due_ns = 0
            now = time.monotonic_ns()
            self._follow(now, now)
        current.tree = tree = descendants.use(current.peak_rss_bytes or None)
        return current if len(current.rows.buffer) or current.rows.used_ns or tree.descendants else None

    def death(self) -> Death | None:
        """Return whether the process has died; called when its descriptor says so, and now and then."""
        status = exit_code(self.slot.pid)
        if status is not None or self._gone or process_start(self.slot.pid) != self.slot.start:
            if status is None and self._pidfd >= 0:
                status = reaped_exit_code(self._pidfd)
            return Death(status, time.monotonic_ns())
        return None

    def close(self) -> None:
        """Let all files go."""
        self._descendants.close()
        self.meter.close()
        self._forget_pidfd()
        self.slot.close()

    def _forget_pidfd(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1  # before Linux 5.3, or gone: found by looking now and then
