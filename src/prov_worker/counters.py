"""The counters of a task, each described once: recorder, journals, crates, tables and pages go through this table.

To add a counter is to add a field to :class:`Usage`, and to read it in :mod:`prov_worker.recorder.counters`. Standard
library only: workers import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

_BLOCK_BYTES = 512


class Counter(NamedTuple):
    """One counter.

    Attributes:
        name: the attribute of :class:`Usage`, and the column in tables; it ends in the unit.
        label: its name for people, in crates and on pages.
        unit: as in :data:`prov_worker.crate.vocabulary.UNITS`.
        kind: ``int`` or ``float``.
        total: how those of many tasks become one, ``sum`` or ``max``. Such a counter is a column of the table of tasks,
            and a total on a run's page; None for one that only the crate has.
    """

    name: str
    label: str
    unit: str
    kind: str
    total: str | None

    def add(self, total: float, value: float) -> float:
        """Return the total of attempts with one more of them."""
        return max(total, value) if self.total == "max" else total + value

    @property
    def key(self) -> str:
        """Key of the counter among the totals of a crate: ``#usage-<key>``."""
        return self.name.replace("_", "-")


def _counter(
    label: str,
    unit: str,
    *,
    at: int | None = None,
    decode: Callable[[float], float | bool | None] = int,
    total: str | None = None,
) -> Any:
    """Return a field of :class:`Usage` that is a counter.

    Args:
        label: as in :class:`Counter`.
        unit: as there.
        total: as there.
        at: position of its number in the ``u`` of a journal, if it is there. Positions are never given away again:
            journals are read by other versions.
        decode: makes the value of the number in the journal.
    """
    counter = {"label": label, "unit": unit, "total": total}
    return field(default=None, metadata={"counter": counter, "at": at, "decode": decode})


def _from_us(number: float) -> float:
    return number / 1e6


def _from_kb(number: float) -> int:
    return int(number) * 1024


def _from_blocks(number: float) -> int:
    return int(number) * _BLOCK_BYTES


