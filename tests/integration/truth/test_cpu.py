"""CPU time of a task and of all that it started, whoever waited for it, against the processes' own clocks."""

from __future__ import annotations

import os
from typing import Any

import pytest
import workloads

from conftest import Measured, Run, close

SECONDS = 0.6
CALLS: dict[str, tuple[Any, ...]] = {
    "warm": ("sleep", 0.2),
    "own": ("own", SECONDS),
    "threads": ("threads", SECONDS),
    "child": ("child", SECONDS),
    "grandchild": ("grandchild", SECONDS),
    "short children": ("short_children", 20),
    "forked children": ("forked_children", 10, 0.05),
    "orphan": ("orphan", SECONDS),
    "daemon": ("daemon", SECONDS),
    "forked daemon": ("forked_daemon", SECONDS),
    "ignored": ("ignored", SECONDS),
    "new pool": ("pool", "spawned", "spawn", SECONDS),
    "pool again": ("pool", "spawned", "spawn", SECONDS),
    "pool at rest": ("sleep", 0.5),
    "end of pool": ("end_pool", "spawned"),
    "forkserver": ("pool", "served", "forkserver", SECONDS),
    "forkserver again": ("pool", "served", "forkserver", SECONDS),
    "end of forkserver": ("end_pool", "served"),
    "terminated pool": ("terminated_pool", SECONDS),
    "left child": ("leave_child", 3.0, 0.8),
    "beside it": ("sleep_beside_child", 0.8),
    "reaps it": ("reap_child",),
}
#: The child's time beside these is its own task's; it is compared below.
BESIDE = {"beside it", "reaps it"}


@pytest.fixture(scope="module")
def tasks(run: Run) -> dict[str, Measured]:
    return run(CALLS)


def counters_are_right(task: Measured) -> bool:
    """Whether the crate says that its samples are off, as they may be on a busy machine."""
    return any("counters are right" in note for note in task.crate.notes)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in BESIDE])
def test_all_cpu_time_is_the_tasks_that_used_it(tasks: dict[str, Measured], name: str) -> None:
    task = tasks[name]
    expected = task.result["self_s"] + task.result["below_s"] + task.result.get("reported_s", 0.0)
    assert close(task.usage("cpu"), expected), task.crate.usage


@pytest.mark.parametrize("name", CALLS)
def test_samples_agree_with_counters_or_the_crate_says_so(tasks: dict[str, Measured], name: str) -> None:
    task = tasks[name]
    if task.crate.series().task is None:
        assert task.crate.wall_time_s < 1
        return
    agree = close(task.sampled_cpu_s(), task.usage("cpu"), amount=0.021)
    assert agree != counters_are_right(task)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_above_what_there_is(tasks: dict[str, Measured], name: str) -> None:
    task = tasks[name]
    assert task.usage("cpu") <= task.crate.wall_time_s * (os.cpu_count() or 1) + 0.02
    assert task.usage("cpu-max") <= 100 * (os.cpu_count() or 1)
    if "cpu-mean" in task.crate.usage and not counters_are_right(task):
        # The mean is over the time that samples stand for, which may end before a quick task does.
        values = task.series.columns["cpu_percent"].mean
        sampled_s = max(at for at, value in zip(task.series.offset_s, values, strict=True) if value is not None)
        assert close(task.usage("cpu-mean") / 100 * sampled_s, task.usage("cpu"), share=0.03, amount=0.021)


def test_a_child_that_outlives_its_task_is_not_the_next_ones(tasks: dict[str, Measured]) -> None:
    beside = tasks["beside it"]
    assert beside.usage("cpu") <= beside.result["self_s"] + 0.02
    assert close(beside.usage("earlier-cpu-s"), beside.result["beside_s"])
    reaps = tasks["reaps it"]
    # all three seconds of the child are in the counters of the worker by now
    assert reaps.usage("cpu") <= reaps.result["self_s"] + 0.05
    assert reaps.usage("cpu") <= reaps.crate.wall_time_s + 0.02


def test_a_function_that_was_quick_counts_its_children_once_it_is_not(run: Run) -> None:
    calls = {f"quick {number}": (workloads.quick_or_child, 0) for number in range(30)}
    tasks = run({**calls, "slow": (workloads.quick_or_child, SECONDS), "after": ("sleep", 0.3)})
    slow, after = tasks["slow"], tasks["after"]
    assert close(slow.usage("cpu"), slow.result["self_s"] + slow.result["below_s"])
    assert slow.result["below_s"] >= SECONDS
    assert after.usage("cpu") <= after.result["self_s"] + 0.02
