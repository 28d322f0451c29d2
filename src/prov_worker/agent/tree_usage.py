"""Joins a worker's own counters with what was seen of its descendants: what one task used, no more and no less.

A worker's counters have the children that it has waited for, with all that these used in their lives (getrusage(2)). So
what a child used before the task is taken off, and what descendants used that nobody has waited for is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from prov_worker.agent.process_meter import Io
from prov_worker.agent.process_use import ProcessUse, TreeUse
from prov_worker.counters import Usage
from prov_worker.humanize import plural
from prov_worker.model import Column, Series

#: Entries of a journal's ``kin`` beyond those of earlier releases.
_MORE_OF_KIN = 9
_CHARS = ("read_chars", "written_chars")
_BYTES = ("read_bytes", "written_bytes")
#: The last sample of a task is no more intervals than these before its end.
_LONGEST_TAIL = 4
#: Children that came and went unseen did so since the last look, or a little before.
_LATE_S = 0.25
#: Counters and samples agree if they differ by no more than this share, or so many seconds.
_AGREE, _AGREE_S = 0.02, 0.02
#: A process that took less between its last two looks has hardly taken much after them.
_AT_REST_NS = 2_000_000
#: Counters of waited-for children are in whole microseconds; no clock was ahead of them.
_ROUNDED_NS = 500_000


class _Seen(NamedTuple):
    """What the worker saw of one descendant: ns of CPU time, and bytes.

    ``whole`` if the times have what children took that it had waited for; else ``waited_ns`` is that, at some moment
    before the task began. ``came_ns`` is what children took that it waited for during the task.
    """

    begun_ns: int | None = None
    ended_ns: int | None = None
    ran: bool = False
    whole: bool = False
    waited_ns: int = 0
    came_ns: int = 0
    begun_io: Io | None = None
    ended_io: Io | None = None

    @classmethod
    def of(cls, entry: Sequence[Any]) -> _Seen:
        """Read an entry of a journal's ``kin``."""
        begun, ended, ran, waited_ns, *more = entry[1:]
        begun_ns = None if begun is None else begun + waited_ns
        if len(more) < _MORE_OF_KIN:
            return cls(begun_ns, ended, bool(ran), False, waited_ns)
        ended_ns = None if ended is None else ended + (more[0] or 0)
        before, after = more[1:5], more[5:9]
        return cls(
            begun_ns,
            ended_ns,
            bool(ran),
            True,
            waited_ns,
            0 if ended is None else (more[0] or 0) - waited_ns,
            None if None in before else Io(*before),
            None if None in after else Io(*after),
        )


_UNSEEN = _Seen()


