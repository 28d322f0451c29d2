"""What a worker's process tree used during one task, as readings of its processes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prov_worker.agent.process_meter import Io


@dataclass(slots=True)
class ProcessUse:
    """What one descendant had used when a task began, and at the last two looks at it within the task.

    Attributes:
        pid: process id.
        older: it was there before the task.
        left_over: it ran at the moment when the task began, so it is at work for an earlier one.
        alive: it was there when the task had ended.
        waited: it is gone, and its parent has waited for it: the parent's counters have it.
        by_worker: the worker was that parent, or the parent of it that lives on.
        began_ns: CPU time when the task began, of the process and the children that it had waited for.
        cpu_ns: the same at the last look, which was at ``read_ns`` (CLOCK_MONOTONIC); of it ``waited_ns`` of children.
        earlier_ns, earlier_read_ns: the same at the look before.
        io_began, io: bytes; None if they could not be read.
        earlier_io: the same at the look before the last.
        inherited: it was gone together with its parent, which may have waited for it or not.
        parent: process id of that.
    """

    pid: int
    older: bool
    left_over: bool
    alive: bool
    waited: bool
    by_worker: bool
    began_ns: int
    cpu_ns: int
    waited_ns: int
    read_ns: int
    earlier_ns: int
    earlier_read_ns: int
    io_began: Io | None
    io: Io | None
    earlier_io: Io | None = None
    inherited: bool = False
    parent: int = 0

    def since(self, mono_ns: int, began_ns: int, ran: bool) -> ProcessUse:
        """Return the same for a later task, that began before the process was gone.

        Args:
            mono_ns: when that task began, CLOCK_MONOTONIC.
            began_ns: its CPU time when that task began.
            ran: whether it ran at that moment.
        """
        last_ns = max(self.cpu_ns, began_ns)
        if self.read_ns <= mono_ns:
            began_ns = last_ns
        return replace(
            self,
            older=True,
            left_over=ran,
            # a zombie then, whose parent was gone: that one has not waited for it
            waited=self.waited and not self.inherited,
            inherited=False,
            began_ns=began_ns,
            cpu_ns=last_ns,
            io_began=self.io,
        )

    def cpu_at(self, mono_ns: int) -> int:
        """Return CPU time at a moment between the last two looks, as if it had been used evenly."""
        return self.earlier_ns + int((self.cpu_ns - self.earlier_ns) * self._share(mono_ns))

    def io_at(self, mono_ns: int) -> Io | None:
        """Return bytes at a moment between the last two looks, likewise."""
        if self.io is None or self.earlier_io is None:
            return self.io
        share = self._share(mono_ns)
        return Io(*(a + int((b - a) * share) for a, b in zip(self.earlier_io, self.io, strict=True)))

    def _share(self, mono_ns: int) -> float:
        """Return the passed part of the time between the last two looks; a later process has used nothing."""
        if mono_ns >= self.read_ns:
            return 1.0
        return max(0, mono_ns - self.earlier_read_ns) / max(self.read_ns - self.earlier_read_ns, 1)


@dataclass(slots=True)
class TreeUse:
    """What the agent saw of a worker's process tree during one task.

    Attributes:
        processes: descendants that the worker's counters do not have, or have for more than the task.
        peak_rss_bytes: largest total of the tree at one sample; pages that processes share count for each of them.
        child_peak_rss_bytes: largest resident memory of one descendant, of its own ``VmHWM`` or of samples.
        descendants: how many were seen.
        waited_ns: CPU time, as far as it was seen, of those that the worker itself has waited for.
        most: how many were looked at, if there were more at once; None if all were.
    """

    processes: list[ProcessUse]
    peak_rss_bytes: int | None = None
    child_peak_rss_bytes: int | None = None
    descendants: int = 0
    waited_ns: int = 0
    most: int | None = None
