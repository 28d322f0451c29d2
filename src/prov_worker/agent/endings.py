"""Ends workers whose task is over its time limit, or is to be cancelled: SIGTERM, and SIGKILL after a while.

Part of the finaliser: the sampler has no time for it. A worker that ends its task at the very moment goes on to another
one, which must not be hurt. So the worker is stopped first (SIGSTOP); what its slot says then stays true, and it is
ended only if the task runs still. Parsl's manager starts another worker in its place (``worker_watchdog`` of
``parsl/executors/high_throughput/process_worker_pool.py``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prov_worker.agent.process_meter import TICKS_PER_S, boot_offset_ns
from prov_worker.attempt import AttemptId
from prov_worker.model import TaskRecord, host_name
from prov_worker.processes import is_running, process_start, process_state
from prov_worker.spool import endings
from prov_worker.spool.endings import CANCELLED, TIME_LIMIT, Ending, Wish
from prov_worker.spool.slot_reader import SlotReader

log = logging.getLogger(__name__)

#: Between SIGTERM and SIGKILL.
GRACE_S = 5.0
#: How often it is looked whether somebody wants a task to be cancelled.
_WISHES_S = 0.5
_STOP_S = 0.2
_PAUSE_S = 0.1
#: States of a process that runs no instruction of its own (proc(5)): stopped, traced, in the kernel.
_HALTED = ("T", "t", "D")
_THREADS = "its worker runs other tasks in the same process, so that it cannot be ended alone"
#: Failures of a worker that is gone, for which an ending is the better reason.
_GONE = ("signal", "exit", "unknown", "lost")


@dataclass(slots=True)
class _Condemned:
    """A worker that was asked to end, and the processes that its task started: id and start of each."""

    ending: Ending
    slot: SlotReader
    sequence: int
    worker: tuple[int, int]
    others: list[tuple[int, int]]
    kill_at: float

    def is_over(self) -> bool:
        """Return whether all of them are gone."""
        return not any(is_running(*process) for process in (self.worker, *self.others))


@dataclass(frozen=True, slots=True)
class _Running:
    """A task that runs: its slot's sequence, when it began (CLOCK_MONOTONIC, ns), and its limit, ns; 0 without one."""

    sequence: int
    attempt: AttemptId
    mono_ns: int
    limit_ns: int