def account(usage: Usage, seen: Iterable[Sequence[Any]], tree: TreeUse | None, end_ns: int) -> list[str]:
    """Complete the counters of a task.

    Args:
        usage: the worker's own; changed in place.
        seen: what the worker saw of its descendants: id, ns of CPU time at the start and at the end (None: it was not
            there), whether it ran at the moment of the start, ns of children that it had waited for at the start and
            at the end, four numbers of bytes at the start and at the end. Those of earlier releases have five entries,
            the last of them at some moment before the start.
        tree: what the agent saw; None if it saw nothing of the task.
        end_ns: when the task ended, CLOCK_MONOTONIC.

    Returns:
        Notes on what is not known.
    """
    clocks = {entry[0]: _Seen.of(entry) for entry in seen}
    processes = {process.pid: process for process in tree.processes} if tree is not None else {}
    added_ns = earlier_ns = before_ns = before_others_ns = 0
    io = [0, 0, 0, 0]
    unread = sampled = cut = 0
    uncounted = usage.children_cpu_user_s is None  # of a thread beside others: the kernel counts for the process
    orphans, swallowed = _orphans(usage, tree), _swallowed(clocks, tree)
    for pid in {**clocks, **processes}:
        process = processes.get(pid)
        waited = process is not None and ((process.waited and pid not in orphans) or pid in swallowed)
        seen_of = clocks.get(pid, _UNSEEN)
        ended = seen_of.ended_ns
        begun_ns = seen_of.begun_ns or 0
        if process is not None and (seen_of.begun_ns is None or not seen_of.whole):
            begun_ns = process.began_ns
        left_over = seen_of.ran or (process is not None and process.left_over)
        began_io, ended_io = _io_of(seen_of, process, end_ns)
        if ended is not None:
            if not seen_of.whole:
                ended += process.waited_ns if process is not None else seen_of.waited_ns
        elif process is not None and process.alive:
            ended = process.cpu_at(end_ns)
        elif process is not None and (uncounted or not waited):
            ended = process.cpu_ns
            sampled += waited
            cut += not (waited or left_over) and process.cpu_ns > max(begun_ns, process.earlier_ns) + _AT_REST_NS
        if ended is not None:
            used_ns = max(0, ended - begun_ns)
            if left_over:
                earlier_ns += used_ns
            else:
                added_ns += used_ns
                unread += not _add(io, began_io, ended_io)
            continue
        if left_over and process is not None:
            earlier_ns += max(0, process.cpu_ns - begun_ns)
            begun_ns = process.cpu_ns  # waited for in the end: all of it is in its parent's counters
            began_io = process.io or began_io
        _take_off(io, began_io)
        if process is None or (process.by_worker and pid not in swallowed):
            before_ns += begun_ns
        else:
            before_others_ns += begun_ns
    if clocks or processes:
        usage.descendants_cpu_s = max(0, added_ns - before_others_ns) / 1e9
        usage.earlier_cpu_s = earlier_ns / 1e9 if earlier_ns else None
    _take_off_children(usage, before_ns / 1e9)
    for number, name in enumerate((*_CHARS, *_BYTES)):
        value = getattr(usage, name)
        if value is not None:
            setattr(usage, name, max(0, value + io[number]))
    _take_peak(usage, clocks, tree)
    if tree is not None and tree.peak_rss_bytes and tree.most is None:
        own = usage.peak_rss_bytes if usage.peak_rss_exact else None
        usage.tree_peak_rss_bytes = max(tree.peak_rss_bytes, own or 0)
    notes = []
    if tree is not None and tree.most is not None:
        notes.append(
            f"There were more than {tree.most} descendants at once. The others were not looked at: the memory of all "
            "together is not known, and what they used is in no total unless somebody waited for them."
        )
    if cut:
        notes.append(
            f"Of processes that nobody had waited for, {cut} worked until the end, which no look fell into: what they "
            "did after the last one is in no total."
        )
    if unread:
        notes.append(
            f"Bytes that {plural(unread, 'descendant')} read and wrote could not be read, and are in no total."
        )
    if uncounted and usage.cpu_user_s is not None and (sampled or (tree is not None and tree.descendants)):
        notes.append(
            "Other tasks ran in this process meanwhile, so what children used is known from samples alone: children "
            "that came and went between two looks are in no total."
        )
    return notes


def _take_peak(usage: Usage, clocks: Mapping[int, _Seen], tree: TreeUse | None) -> None:
    """Say what the largest child had: by its mark, unless that may be of an earlier task, or as it was seen."""
    mark, seen = usage.children_peak_rss_bytes, tree.child_peak_rss_bytes if tree is not None else None
    older = any(process.older and not process.alive for process in (tree.processes if tree is not None else ()))
    older = older or any(clock.begun_ns is not None and clock.ended_ns is None for clock in clocks.values())
    usage.children_peak_exact = mark is not None and not older and mark >= (seen or 0)
    if not usage.children_peak_exact:
        usage.children_peak_rss_bytes = seen


def _orphans(usage: Usage, tree: TreeUse | None) -> set[int]:
    """Return those, gone with their parent, that nobody can have waited for: the worker's counters lack their time."""
    user_s, system_s = usage.children_cpu_user_s, usage.children_cpu_system_s
    if tree is None or user_s is None or system_s is None:
        return set()
    left_ns = int((user_s + system_s) * 1e9) + _ROUNDED_NS - tree.waited_ns
    orphans = set()
    for process in sorted(tree.processes, key=lambda process: process.cpu_ns):
        if process.inherited and process.waited and process.cpu_ns > left_ns:
            orphans.add(process.pid)
        elif process.inherited and process.waited:
            left_ns -= process.cpu_ns
    return orphans


def _swallowed(clocks: Mapping[int, _Seen], tree: TreeUse | None) -> set[int]:
    """Return those, gone together with their parent, whose time is in that one's, as the worker read it at the end."""
    left_ns = {pid: seen.came_ns + int(_AGREE_S * 1e9) for pid, seen in clocks.items() if seen.came_ns > 0}
    swallowed = set()
    for process in tree.processes if tree is not None else ():
        if process.inherited and process.cpu_ns <= left_ns.get(process.parent, 0):
            left_ns[process.parent] -= process.cpu_ns
            swallowed.add(process.pid)
    return swallowed