@dataclass(slots=True)
class Usage:
    """What a task used, as differences of the worker's counters over the task (getrusage(2), proc(5)).

    ``peak_rss_bytes`` is exact if the worker's high-water mark rose during the task (``peak_rss_exact``), else the
    largest sample, also one at the end (``peak_rss_sampled``): it was no less, and no more than the high-water mark,
    ``peak_rss_limit_bytes``. Without any sample it is the mark itself, an upper bound. ``children_cpu_*`` count
    children that the worker has waited for, without what they used before the task. ``descendants_cpu_s`` is of those
    that nobody had waited for, by their own clocks. ``earlier_cpu_s`` is of processes that were there before the task
    and ran at the moment when it began; one that rested then, as those of a pool do, counts for the task.
    ``cpu_sampled_s`` is what the agent saw of a worker that died before it could read its counters.
    ``children_peak_rss_bytes`` is the largest child's own mark (``children_peak_exact``), or the largest ``VmHWM`` or
    sample of the children that were looked at, ``tree_peak_rss_bytes`` the largest sum
    of resident memory, in which pages that processes share count for each.

    ``*_joules`` are what the agent counted: see :func:`prov_worker.agent.energy_share.apportion`.

    ``*_bytes`` went to and from storage, ``*_chars`` through system calls; both have descendants (getrusage(2),
    proc(5)), but for a task in a thread, whose ``*_chars`` are its own alone.
    """

    cpu_sampled_s: float | None = _counter("CPU time of the worker, from samples", "second")
    cpu_user_s: float | None = _counter("user CPU time of the worker", "second", at=0, decode=_from_us)
    cpu_system_s: float | None = _counter("system CPU time of the worker", "second", at=1, decode=_from_us)
    children_cpu_user_s: float | None = _counter(
        "user CPU time of waited-for children", "second", at=2, decode=_from_us
    )
    children_cpu_system_s: float | None = _counter(
        "system CPU time of waited-for children", "second", at=3, decode=_from_us
    )
    descendants_cpu_s: float | None = _counter("CPU time of descendants that nobody had waited for", "second")
    earlier_cpu_s: float | None = _counter(
        "CPU time meanwhile of processes that an earlier task left at work, in no other figure", "second"
    )
    peak_rss_bytes: int | None = field(default=None, metadata={"at": 5, "decode": _from_kb})
    peak_rss_exact: bool = field(default=False, metadata={"at": 6, "decode": bool})
    peak_rss_sampled: bool = field(default=False, metadata={"at": None})
    peak_rss_limit_bytes: int | None = _counter("upper bound of the peak, high-water mark of the worker's life", "byte")
    children_peak_rss_bytes: int | None = _counter(
        "peak resident memory of the largest child",
        "byte",
        at=4,
        decode=lambda _: None,  # of earlier releases: it was the worker's own, by way of vfork(2)
    )
    children_peak_exact: bool = field(default=False, metadata={"at": None})
    tree_peak_rss_bytes: int | None = _counter(
        "largest resident memory of the worker and its descendants together, of samples", "byte"
    )
    read_bytes: int | None = _counter("bytes read from storage", "byte", at=11, decode=_from_blocks, total="sum")
    written_bytes: int | None = _counter("bytes written to storage", "byte", at=12, decode=_from_blocks, total="sum")
    read_chars: int | None = _counter("bytes read by system calls", "byte")
    written_chars: int | None = _counter("bytes written by system calls", "byte")
    minor_faults: int | None = _counter("minor page faults", "count", at=7)
    major_faults: int | None = _counter("major page faults", "count", at=8)
    voluntary_switches: int | None = _counter("voluntary context switches", "count", at=9)
    involuntary_switches: int | None = _counter("involuntary context switches", "count", at=10)
    cpu_energy_joules: float | None = _counter(
        "energy of the node's CPUs, apportioned by the task's share of their time", "joule", total="sum"
    )
    gpu_energy_joules: float | None = _counter(
        "energy of the GPUs that the worker was given, measured", "joule", total="sum"
    )
    node_energy_joules: float | None = _counter("energy of the whole node meanwhile, measured", "joule")
    node_idle_percent: float | None = _counter("time of the node's CPUs in which they had nothing to do", "percent")

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds of the worker and its descendants during the task; None if nothing is known."""
        parts = (
            self.cpu_user_s,
            self.cpu_system_s,
            self.children_cpu_user_s,
            self.children_cpu_system_s,
            self.descendants_cpu_s,
        )
        counted = [part for part in parts if part is not None]
        return sum(counted) if counted else self.cpu_sampled_s

    @classmethod
    def from_journal(cls, numbers: Sequence[Any]) -> Usage:
        """Read the ``u`` of a journal's ``end``.

        A journal of an earlier version has fewer numbers, one of a later version more: what is missing stays unknown,
        what is not known here is left out.

        Raises:
            TypeError: a number is none.
        """
        values: dict[str, Any] = {}
        for (name, decode), number in zip(_POSITIONS, numbers, strict=False):
            if number is not None:
                if not isinstance(number, (int, float)):
                    raise TypeError(f"{name}: expected a number, got {number!r}")
                values[name] = decode(number)
        return cls(**values)


#: All counters, in the order of crates.
COUNTERS: tuple[Counter, ...] = tuple(
    Counter(name=each.name, kind=str(each.type).partition(" ")[0], **each.metadata["counter"])
    for each in fields(Usage)
    if "counter" in each.metadata
)
#: Those of the table of tasks.
COLUMNS: tuple[Counter, ...] = tuple(counter for counter in COUNTERS if counter.total is not None)
_POSITIONS: tuple[tuple[str, Callable[[float], Any]], ...] = tuple(
    (each.name, each.metadata["decode"])
    for each in sorted(fields(Usage), key=lambda each: -1 if each.metadata["at"] is None else each.metadata["at"])
    if each.metadata["at"] is not None
)
