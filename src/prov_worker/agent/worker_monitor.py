"""One worker as the sampler sees it: its slot, the meters of its process tree, and the series of its running task."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from prov_worker.agent.buffers import Buffer, Quantity
from prov_worker.agent.process_meter import TICKS_PER_S, ProcessMeter, boot_offset_ns, exit_code, reaped_exit_code
from prov_worker.agent.sampling_settings import Plan
from prov_worker.model import Series
from prov_worker.processes import process_start
from prov_worker.spool.slot import SlotReader, SlotTask

TASK_QUANTITIES = (
    Quantity("cpu_percent", "percent"),
    Quantity("rss_bytes", "byte"),
    Quantity("threads", "count"),
    Quantity("read_chars", "byte", counter=True),
    Quantity("written_chars", "byte", counter=True),
    Quantity("children", "count"),
    Quantity("children_rss_bytes", "byte"),
)
_NAN = float("nan")
#: A sample that comes sooner after the start of a task, or after another, is left out.
_SHORTEST_NS = 4_000_000
#: Children are looked for, and threads counted, less often than samples are taken: the kernel walks lists for it.
_FAMILY_INTERVAL_NS = 250_000_000
_MAX_FAMILY = 256
_NEVER_S = 3600.0


@dataclass(slots=True)
class Death:
    """How a worker ended, as far as it can be seen from outside.

    ``status`` is the wait status (wait(2)); None where its parent had collected it before we looked.
    """

    status: int | None
    mono_ns: int


@dataclass(slots=True)
class TaskSamples:
    """The series of one task of one worker, and what to know it by."""

    task: SlotTask
    buffer: Buffer
    cpu_ns: int

    def series(self, end_ns: int, interval_s: float) -> Series:
        """Samples between the task's start and ``end_ns`` (CLOCK_MONOTONIC)."""
        return self.buffer.series(self.task.mono_ns, end_ns, interval_s)


