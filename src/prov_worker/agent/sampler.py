"""The sampling half of the agent: it looks at every slot at each tick, samples what runs, and notices who has died.

Ticks have absolute deadlines, so that a late one does not delay the next. All that another process must know leaves in
one message a tick, without ever waiting for the receiver.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING

from prov_worker.accelerators import UNKNOWN_GPUS, NodeGpus
from prov_worker.agent.live.taker import SnapshotTaker
from prov_worker.agent.node_meter import GpuMeters, NodeMeter
from prov_worker.agent.orphans import ProcessTable, owner_of
from prov_worker.agent.tick import Tick, WorkerDeath
from prov_worker.agent.worker_monitor import TaskSamples, Watched
from prov_worker.attempt import AttemptId
from prov_worker.errors import SpoolError
from prov_worker.model import Energy, TaskSeries
from prov_worker.spool.paths import SLOT_PREFIX
from prov_worker.spool.slot_reader import SlotReader
from prov_worker.spool.stream_request import is_request

if TYPE_CHECKING:
    from prov_worker.agent.energy_meter import EnergyMeter
    from prov_worker.agent.live.snapshot import Snapshot

#: However slowly samples are taken, slots are looked at this often.
_LOOK_INTERVAL_S = 0.1
_ORPHANS_INTERVAL_NS = 250_000_000
#: At the end of a task that took so long, orphans are looked for at once, unless that was done just now.
_ORPHANS_SHORTEST_NS, _ORPHANS_LATELY_NS = 100_000_000, 40_000_000
_DEATH_CHECK_NS = 1_000_000_000
_SETTLED_NS = 100_000_000
_IDLE_INTERVAL_S = 0.25
_IDLE_AFTER_NS = 2_000_000_000
#: Of a shorter task no energy is given: most of it would be guessed between two readings of the counters.
_SHORTEST_NS = 1_000_000_000


class Sampler:
    """Watches the slots of one runtime directory.

    Args:
        runtime: the directory.

    Attributes:
        lateness_ns: largest distance of a tick from its deadline.
        ticks: number of ticks.
        takes_slots: whether it looks for new slots; those that it watches it keeps.
    """

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._watched: dict[str, Watched] = {}
        # of many descriptors that hardly ever have to say something, epoll(7) is reported once
        self._poll = select.epoll()
        self._by_fd: dict[int, str] = {}
        self._listed: tuple[int, int] = (0, 0)
        self._bad: set[str] = set()
        self._buried: dict[str, int] = {}
        self._node: NodeMeter | None = None
        self._gpus: GpuMeters | None = None
        self._energy: EnergyMeter | None = None
        self._node_s: float | None = None
        self._cpus_s: float | None = None
        self._gpu_s: float | None = None
        self._dead_fds: set[int] = set()
        self._death_check_ns = 0
        self._processes = ProcessTable()
        self._orphans_ns = -_ORPHANS_INTERVAL_NS
        self._busy_ns = 0
        self._snapshots = SnapshotTaker()
        self._tells_samples = False
        self.interval_s = 1.0
        self.lateness_ns = 0
        self.ticks = 0
        self.takes_slots = True

    def __len__(self) -> int:
        return len(self._watched)

    def tick(self, mono_ns: int) -> Tick:
        """Look at every slot once."""
        self.ticks += 1
        tick = Tick()
        self._find_slots(tick)
        slack_ns = int(min(self.interval_s, _LOOK_INTERVAL_S) * 4e8)
        for path, watched in self._watched.items():
            sequence = watched.slot.sequence()
            if sequence != watched.seen:
                task = watched.slot.read()
                if task is None:
                    continue
                tick.changed.append(path)
                watched.seen = task.sequence
                previous = watched.current
                over = previous is not None and (previous.task.start_ns != task.start_ns or not task.running)
                if previous is not None and over:
                    if mono_ns - previous.task.mono_ns > _ORPHANS_SHORTEST_NS:
                        self._find_orphans(mono_ns, _ORPHANS_LATELY_NS)
                    self._detach(watched, tick, mono_ns)
                if task.running:
                    watched.begin(task)
                    note = watched.slot.note(task)
                    if note is not None:
                        tick.notes.append((path, note))
                    watched.due_ns = mono_ns
            if watched.seen & 1 and watched.current is not None:
                tick.running.append(watched.current.task.start_ns)
                # a tick that comes a little early must not skip its sample
                if mono_ns + slack_ns >= watched.due_ns:
                    watched.sample(mono_ns)
                    interval_ns = watched.interval_ns
                    watched.due_ns = max(watched.due_ns + interval_ns, mono_ns + interval_ns // 2)
                if self._tells_samples:
                    sample = watched.current.reported(mono_ns)
                    if sample is not None:
                        asks = watched.plan is None or watched.plan.gpu is not None
                        gpus, counting = self._latest_gpus() if asks else ({}, UNKNOWN_GPUS)
                        tick.samples.append((watched.current.task.attempt_id, sample, gpus, counting))
            elif watched.current is None:
                watched.follow(mono_ns)
        if tick.running:
            self._busy_ns = mono_ns
            self._measure_node(mono_ns)
            self._find_orphans(mono_ns)
        self._find_dead(mono_ns, tick)
        self._count_energy(mono_ns, busy=bool(tick.running) and self._node_s is not None)
        tick.mark_ns = mono_ns
        tick.alive = sum(not watched.slot.is_let_go() for watched in self._watched.values())
        return tick

    def snapshot(self, mono_ns: int) -> Snapshot:
        """Return what runs, as of the last tick."""
        snapshot = self._snapshots.take(self._watched, mono_ns, self._drawn)
        snapshot.gpus, snapshot.counting = self._latest_gpus()
        return snapshot

    def _latest_gpus(self) -> tuple[dict[int, list[float]], NodeGpus]:
        """Return the last readings of the node's GPUs, and how these are counted."""
        return ({}, UNKNOWN_GPUS) if self._gpus is None else (self._gpus.latest(), self._gpus.gpus)

    def wait(self, deadline_ns: int) -> bool:
        """Sleep until a deadline (CLOCK_MONOTONIC); a worker that dies ends the sleep.

        Returns:
            False once the descriptor that is listened to has something to read, or has hung up.
        """
        left = deadline_ns - time.monotonic_ns()
        quiet = True
        if left > 0:
            for fd, _ in self._poll.poll(left / 1e9):
                if fd in self._by_fd:
                    self._dead_fds.add(fd)
                    self._poll.unregister(fd)
                else:
                    quiet = False
        late = time.monotonic_ns() - deadline_ns
        if late > self.lateness_ns:
            self.lateness_ns = late
        return quiet

    def period_s(self, mono_ns: int) -> float:
        """Return distance to the next tick: short while a task runs, longer when nothing has run for a while."""
        if mono_ns - self._busy_ns > _IDLE_AFTER_NS:
            return min(_IDLE_INTERVAL_S, max(self.interval_s, _LOOK_INTERVAL_S))
        return min(self.interval_s, _LOOK_INTERVAL_S)

    def close(self) -> None:
        """Let all files go."""
        for watched in self._watched.values():
            watched.close()
        self._watched.clear()
        self._poll.close()
        self._processes.close()
        if self._energy is not None:
            self._energy.close()
        if self._gpus is not None:
            self._gpus.close()

    def is_new(self, path: str) -> bool:
        """Return whether a slot file belongs to a process that was never watched."""
        if path in self._bad or path in self._watched:
            return False
        try:
            slot = SlotReader(path)
        except SpoolError:
            return False
        start = slot.start
        slot.close()
        return bool(self._buried.get(path) != start)

    def listen(self, fd: int) -> None:
        """Wake up from :meth:`wait` when this descriptor is readable, or has hung up."""
        self._poll.register(fd, select.EPOLLIN)

    def _find_slots(self, tick: Tick) -> None:
        if not self.takes_slots:
            return
        try:
            status = os.stat(self._runtime)
            listed = (status.st_mtime_ns, status.st_nlink)
            if listed == self._listed:
                return
            names = os.listdir(self._runtime)
            # a directory that changed just now may change again within one tick of the file system's clock
            settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
            self._listed = listed if settled else (0, 0)
        except OSError:
            return
        self._tells_samples = any(map(is_request, names))
        for name in names:
            path = os.path.join(self._runtime, name)
            if not name.startswith(SLOT_PREFIX) or name.endswith(".new"):
                continue
            before = self._watched.get(path)
            if before is not None and not before.slot.is_let_go():
                continue
            try:
                watched = Watched(SlotReader(path))
            except SpoolError:
                self._bad.add(path)
                continue
            if before is not None:
                if watched.slot.is_let_go():
                    watched.close()
                    continue
                self._forget(path, before)  # the next engine of the same process has taken its place
            if self._buried.get(path) == watched.slot.start:
                watched.close()
                continue
            self._watched[path] = watched
            tick.slots.append(path)
            if watched.fileno() >= 0:
                self._by_fd[watched.fileno()] = path
                self._poll.register(watched.fileno(), select.EPOLLIN)
        self._set_interval()

    def _forget(self, path: str, watched: Watched) -> None:
        """Watch a slot no longer."""
        fd = watched.fileno()
        if fd >= 0:
            self._by_fd.pop(fd, None)
            self._dead_fds.discard(fd)
            with contextlib.suppress(OSError):
                self._poll.unregister(fd)
        del self._watched[path]
        watched.close()

    def _set_interval(self) -> None:
        """Set the distance of ticks and of the node's readings: of each the shortest that a worker asks for."""
        intervals: list[float | None] = []
        node: list[float | None] = []
        cpus: list[float | None] = []
        gpu: list[float | None] = []
        for watched in self._watched.values():
            plan, interval_s = watched.plan, watched.slot.interval_s
            intervals += [interval_s] if plan is None else [plan.row_s, plan.node, plan.per_cpu]
            node.append(interval_s if plan is None else plan.node)
            cpus.append(interval_s if plan is None else plan.per_cpu)
            gpu.append(interval_s if plan is None else plan.gpu)
        self.interval_s = _shortest(intervals) or 1.0
        self._node_s, self._cpus_s, self._gpu_s = _shortest(node), _shortest(cpus), _shortest(gpu)
        if self._node is not None:
            self._node.ask(self._node_s, self._cpus_s)
        if self._gpus is not None:
            self._gpus.ask(self._gpu_s)

    def _measure_node(self, mono_ns: int) -> None:
        if self._node_s is not None or self._cpus_s is not None:
            if self._node is None:
                self._node = NodeMeter(self.interval_s)
                self._node.ask(self._node_s, self._cpus_s)
            self._node.tick(mono_ns)
        if self._gpu_s is not None and self._gpus is None:
            self._gpus = GpuMeters(self._gpu_s)

    def _find_orphans(self, mono_ns: int, interval_ns: int = _ORPHANS_INTERVAL_NS) -> None:
        """Give processes that have left their worker's tree to the worker that they came from."""
        if mono_ns < self._orphans_ns + interval_ns:
            return
        self._orphans_ns = mono_ns
        newcomers = self._processes.newcomers()
        if not newcomers:
            return
        whole = {watched.slot.pid: watched for watched in self._watched.values() if watched.slot.thread is None}
        workers = {pid: watched.slot.start for pid, watched in whole.items()}
        running = [watched.image for watched in whole.values() if watched.current is not None]
        for newcomer in newcomers:
            if newcomer.pid in workers or any(watched.follows(newcomer.pid) for watched in whole.values()):
                continue
            owner = owner_of(newcomer, workers, running)
            if owner is not None:
                whole[owner].adopt(newcomer.pid)

    def _detach(self, watched: Watched, tick: Tick, end_ns: int) -> None:
        samples = watched.detach()
        if samples is None:
            return
        if len(samples.rows.buffer) or samples.rows.used_ns:
            tick.series.append(self._series(samples, end_ns, watched.interval_s))
        if samples.tree is not None:
            tick.trees.append((samples.task.attempt_id, samples.tree))

    def _series(self, samples: TaskSamples, end_ns: int, interval_s: float) -> tuple[AttemptId, TaskSeries]:
        task = samples.task
        start_ns = task.mono_ns
        gpus = self._gpus.history if self._gpus is not None else None
        series = TaskSeries(
            task=samples.series(end_ns, interval_s),
            node=self._node.history.series(start_ns, end_ns) if self._node is not None else None,
            gpu=gpus.series(start_ns, end_ns) if gpus is not None else None,
            energy=self._drawn(start_ns, end_ns),
        )
        return task.attempt_id, series

    def _count_energy(self, mono_ns: int, *, busy: bool) -> None:
        if self._energy is None:
            # After the first look at all slots: to find the counters takes some time.
            from prov_worker.agent.energy_meter import EnergyMeter

            self._energy = EnergyMeter()
        self._energy.tick(mono_ns, busy=busy)

    def _drawn(self, start_ns: int, end_ns: int) -> Energy | None:
        if end_ns - start_ns < _SHORTEST_NS:
            return None
        energy = (
            self._energy.between(start_ns, end_ns) if self._energy is not None and self._node_s is not None else None
        )
        joules = self._gpus.joules(start_ns, end_ns) if self._gpus is not None else {}
        if joules and self._gpus is not None:
            energy = energy or Energy((end_ns - start_ns) / 1e9)
            energy.gpu_joules, energy.gpus = joules, self._gpus.gpus
        return energy

    def _find_dead(self, mono_ns: int, tick: Tick) -> None:
        suspects = [self._by_fd[fd] for fd in self._dead_fds if fd in self._by_fd]
        self._dead_fds.clear()
        if mono_ns >= self._death_check_ns:
            self._death_check_ns = mono_ns + _DEATH_CHECK_NS
            # a descriptor tells by itself; if the kernel gives none, looking does
            suspects += [path for path, watched in self._watched.items() if watched.fileno() < 0]
        for path in suspects:
            watched = self._watched.get(path)
            death = watched.death() if watched is not None else None
            if watched is None or death is None:
                continue
            task = watched.slot.read()
            cpu_ns = None
            if watched.counts_cpu and watched.current is not None and task is not None and task.running:
                cpu_ns = watched.current.rows.used_ns
            self._detach(watched, tick, death.mono_ns)
            note = watched.slot.note(task) if task is not None else None
            tick.deaths.append(WorkerDeath(path, task, death, cpu_ns, note))
            self._buried[path] = watched.slot.start
            self._forget(path, watched)
            self._listed = (0, 0)
            self._set_interval()


def _shortest(intervals: list[float | None]) -> float | None:
    return min((interval for interval in intervals if interval is not None), default=None)
