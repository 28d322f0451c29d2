"""Tasks that follow each other at once, while their crates are written: what one used is none of the next one's.

Until the agent looks, what processes of a pool did for one task and what they do for the next are in the same counters.
"""

from __future__ import annotations

from typing import Any

import pytest
import workloads

from conftest import BYTES, Measured, Run, close

ROUNDS = 4
#: A waited-for child's time is known in ticks of 10 ms, its user and system time each.
TICKS_S = 0.022


@pytest.fixture(scope="module")
def tasks(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    path = tmp_path_factory.mktemp("pool") / "file"
    calls: dict[str, tuple[Any, ...]] = {"warm": ("sleep", 0.2)}
    for number in range(ROUNDS):
        calls |= {
            f"pool runs a program {number}": ("programs_of_pool", "programs", 0.2 + 0.01 * number),
            f"no pause after it {number}": ("sleep", 0.02),
            f"longer {number}": ("programs_of_pool", "programs", 0.3),
            f"shorter {number}": ("programs_of_pool", "programs", 0.05),
            f"pool writes {number}": (workloads.pool_writes, "writes", str(path), 8),
            f"no pause after that {number}": ("moved", "sleep", 0.01 * number),
            f"pool of programs ends {number}": ("end_pool", "programs"),
            f"child after the pool {number}": ("child", 0.2),
            f"killed group {number}": ("killed_group", 0.3),
            f"child after the group {number}": ("child", 0.25),
        }
    return run(calls, write="background")


NAMES = (
    "pool runs a program",
    "no pause after it",
    "longer",
    "shorter",
    "pool of programs ends",
    "child after the pool",
    "child after the group",
)


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("name", NAMES)
def test_cpu_time_is_that_of_the_task_that_used_it(tasks: dict[str, Measured], name: str, number: int) -> None:
    task = tasks[f"{name} {number}"]
    expected = task.result["self_s"] + task.result["below_s"] + task.result.get("reported_s", 0.0)
    assert close(task.usage("cpu"), expected, amount=TICKS_S), task.crate.usage


@pytest.mark.parametrize("number", range(ROUNDS))
def test_what_was_killed_with_its_parent_is_counted_until_the_last_look(
    tasks: dict[str, Measured], number: int
) -> None:
    task = tasks[f"killed group {number}"]
    expected = task.result["self_s"] + task.result["below_s"] + task.result["reported_s"]
    noted = any("nobody had waited for" in note for note in task.crate.notes)
    assert noted or close(task.usage("cpu"), expected, amount=TICKS_S), task.crate.usage
    assert task.usage("cpu") <= expected + TICKS_S


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("key", ["written-chars", "written-bytes"])
def test_bytes_are_those_of_the_task_that_wrote_them(tasks: dict[str, Measured], key: str, number: int) -> None:
    writes, after = tasks[f"pool writes {number}"], tasks[f"no pause after that {number}"]
    assert abs(writes.usage(key) - writes.result["io"][BYTES[key]]) <= 0.02 * (8 << 20)
    assert after.usage(key) <= 16 << 10
