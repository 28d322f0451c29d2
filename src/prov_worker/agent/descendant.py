"""One descendant of a worker: what is read of it, look by look."""

from __future__ import annotations

from prov_worker.agent.process_meter import Io, ProcessMeter
from prov_worker.agent.process_use import ProcessUse

#: A process is younger than its exec(2) for a moment, and then shows the memory of its parent (vfork(2)).
EXEC_NS = 100_000_000
#: A reading sooner after another takes its place: of the last two, one is to be from before the task's end.
APART_NS = 4_000_000
NO_IO = Io()


class Descendant:
    """One descendant under watch.

    Args:
        pid: process id.
        parent: id of its parent.
        start: its start, clock ticks since boot.
        mono_ns: now (CLOCK_MONOTONIC).
    """

    __slots__ = (
        "began_ns",
        "charged_ns",
        "clock_ns",
        "earlier_io",
        "earlier_ns",
        "earlier_read_ns",
        "first_ns",
        "ignored",
        "io",
        "io_began",
        "left_over",
        "meter",
        "older",
        "parent",
        "peak",
        "pid",
        "read_ns",
        "replaced",
        "rss",
        "start",
        "swallowed_ns",
        "waited_ns",
    )

    def __init__(self, pid: int, parent: int, start: int, mono_ns: int) -> None:
        self.meter = ProcessMeter(pid)
        self.pid, self.parent, self.start = pid, parent, start
        self.first_ns = self.read_ns = self.earlier_read_ns = mono_ns
        self.clock_ns = self.waited_ns = self.earlier_ns = self.began_ns = self.charged_ns = self.swallowed_ns = 0
        self.io: Io | None = None
        self.earlier_io: Io | None = NO_IO
        self.io_began: Io | None = NO_IO
        self.older = self.left_over = self.ignored = self.replaced = False
        self.rss = self.peak = 0

    @property
    def cpu_ns(self) -> int:
        """CPU time of the process and of children that it has waited for."""
        return self.clock_ns + self.waited_ns

    def read(self, mono_ns: int) -> bool:
        """Read clock, memory and bytes; false if it is gone."""
        clock_ns = self.meter.cpu_ns()
        if clock_ns is None:
            return False
        if mono_ns - self.read_ns >= APART_NS:
            self.earlier_ns, self.earlier_read_ns, self.earlier_io = self.cpu_ns, self.read_ns, self.io
        self.clock_ns, self.read_ns = clock_ns, mono_ns
        io = self.meter.io()
        self.io = io if io is not None else self.io
        if mono_ns - self.first_ns >= EXEC_NS:
            self.rss = self.meter.rss_bytes() or 0
            self.peak = max(self.peak, self.rss)
        return True

    def use(self, alive: bool, waited: bool, by_worker: bool = True, inherited: bool = False) -> ProcessUse:
        """Return its readings; the arguments are fields of :class:`ProcessUse`."""
        return ProcessUse(
            self.pid,
            self.older,
            self.left_over,
            alive,
            waited,
            by_worker,
            self.began_ns,
            self.cpu_ns,
            self.waited_ns,
            self.read_ns,
            self.earlier_ns,
            self.earlier_read_ns,
            self.io_began,
            self.io,
            self.earlier_io,
            inherited,
            self.parent,
        )