class Watched:
    """A worker under watch.

    Args:
        slot: its slot.

    Attributes:
        current: samples of the task that runs now, or ran at the last look.
        seen: sequence at the last look.
        plan: what is read of it, where its settings ask for something else than the default.
        interval_ns: distance of samples.
    """

    def __init__(self, slot: SlotReader) -> None:
        self.slot = slot
        self.meter = ProcessMeter(slot.pid, slot.thread)
        self.current: TaskSamples | None = None
        self.seen = -1
        self.due_ns = 0
        self.plan = Plan.of(slot.telemetry, slot.interval_s)
        row_s = slot.interval_s if self.plan is None else self.plan.row_s
        self.interval_ns = int((_NEVER_S if row_s is None else row_s) * 1e9)
        self._due: dict[str, int] = {}
        self._carried = 0
        self._family: dict[int, ProcessMeter] = {}
        self._family_cpu: dict[int, int] = {}
        self._family_due_ns = 0
        self._family_rss = 0.0
        self._threads = _NAN
        self._self_cpu = 0
        self._sampled_ns = 0
        self._io_before: tuple[int, int] | None = None
        self._boot_offset_ns = boot_offset_ns()
        self._pidfd = _pidfd(slot.pid)
        if process_start(slot.pid) != slot.start:
            self._forget_pidfd()
            self._gone = True
        else:
            self._gone = False

    def fileno(self) -> int:
        """Descriptor that becomes readable when the process dies (pidfd_open(2)); -1 where there is none."""
        return self._pidfd

    def begin(self, task: SlotTask) -> None:
        """Another task runs: start its series. Children that were there before are not its own."""
        self._forget_family()
        self.current = TaskSamples(task, Buffer(TASK_QUANTITIES), task.cpu_ns)
        self._self_cpu = task.cpu_ns
        self._sampled_ns = task.mono_ns
        self._family_due_ns = 0
        self._io_before = None
        self._due.clear()
        self._carried = 0

    @property
    def interval_s(self) -> float:
        """Seconds between samples."""
        return self.interval_ns / 1e9

    def sample(self, mono_ns: int) -> None:
        """Take one sample of the running task."""
        if self.plan is not None:
            self._sample_some(self.plan, mono_ns)
            return
        current = self.current
        now, cpu = time.monotonic_ns(), self.meter.cpu_ns()  # a tick may have begun a while ago
        rss = self.meter.rss_bytes()
        if current is None or cpu is None or now - self._sampled_ns < _SHORTEST_NS:
            return  # a share of almost no time is no share
        if rss == 0:
            return  # dead: it has no memory any more, which is no reading of the task
        if mono_ns >= self._family_due_ns:
            self._family_due_ns = mono_ns + _FAMILY_INTERVAL_NS
            self._look_for_family(current.task)
        used = cpu - self._self_cpu
        self._self_cpu = cpu
        used += self._family_used()
        current.cpu_ns += used
        percent = 100.0 * used / (now - self._sampled_ns)
        self._sampled_ns = now
        io = self.meter.io()
        if io is not None and self._io_before is None:
            self._io_before = io
        current.buffer.add(
            mono_ns,
            (
                percent,
                _NAN if rss is None else rss,
                self._threads,
                _NAN if io is None or self._io_before is None else io[0] - self._io_before[0],
                _NAN if io is None or self._io_before is None else io[1] - self._io_before[1],
                len(self._family),
                self._family_rss,
            ),
        )

    def _sample_some(self, plan: Plan, mono_ns: int) -> None:
        """Take a sample of what is due, and NaN of what is not or is switched off."""
        current = self.current
        now, rss = time.monotonic_ns(), self.meter.rss_bytes()
        # the reading of memory also says whether it lives
        if current is None or rss == 0 or not plan.task or now - self._sampled_ns < _SHORTEST_NS:
            return
        due = {kind for kind, interval_s in plan.task.items() if self._is_due(kind, int(interval_s * 1e9), mono_ns)}
        if not due:
            return
        family = "cpu" in plan.task or "children" in due
        if family and mono_ns >= self._family_due_ns:
            self._family_due_ns = mono_ns + _FAMILY_INTERVAL_NS
            self._carried += self._family_used()  # what those used who are gone by the next look
            self._look_for_family(current.task)
        elif "threads" in due and "cpu" not in plan.task:
            threads = self.meter.threads()
            self._threads = _NAN if threads is None else threads
        row = dict.fromkeys((quantity.name for quantity in TASK_QUANTITIES), _NAN)
        cpu = self.meter.cpu_ns() if "cpu" in due else None
        if cpu is not None:
            used = cpu - self._self_cpu + self._carried + self._family_used()
            self._self_cpu, self._carried = cpu, 0
            current.cpu_ns += used
            row["cpu_percent"] = 100.0 * used / (now - self._sampled_ns)
            self._sampled_ns = now
        if "memory" in due and rss is not None:
            row["rss_bytes"] = rss
        if "threads" in due:
            row["threads"] = self._threads
        io = self.meter.io() if "io" in due else None
        if io is not None:
            self._io_before = before = self._io_before or io
            row["read_chars"], row["written_chars"] = io[0] - before[0], io[1] - before[1]
        if "children" in due:
            row["children"], row["children_rss_bytes"] = len(self._family), self._family_rss
        if any(value == value for value in row.values()):
            current.buffer.add(mono_ns, tuple(row.values()))

    def _is_due(self, kind: str, interval_ns: int, mono_ns: int) -> bool:
        due_ns = self._due.get(kind, mono_ns)
        if mono_ns + 2 * self.interval_ns // 5 < due_ns:
            return False
        self._due[kind] = max(due_ns + interval_ns, mono_ns + interval_ns // 2)
        return True

    def detach(self) -> TaskSamples | None:
        """Give the samples of the task away; None where none were taken."""
        current, self.current = self.current, None
        self._forget_family()
        return current if current is not None and len(current.buffer) else None

    def death(self) -> Death | None:
        """Whether the process has died; called when its descriptor says so, and now and then."""
        status = exit_code(self.slot.pid)
        if status is not None or self._gone or process_start(self.slot.pid) != self.slot.start:
            if status is None and self._pidfd >= 0:
                status = reaped_exit_code(self._pidfd)
            return Death(status, time.monotonic_ns())
        return None

    def close(self) -> None:
        """Let all files go."""
        self._forget_family()
        self.meter.close()
        self._forget_pidfd()
        self.slot.close()

    def _look_for_family(self, task: SlotTask) -> None:
        began_ticks = (task.mono_ns + self._boot_offset_ns) * TICKS_PER_S // 1_000_000_000
        threads = self.meter.threads()
        self._threads = _NAN if threads is None else threads
        todo = self.meter.children(threads)
        family: set[int] = set()
        while todo and len(family) < _MAX_FAMILY:
            pid = todo.pop()
            if pid in family:
                continue
            process = self._family.get(pid)
            if process is None:
                if process_start(pid) < began_ticks:
                    continue  # an older task's child that outlived it, or gone already
                process = self._family[pid] = ProcessMeter(pid)
                self._family_cpu[pid] = 0
            family.add(pid)
            todo.extend(process.children(None))
        for pid in set(self._family) - family:
            self._family.pop(pid).close()
            self._family_cpu.pop(pid)
        rss = 0
        for meter in self._family.values():
            rss += meter.rss_bytes() or 0
        self._family_rss = float(rss)

    def _family_used(self) -> int:
        used = 0
        for pid, meter in self._family.items():
            cpu = meter.cpu_ns()
            if cpu is not None:
                used += cpu - self._family_cpu[pid]
                self._family_cpu[pid] = cpu
        return used

    def _forget_family(self) -> None:
        for meter in self._family.values():
            meter.close()
        self._family.clear()
        self._family_cpu.clear()
        self._family_rss = 0.0

    def _forget_pidfd(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1  # before Linux 5.3, or gone: found by looking now and then
