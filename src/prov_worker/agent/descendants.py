"""The descendants of one worker: found, followed and measured, whatever their age and whoever waits for them.

The kernel adds what a process used to its parent's counters when the parent waits for it (getrusage(2), proc(5)), and
never if nobody does: it runs still, it was orphaned, or its parent ignores SIGCHLD. So the clock of each descendant is
read from outside. :func:`prov_worker.agent.tree_usage.account` joins these readings with the worker's counters.

Nothing is asked of the worker: it becomes no subreaper, and its SIGCHLD stays the user's.
"""

from __future__ import annotations

from collections.abc import Mapping

from prov_worker.agent.descendant import EXEC_NS, NO_IO, Descendant
from prov_worker.agent.process_meter import TICKS_PER_S, Io, ProcessMeter, Stat
from prov_worker.agent.process_use import ProcessUse, TreeUse

MAX_PROCESSES = 256
_ENDED = ("Z", "X")
_WAITED_NS = 200_000_000


class Descendants:
    """Follows the descendants of one worker.

    Args:
        worker: reads the worker itself, or the one thread of it that runs tasks.
        whole: the worker runs one task at a time in the whole process, so that all its children are the task's.

    Attributes:
        charges: CPU time that was used since the last sample: (ns, since when, until when). Emptied by who takes it.
        threads: threads of the worker at the last look; None if not known.
    """

    def __init__(self, worker: ProcessMeter, whole: bool) -> None:
        self._worker = worker
        self._whole = whole
        self._processes: dict[int, Descendant] = {}
        self._gone: list[ProcessUse] = []
        self._begun: dict[int, tuple[int, bool]] = {}
        self._began_ns = self._began_ticks = 0
        self._listing = b""
        self._waited_ns: int | None = None
        self._waited_read_ns = self._tail_since_ns = 0
        self._owed_ns = self._buried_ns = 0
        self._gone_io = [0, 0, 0, 0]
        self._child_peak = 0
        self._crowded = False
        self._seen = 0
        self.charges: list[tuple[int, int, int]] = []
        self.threads: int | None = None

    def __len__(self) -> int:
        """Return how many there are, but for those that are at work for an earlier task."""
        if not self._processes:
            return 0
        return sum(not process.left_over for process in self._processes.values())

    @property
    def are_there(self) -> bool:
        """Whether there are any, be it of an earlier task."""
        return bool(self._processes)

    @property
    def rss_bytes(self) -> int:
        """Resident memory of all that are the task's at the last sample; shared pages count for each."""
        if not self._processes:
            return 0
        return sum(process.rss for process in self._processes.values() if not process.left_over)

    def begin(
        self, mono_ns: int, boot_offset_ns: int, begun: Mapping[int, tuple[int, bool]] | None, now_ns: int
    ) -> None:
        """Begin with another task.

        Args:
            mono_ns: when it began (CLOCK_MONOTONIC).
            boot_offset_ns: what to add to that clock to have time since boot.
            begun: what the worker saw of its descendants at that moment, by id: CPU time, and whether it ran; None if
                it did not look.
            now_ns: now, on the first clock.
        """
        looked, begun = begun is not None, begun or {}
        self._began_ns, self._begun = mono_ns, dict(begun)
        self._began_ticks = (mono_ns + boot_offset_ns) * TICKS_PER_S // 1_000_000_000
        # buried since, but there when the task began: who has its time is known here alone
        self._gone = [process.since(mono_ns, *begun[process.pid]) for process in self._gone if process.pid in begun]
        self.charges.clear()
        self._gone_io = [0, 0, 0, 0]
        self._owed_ns = self._child_peak = self._tail_since_ns = self._buried_ns = 0
        self._waited_ns = None
        self._crowded = False
        for process in list(self._processes.values()):
            there = process.read(now_ns)
            if not there and looked and process.pid not in begun:
                # gone before the task began: its parent had its time by then
                self._processes.pop(process.pid).meter.close()
                continue
            process.older = process.start < self._began_ticks or process.pid in begun
            process.peak = process.swallowed_ns = 0
            process.left_over = False
            process.io_began = process.io if process.older else NO_IO
            if process.pid in begun:
                process.began_ns, process.left_over = begun[process.pid]
            else:
                process.began_ns = process.use(True, False).cpu_at(mono_ns) if process.older else 0
        for process in self._processes.values():
            process.charged_ns = process.began_ns
        self._seen = len(self._processes)
        self._take_waited(self._worker.stat(), now_ns)

    def has_changed(self) -> bool:
        """Return whether the worker has other children than at the last look, as far as that is seen cheaply."""
        return self._worker.first_children() != self._listing

    def sample(self, now_ns: int) -> bool:
        """Read what the descendants use now; false if one of them is gone, which the next look sees to."""
        complete = True
        for process in self._processes.values():
            since = process.read_ns
            if process.read(now_ns):
                self._charge(process, since)
            else:
                complete = False
        return complete

    def rests(self, now_ns: int) -> bool:
        """Look at a worker that has not run since the last look; false if :meth:`look` has to.

        Without descendants nothing can have changed but its children: orphans come to a worker that is init, or a
        subreaper (prctl(2)).
        """
        if self._processes or self._owed_ns > 0 or self.has_changed():
            return False
        if self._whole and self._waited_ns is not None:
            self._tail_since_ns, self._waited_read_ns = 0, now_ns
        return True

    def look(self, now_ns: int) -> None:
        """Find those that have come, and see who is gone."""
        self._listing = self._worker.first_children()
        stat = self._worker.stat()
        self.threads = None if stat is None else stat.threads
        below = self._walk([(pid, self._worker.pid) for pid in self._worker.children(self.threads)], now_ns, set())
        for pid, process in list(self._processes.items()):
            if pid not in below and self._is_alive(process):
                # orphaned, or left out of a list: the kernel may skip a child if another ends at that moment (proc(5))
                below = self._walk([(pid, self._parent_in_tree(process.meter))], now_ns, below)
        gone = {pid: process for pid, process in self._processes.items() if pid not in below}
        for process in gone.values():
            self._bury(process, gone)
        if not self._processes:
            self._take_waited(stat, now_ns)
            return
        ignoring = self._worker.status()[1]
        stats = {pid: process.meter.stat() for pid, process in self._processes.items()}
        stat = self._worker.stat()
        # who has lost a child since it was looked for has its time already: left to the next look
        bereaved = {process.parent for process in self._processes.values() if process.meter.cpu_ns() is None}
        for pid, process in self._processes.items():
            process.ignored = ignoring and process.parent == self._worker.pid
            if pid not in bereaved:
                self._look_at(process, stats[pid])
        if self._worker.pid not in bereaved:
            self._take_waited(stat, now_ns)

    def follows(self, pid: int) -> bool:
        """Return whether a process is among them."""
        return pid in self._processes

    def adopt(self, pid: int, now_ns: int) -> None:
        """Follow a process that has left the tree, and was found by other means than its parents."""
        self.look(now_ns)
        if pid not in self._processes:
            meter = ProcessMeter(pid)
            parent = self._parent_in_tree(meter)
            meter.close()
            self._walk([(pid, parent)], now_ns, set(self._processes))

    def listed(self) -> list[tuple[int, int]]:
        """Return ids and CPU times of awaited children, as :meth:`SlotReader.list_descendants` takes them."""
        return [(process.pid, process.waited_ns) for process in self._processes.values()]

    def io_since_start(self, worker: Io) -> Io:
        """Return bytes of the whole tree since the task began.

        Args:
            worker: those of the worker, which has what it has waited for.
        """
        if not self._seen:
            return worker
        total = [mine + gone for mine, gone in zip(worker, self._gone_io, strict=True)]
        for process in self._processes.values():
            if process.io is not None and process.io_began is not None and not process.left_over:
                total = [a + b - c for a, b, c in zip(total, process.io, process.io_began, strict=True)]
        return Io(*total)

    def use(self, rss_bytes: int | None = None) -> TreeUse:
        """Return what the task's descendants used.

        Args:
            rss_bytes: largest total of the whole tree at one sample.
        """
        alive = [process.use(True, False) for process in self._processes.values()]
        peak = max([self._child_peak, *(process.peak for process in self._processes.values() if not process.left_over)])
        most = MAX_PROCESSES if self._crowded else None
        return TreeUse(self._gone + alive, rss_bytes, peak or None, self._seen, self._buried_ns, most)

    def close(self) -> None:
        """Let all files go."""
        for process in self._processes.values():
            process.meter.close()
        self._processes.clear()

    def _walk(self, todo: list[tuple[int, int]], now_ns: int, met: set[int]) -> set[int]:
        """Take up processes and all below them; gives the ids of all that are there."""
        met = set(met)
        while todo and len(met) < MAX_PROCESSES:
            pid, parent = todo.pop()
            if pid in met:
                continue
            process = self._processes.get(pid)
            if process is None:
                process = self._take_up(pid, parent, now_ns)
                if process is None:
                    continue
            process.parent = parent
            met.add(pid)
            todo.extend((child, pid) for child in process.meter.children(None))
        self._crowded = self._crowded or any(pid not in met for pid, _ in todo)
        return met

    def _take_up(self, pid: int, parent: int, now_ns: int) -> Descendant | None:
        process = Descendant(pid, parent, 0, now_ns)
        stat = process.meter.stat()
        if stat is None or not process.read(now_ns):
            process.meter.close()
            return None
        process.start, process.waited_ns = stat.start, stat.waited_cpu_ns
        looked = self._begun.get(pid)
        process.older = looked is not None or stat.start < self._began_ticks
        if process.older:  # never seen before: what it used until now is not the task's
            process.began_ns, process.io_began = process.cpu_ns, process.io
            process.left_over = stat.state == "R"  # not looked at when the task began: as it is now
            if looked is not None:
                process.began_ns, process.left_over = looked
        process.charged_ns = process.began_ns
        # its first reading covers its whole life, as far as that is the task's
        process.earlier_io = process.io_began
        process.earlier_ns, process.earlier_read_ns = (
            process.began_ns,
            now_ns if process.older else self._born_ns(process),
        )
        self._processes[pid] = process
        self._seen += 1
        self._charge(process, process.earlier_read_ns)
        return process

    def _born_ns(self, process: Descendant) -> int:
        since_task_ns = (process.start - self._began_ticks) * 1_000_000_000 // TICKS_PER_S
        return min(process.read_ns, self._began_ns + max(0, since_task_ns))

    def _look_at(self, process: Descendant, stat: Stat | None) -> None:
        """Take what is too dear for every sample."""
        if stat is not None:
            process.waited_ns = stat.waited_cpu_ns
            self._charge(process, process.earlier_read_ns)
        if process.older or process.read_ns - process.first_ns < EXEC_NS:
            return  # its mark is of another task, or of its parent
        mark, _ = process.meter.status()
        if mark is None:
            return
        if mark < process.peak and not process.replaced:
            # A mark falls by exec(2) alone: on a busy node the first program, which was its parent's, lived that long.
            process.replaced = True
            process.peak = mark
        process.peak = max(process.peak, mark)

    def _parent_in_tree(self, meter: ProcessMeter) -> int:
        """Return the parent of a process; 0 if that is not of this tree."""
        stat = meter.stat()
        inside = stat is not None and (stat.parent == self._worker.pid or stat.parent in self._processes)
        return stat.parent if stat is not None and inside else 0

    @staticmethod
    def _is_alive(process: Descendant) -> bool:
        stat = process.meter.stat()
        return stat is not None and stat.start == process.start and stat.state not in _ENDED

    def _charge(self, process: Descendant, since_ns: int) -> None:
        counted = process.cpu_ns - process.swallowed_ns
        if counted > process.charged_ns and not process.left_over:
            self.charges.append((counted - process.charged_ns, max(since_ns, self._began_ns), process.read_ns))
            process.charged_ns = counted

    def _bury(self, process: Descendant, gone: Mapping[int, Descendant]) -> None:
        """Note what a process that is gone had used, and who has it in its counters now."""
        del self._processes[process.pid]
        heir = process
        while not heir.ignored and heir.parent in gone:
            heir = gone[heir.parent]  # gone as well: what it had goes on to its own parent
        parent = self._processes.get(heir.parent)
        waited = (heir.parent == self._worker.pid or parent is not None) and not heir.ignored
        if waited and parent is not None:
            parent.swallowed_ns += process.cpu_ns
        elif waited:
            self._owed_ns -= process.cpu_ns
            self._tail_since_ns = min(self._tail_since_ns or process.read_ns, process.read_ns)
        began, last = process.io_began or NO_IO, process.io or NO_IO
        for index in range(4):
            if process.left_over:
                self._gone_io[index] -= last[index] if waited else 0
            else:
                self._gone_io[index] += (0 if waited else last[index]) - began[index]
        inherited = heir is not process and parent is None
        if waited and parent is None and not inherited:
            self._buried_ns += process.cpu_ns
        if not waited or process.older or inherited or not self._whole:
            self._gone.append(process.use(False, waited, parent is None, inherited))
        if not process.left_over:
            self._child_peak = max(self._child_peak, process.peak)
        process.meter.close()

    def _take_waited(self, stat: Stat | None, now_ns: int) -> None:
        """Charge what the worker's waited-for children used beyond what was seen of them while they lived."""
        # seldom: this time comes in ticks of 10 ms, which are much of a sample and little of a quarter of a second
        if (
            not self._whole
            or stat is None
            or (self._waited_ns is not None and now_ns < self._waited_read_ns + _WAITED_NS)
        ):
            return
        if any(p.parent == self._worker.pid and p.meter.cpu_ns() is None for p in self._processes.values()):
            return  # waited for just now: its time must not count twice
        if self._waited_ns is not None:
            self._owed_ns += stat.waited_cpu_ns - self._waited_ns
        if self._owed_ns > 0:
            # of those that were seen: what they used after they were read last
            since_ns = max(self._tail_since_ns or self._waited_read_ns, self._began_ns)
            self.charges.append((self._owed_ns, since_ns, now_ns))
            self._owed_ns = 0
        self._tail_since_ns = 0
        self._waited_ns, self._waited_read_ns = stat.waited_cpu_ns, now_ns