def close_series(series: Series | None, usage: Usage, wall_time_s: float, cpus: int) -> str | None:
    """Add the last part of a task to its samples of CPU use: what its counters have beyond them.

    The last sample is up to an interval before the end, and children that came and went between two looks are in the
    counters alone.

    Args:
        series: samples of the task; a row is added to them.
        usage: the task's counters.
        wall_time_s: seconds that it took.
        cpus: CPUs of the node: more than these cannot be used.

    Returns:
        A note if counters and samples differ still; None if they agree.
    """
    column = series.columns.get("cpu_percent") if series is not None else None
    if series is None or column is None or not series.offset_s or usage.cpu_s is None or column.interval_s is not None:
        return None
    sampled_s, before_s = 0.0, 0.0
    for offset_s, percent in zip(series.offset_s, column.mean, strict=True):
        if percent is not None:
            sampled_s += (offset_s - before_s) * percent / 100
            before_s = offset_s
    left_s, missing_s = wall_time_s - before_s, usage.cpu_s - sampled_s
    if 0 < left_s <= _LONGEST_TAIL * series.interval_s and missing_s >= 0:
        last = next(value for value in reversed(column.mean) if value is not None)
        tail_s = min(missing_s, left_s * max(last, 100) / 100)
        missing_s -= tail_s
        _append(series, column, round(wall_time_s, 4), 100 * tail_s / left_s)
    if missing_s > 0:
        missing_s -= _raise(series, column, missing_s, 100 * cpus)
    if abs(missing_s) <= max(_AGREE * usage.cpu_s, _AGREE_S):
        return None
    return (
        f"Samples of CPU use make {sampled_s:.3f} s, counters {usage.cpu_s:.3f} s: the counters are right; samples "
        "miss what children used that came and went between two looks, or count it late."
    )


def _append(series: Series, percent: Column, offset_s: float, value: float) -> None:
    if offset_s <= series.offset_s[-1]:
        return
    series.offset_s.append(offset_s)
    for column in series.columns.values():
        added = round(value, 2) if column is percent else None
        for values in (column.mean, column.low, column.high):
            if values is not None:
                values.append(added)


def _raise(series: Series, percent: Column, missing_s: float, most: float) -> float:
    """Add CPU time to the last samples, evenly over the time between two looks; gives what was added."""
    first = len(series) - 1
    while first > 0 and series.offset_s[-1] - series.offset_s[first - 1] < _LATE_S:
        first -= 1
    start_s = series.offset_s[first - 1] if first else 0.0
    added = 100 * missing_s / max(series.offset_s[-1] - start_s, 1e-9)
    room_s, before_s = 0.0, start_s
    for number in range(first, len(series)):
        value, offset_s = percent.mean[number], series.offset_s[number]
        if value is not None:
            raised = max(value, min(most, value + added))
            room_s += (raised - value) / 100 * (offset_s - before_s)
            percent.mean[number] = round(raised, 2)
            if percent.high is not None and percent.high[number] is not None:
                percent.high[number] = max(percent.high[number] or 0, round(raised, 2))
            before_s = offset_s
    return room_s


def _take_off_children(usage: Usage, before_s: float) -> None:
    """Take off the waited-for children what they used before the task, of user and system time in equal parts."""
    user_s, system_s = usage.children_cpu_user_s, usage.children_cpu_system_s
    if not before_s or user_s is None or system_s is None or user_s + system_s <= 0:
        return
    kept = max(0.0, 1 - before_s / (user_s + system_s))
    usage.children_cpu_user_s, usage.children_cpu_system_s = round(user_s * kept, 6), round(system_s * kept, 6)


def _io_of(seen: _Seen, process: ProcessUse | None, end_ns: int) -> tuple[Io | None, Io | None]:
    """Return bytes of a descendant at the task's start and end, as the worker read them, else as the agent did."""
    if process is None and not seen.whole:
        return Io(), Io()  # an earlier release did not look
    began = seen.begun_io
    if began is None and process is not None:
        began = process.io_began
    elif began is None and seen.begun_ns is None:
        began = Io()
    ended = seen.ended_io
    if ended is None and process is not None:
        ended = process.io_at(end_ns) if process.alive else process.io
    return began, ended


def _add(io: list[int], began: Io | None, ended: Io | None) -> bool:
    if began is None or ended is None:
        return False
    for number, (first, last) in enumerate(zip(began, ended, strict=True)):
        io[number] += max(0, last - first)
    return True


def _take_off(io: list[int], began: Io | None) -> None:
    for number, value in enumerate(began or Io()):
        io[number] -= value
