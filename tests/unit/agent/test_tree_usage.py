"""A worker's counters and its descendants' clocks, joined: each second counts once, and for the task that used it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from prov_worker.agent.process_meter import Io
from prov_worker.agent.process_use import ProcessUse, TreeUse
from prov_worker.agent.tree_usage import account, close_series
from prov_worker.counters import Usage
from prov_worker.model import Column, Series

S = 1_000_000_000


def process(pid: int = 7, **fields: Any) -> ProcessUse:
    alive = ProcessUse(
        pid=pid,
        older=False,
        left_over=False,
        alive=True,
        waited=False,
        by_worker=True,
        began_ns=0,
        cpu_ns=2 * S,
        waited_ns=0,
        read_ns=10 * S,
        earlier_ns=S,
        earlier_read_ns=8 * S,
        io_began=Io(),
        io=Io(10, 20, 30, 40),
    )
    return dataclasses.replace(alive, **fields)


def row(
    begun_ns: int | None,
    ended_ns: int | None,
    waited: tuple[int, int] = (0, 0),
    written: tuple[int, int] = (0, 0),
    *,
    pid: int = 7,
    ran: int = 0,
) -> list[Any]:
    """What a worker notes of one descendant: its own time, that of children it waited for, and what it wrote."""
    io = [
        [None] * 4 if ns is None else [0, chars, 0, 0] for ns, chars in zip((begun_ns, ended_ns), written, strict=True)
    ]
    return [pid, begun_ns, ended_ns, ran, *waited, *io[0], *io[1]]


def usage(children_s: float = 0.0) -> Usage:
    return Usage(
        cpu_user_s=1.0,
        cpu_system_s=0.0,
        children_cpu_user_s=children_s * 0.75,
        children_cpu_system_s=children_s * 0.25,
        read_bytes=0,
        written_bytes=100,
        read_chars=0,
        written_chars=100,
    )


@pytest.mark.parametrize(
    "seen, use, children_s, cpu_s, earlier_s",
    [
        pytest.param([], None, 0, 1, None, id="no descendants"),
        pytest.param([], process(), 0, 3, None, id="it lives on"),
        pytest.param([[7, None, S, 0, 0]], process(), 0, 2, None, id="the worker saw its clock at the end"),
        pytest.param([[7, S // 2, S, 0, 0]], process(began_ns=S // 2, older=True), 0, 1.5, None, id="of a pool"),
        pytest.param(
            [[7, S // 2, S, 1, 0]], process(began_ns=S // 2, older=True, left_over=True), 0, 1, 0.5, id="left at work"
        ),
        pytest.param([], process(alive=False, earlier_ns=2 * S), 0, 3, None, id="nobody waited for it"),
        pytest.param([], process(alive=False, waited=True), 2, 3, None, id="waited for"),
        pytest.param(
            [[7, S, None, 0, 0]], process(alive=False, waited=True, older=True, began_ns=S), 2, 2, None, id="older"
        ),
        pytest.param([[7, 2 * S, None, 0, 0]], None, 2, 1, None, id="older, in a task that no look fell into"),
        pytest.param(
            [[7, S, None, 1, 0]],
            process(alive=False, waited=True, older=True, left_over=True, began_ns=S),
            2,
            1,
            1,
            id="left at work, and waited for",
        ),
    ],
)
def test_cpu_time(seen: list[Any], use: ProcessUse | None, children_s: float, cpu_s: float, earlier_s: Any) -> None:
    counted = usage(children_s)
    tree = TreeUse([use], 0, None, 1) if use is not None else None
    assert account(counted, seen, tree, 10 * S) == []
    assert counted.cpu_s == pytest.approx(cpu_s)
    assert counted.earlier_cpu_s == earlier_s


def test_what_a_server_waited_for_counts_once() -> None:
    """A process of a pool ends, and its time goes to the server that forked it, which the worker has not waited for."""
    server = process(8, began_ns=S, older=True, cpu_ns=4 * S, waited_ns=3 * S)
    member = process(7, alive=False, waited=True, by_worker=False, older=True, began_ns=2 * S)
    counted = usage()
    account(counted, [[7, 2 * S, None, 0, 0], [8, S, S, 0, 0]], TreeUse([server, member], 0, None, 2), 10 * S)
    assert counted.descendants_cpu_s == pytest.approx(1)


def test_time_after_the_end_is_not_the_tasks() -> None:
    """One second was used in the two between the last looks; the task ended in their middle."""
    counted = usage()
    account(counted, [], TreeUse([process()], 0, None, 1), 9 * S)
    assert counted.descendants_cpu_s == pytest.approx(1.5)


def test_a_process_that_came_after_the_end_is_the_next_tasks() -> None:
    """The agent comes late, and finds a child of the task that has begun meanwhile."""
    counted = usage()
    late = process(earlier_ns=0, earlier_io=Io())
    account(counted, [], TreeUse([late], 0, None, 1), 7 * S)
    assert counted.cpu_s == 1
    assert (counted.written_chars, counted.written_bytes) == (100, 100)


def test_bytes_of_those_that_live_on_are_added() -> None:
    counted = usage()
    account(counted, [], TreeUse([process(io_began=Io(1, 2, 3, 4))], 0, None, 1), 10 * S)
    assert (counted.read_chars, counted.written_chars) == (9, 118)
    assert (counted.read_bytes, counted.written_bytes) == (27, 136)


def test_bytes_that_cannot_be_read_are_noted() -> None:
    counted = usage()
    (note,) = account(counted, [], TreeUse([process(io=None)], 0, None, 1), 10 * S)
    assert "Bytes that 1 descendant read" in note
    assert counted.written_bytes == 100


def series_of(*percents: float) -> Series:
    offsets = [0.05 * (number + 1) for number in range(len(percents))]
    return Series(
        0.05,
        offsets,
        {"cpu_percent": Column("percent", list(percents)), "rss_bytes": Column("byte", [1.0] * len(percents))},
    )


def test_the_last_part_of_a_task_is_what_its_counters_have_more() -> None:
    series = series_of(100, 100)
    assert close_series(series, Usage(cpu_user_s=0.12, cpu_system_s=0.0), 0.13, 2) is None
    assert series.offset_s == [0.05, 0.1, 0.13]
    assert series.columns["cpu_percent"].mean == [100, 100, pytest.approx(66.67)]
    assert series.columns["rss_bytes"].mean[-1] is None


def test_what_came_and_went_unseen_is_shared_out_over_the_last_looks() -> None:
    series = series_of(0, 0, 0, 0)
    assert close_series(series, Usage(cpu_user_s=0.1, cpu_system_s=0.0), 0.2, 2) is None
    assert series.columns["cpu_percent"].mean == [50, 50, 50, 50]


@pytest.mark.parametrize("cpu_s", [0.05, 3.0])
def test_counters_that_samples_cannot_meet_are_noted(cpu_s: float) -> None:
    note = close_series(series_of(100, 100), Usage(cpu_user_s=cpu_s, cpu_system_s=0.0), 0.1, 2)
    assert note is not None
    assert "counters are right" in note


def test_samples_without_cpu_are_left_as_they_are() -> None:
    series = Series(0.05, [0.05], {"rss_bytes": Column("byte", [1.0])})
    assert close_series(series, Usage(cpu_user_s=1.0, cpu_system_s=0.0), 1, 2) is None
    assert close_series(None, Usage(cpu_user_s=1.0, cpu_system_s=0.0), 1, 2) is None
    assert len(series) == 1


def cpu_of(seen: list[Any], *processes: ProcessUse, children_s: float = 0.0, waited_ns: int = 0) -> float:
    counted = usage(children_s)
    account(counted, seen, TreeUse(list(processes), 0, None, len(processes), waited_ns), 9 * S)
    assert counted.cpu_s is not None
    return counted.cpu_s - 1  # without the worker's own second


def test_children_that_a_pool_waited_for_after_the_task_are_not_its() -> None:
    late = process(older=True, began_ns=S, cpu_ns=6 * S, waited_ns=4 * S)
    assert cpu_of([row(S, 2 * S, (0, 0))], late) == 1
    assert cpu_of([row(S, 2 * S, (0, 4 * S))], late) == 5


def test_children_that_a_pool_waited_for_before_the_task_are_not_its() -> None:
    stale = process(older=True, began_ns=S, cpu_ns=6 * S, waited_ns=4 * S)
    assert cpu_of([row(S, 2 * S, (4 * S, 4 * S))], stale) == 1


def test_bytes_are_those_between_the_workers_own_readings() -> None:
    counted = usage()
    late = process(older=True, io_began=Io(0, 500, 0, 0), io=Io(0, 900, 0, 0), earlier_io=Io(0, 500, 0, 0))
    account(counted, [row(0, 0, written=(500, 700))], TreeUse([late], 0, None, 1), 9 * S)
    assert counted.written_chars == 300


def test_who_was_killed_together_with_its_parent_has_left_its_time_to_nobody() -> None:
    killed = process(alive=False, waited=True, inherited=True, parent=6, cpu_ns=2 * S)
    assert cpu_of([], killed, children_s=0.1, waited_ns=S // 10) == pytest.approx(2.1)
    assert cpu_of([], killed, children_s=2.1, waited_ns=S // 10) == pytest.approx(2.1)


def test_an_older_one_that_its_parent_waited_for_is_taken_off_that_parent() -> None:
    child = process(alive=False, inherited=True, parent=6, older=True, began_ns=2 * S, cpu_ns=2 * S)
    parent = process(6, alive=False, older=True, cpu_ns=0)
    assert cpu_of([row(2 * S, None), row(0, 0, (0, 2 * S), pid=6)], child, parent) == 0


def test_it_is_said_that_the_end_of_a_process_was_not_seen() -> None:
    busy = process(alive=False)
    assert any("nobody had waited" in note for note in account(usage(), [], TreeUse([busy], 0, None, 1), 9 * S))
    rests = process(alive=False, earlier_ns=2 * S)
    assert account(usage(), [], TreeUse([rests], 0, None, 1), 9 * S) == []


def test_memory_of_more_than_are_looked_at_is_not_known() -> None:
    counted = usage()
    (note,) = account(counted, [], TreeUse([process()], 5 << 20, None, 1, 0, 256), 9 * S)
    assert "more than 256 descendants" in note
    assert counted.tree_peak_rss_bytes is None
    account(counted, [], TreeUse([process()], 5 << 20, None, 1), 9 * S)
    assert counted.tree_peak_rss_bytes == 5 << 20


def test_a_zombie_at_the_start_of_a_task_is_no_part_of_it() -> None:
    gone = process(alive=False, waited=True, inherited=True, cpu_ns=2 * S, read_ns=S)
    later = gone.since(3 * S, S, False)
    assert later.older
    assert later.began_ns == later.cpu_ns == 2 * S
    assert not later.waited, "its parent was gone"
    assert process(alive=False, waited=True, read_ns=S).since(3 * S, S, False).waited, "its parent is the worker"