class Endings:
    """Ends the workers of one crate directory on this node.

    A look at a worker whose task has not changed since, and is not to be ended, costs a comparison.

    Args:
        crate_dir: the directory.
    """

    def __init__(self, crate_dir: str) -> None:
        self._crate_dir = crate_dir
        self._wishes: dict[str, Wish] = {}
        self._changed_ns = -1
        self._wishes_due = 0.0
        self._due: float | None = None
        self._running: dict[str, _Running] = {}
        self._condemned: list[_Condemned] = []
        self._ended: dict[AttemptId, Ending] = {}
        self._refused: set[str] = set()
        endings.remove_old(crate_dir)

    def look(self, slots: Iterable[SlotReader], *, changed: bool = True) -> None:
        """Look at all workers that run a task, and end those that are to be ended.

        Args:
            slots: of the workers.
            changed: whether a task may have begun since the last look.
        """
        if not changed and (self._due is None or time.monotonic() < self._due):
            return
        running = [slot for slot in slots if slot.sequence() & 1]
        self._due = None
        if running or self._condemned:
            self._see_wishes()
        before, self._running = self._running, {}
        now = time.monotonic()
        for slot in running:
            task = before.get(slot.path)
            if task is None or task.sequence != slot.sequence():
                task = self._task_of(slot)
            if task is not None:
                self._running[slot.path] = task
                self._judge(slot, task, now)
        for condemned in list(self._condemned):
            if now >= condemned.kill_at or condemned.is_over():
                self._finish(condemned)
            else:
                self._is_due(now + _PAUSE_S)

    def next_s(self) -> float:
        """Return seconds until the next look; infinite if no task runs."""
        return float("inf") if self._due is None else max(0.0, self._due - time.monotonic())

    def explain(self, record: TaskRecord) -> None:
        """Say in the failure of a task whose worker is gone that an agent ended it, if one did."""
        failure = record.failure
        if failure is None or failure.kind not in _GONE:
            return
        ending = self._ended.pop(record.attempt_id, None)
        if ending is None:
            ending = endings.ending_of(self._crate_dir, record.task_id, record.attempt, record.start_ns)
        if ending is not None and ending.start_ns == record.start_ns:
            record.failure = dataclasses.replace(failure, kind=ending.kind, message=ending.text)

    def _is_due(self, moment: float) -> None:
        self._due = moment if self._due is None else min(self._due, moment)

    def _see_wishes(self) -> None:
        now = time.monotonic()
        if now >= self._wishes_due:
            self._wishes_due = now + _WISHES_S
            changed_ns = endings.changed_ns(self._crate_dir)
            if changed_ns != self._changed_ns:
                # a directory that changed just now may change again within one tick of the file system's clock
                self._changed_ns = changed_ns if time.time_ns() - changed_ns > 2_000_000_000 else -1
                self._wishes = {wish.task_id: wish for wish in endings.wishes(self._crate_dir)}
        self._is_due(self._wishes_due)

    @staticmethod
    def _task_of(slot: SlotReader) -> _Running | None:
        task = slot.read()
        if task is None or not task.running or not any(task.task):
            return None
        return _Running(task.sequence, task.attempt_id, task.mono_ns, slot.limit_ns(task.sequence))

    def _judge(self, slot: SlotReader, task: _Running, now: float) -> None:
        wish = self._wishes.get(task.attempt.task_id)
        if wish is None and not task.limit_ns:
            return
        if wish is not None and slot.thread is not None:
            self._refuse(task.attempt.task_id)
        elif wish is not None:
            self._end(slot, task, CANCELLED, wish.by)
        elif slot.thread is None:
            over_at = (task.mono_ns + task.limit_ns) / 1e9
            if now < over_at:
                self._is_due(over_at)
            else:
                self._end(slot, task, TIME_LIMIT)

    def _refuse(self, task_id: str) -> None:
        if task_id not in self._refused:
            self._refused.add(task_id)
            with contextlib.suppress(OSError):
                endings.refuse(self._crate_dir, task_id, _THREADS)

    def _end(self, slot: SlotReader, task: _Running, kind: str, by: str | None = None) -> None:
        """Tell a worker to end, if it runs the task still."""
        if task.attempt in self._ended or not is_running(slot.pid, slot.start):
            return  # its death is not known to all yet
        limit_s = task.limit_ns / 1e9 if kind == TIME_LIMIT else None
        ending = Ending(*_fields(task.attempt), kind, time.time_ns(), host_name(), slot.pid, limit_s, by)
        try:
            endings.note(self._crate_dir, ending)
        except OSError as error:
            log.warning("task %s: that its worker is ended is said in its crate alone: %s", ending.task_id, error)
        worker, others = (slot.pid, slot.start), []
        with _stopped(*worker) as halted:
            ends = halted and slot.sequence() == task.sequence
            if ends:
                others = _descendants(slot.pid, task.mono_ns + boot_offset_ns())
                self._ended[task.attempt] = ending
                _send([*others, worker], signal.SIGTERM)
        if not ends:
            endings.withdraw(self._crate_dir, ending)
            self._is_due(time.monotonic() + _PAUSE_S)
            return
        log.info("task %s, attempt %d: %s", ending.task_id, ending.attempt, ending.text)
        kill_at = time.monotonic() + GRACE_S
        self._condemned.append(_Condemned(ending, slot, task.sequence, worker, others, kill_at))
        self._is_due(time.monotonic() + _PAUSE_S)

    def _finish(self, condemned: _Condemned) -> None:
        """Kill what is left of a task; let its worker go on if that has ended the task after all."""
        self._condemned.remove(condemned)
        ending = condemned.ending
        _send(condemned.others, signal.SIGKILL)
        with _stopped(*condemned.worker) as halted:
            if halted and condemned.slot.sequence() == condemned.sequence:
                _send([condemned.worker], signal.SIGKILL)
            elif halted:
                self._ended.pop(AttemptId(*_fields(ending)), None)
                endings.withdraw(self._crate_dir, ending)
        endings.forget_wish(self._crate_dir, ending.task_id)
        self._wishes.pop(ending.task_id, None)


def _fields(attempt: AttemptId | Ending) -> tuple[str, int, int]:
    return attempt.task_id, attempt.attempt, attempt.start_ns


@contextlib.contextmanager
def _stopped(pid: int, start: int) -> Iterator[bool]:
    """Stop a process for the block; gives whether it has come to a halt."""
    if not is_running(pid, start):
        yield False
        return
    try:
        os.kill(pid, signal.SIGSTOP)
    except OSError:
        yield False
        return
    try:
        until = time.monotonic() + _STOP_S
        while (halted := process_state(pid) in _HALTED) is False and time.monotonic() < until:
            time.sleep(0.0005)
        yield halted
    finally:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)


def _send(processes: Iterable[tuple[int, int]], number: signal.Signals) -> None:
    for pid, start in processes:
        if process_start(pid) == start:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def _descendants(pid: int, since_ns: int) -> list[tuple[int, int]]:
    """Return id and start of a process's descendants that began at a moment (CLOCK_BOOTTIME, ns) or later."""
    children: dict[int, list[tuple[int, int]]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    data = file.read(1024)
                fields = data[data.rindex(b")") + 2 :].split(None, 20)
                children.setdefault(int(fields[1]), []).append((int(name), int(fields[19])))
            except (OSError, ValueError, IndexError):
                continue
    own = {os.getpid(), os.getppid()}
    earliest = since_ns * TICKS_PER_S // 1_000_000_000
    result: list[tuple[int, int]] = []
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child[0] not in own:
                waiting.append(child[0])
                if child[1] >= earliest:
                    result.append(child)
    return result
