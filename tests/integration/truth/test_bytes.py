"""Bytes that a task and its descendants read and wrote, against ``/proc/self/io`` read by the task itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import workloads

from conftest import BYTES, Measured, Run

#: What unpacking the task, importing and the recorder's own few reads and lines come to.
SLACK = 4 << 10


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytes")


@pytest.fixture(scope="module")
def tasks(run: Run, directory: Path) -> dict[str, Measured]:
    here: Callable[[str], str] = lambda name: str(directory / name)  # noqa: E731
    moved = workloads.moved
    calls: dict[str, tuple[Any, ...]] = {
        "warm": (moved, "sleep", 0.1),
        "writes": (moved, "write_file", here("a"), 8),
        "reads": (moved, "read_file", here("a"), False),
        "reads cold": (moved, "read_file", here("a"), True),
        "child writes": (moved, "child_writes", here("b"), 8),
        "orphan writes": (moved, "orphan_writes", here("c"), 8),
        "sleeps": (moved, "sleep", 0.3),
    }
    calls |= {f"quick {number}": (workloads.quick_or_writes, here("d"), 0) for number in range(20)}
    return run(calls | {"quick no more": (workloads.quick_or_writes, here("d"), 8)})


@pytest.mark.parametrize("name", ["writes", "reads", "reads cold", "child writes", "orphan writes", "sleeps"])
@pytest.mark.parametrize("key", BYTES)
def test_bytes_are_those_of_the_task_and_its_descendants(tasks: dict[str, Measured], name: str, key: str) -> None:
    task = tasks[name]
    assert key in task.crate.usage
    assert abs(task.usage(key) - task.result[BYTES[key]]) <= max(SLACK, 0.02 * task.result[BYTES[key]])


@pytest.mark.parametrize("key", BYTES)
def test_bytes_of_a_function_that_was_quick_are_true_or_absent(tasks: dict[str, Measured], key: str) -> None:
    """Characters are absent if its calls were quick, which is up to the machine."""
    task = tasks["quick no more"]
    assert key in task.crate.usage or key.endswith("-chars")
    assert key not in task.crate.usage or abs(task.usage(key) - task.result[BYTES[key]]) <= (8 << 20) // 50


def test_system_calls_and_storage_are_told_apart(tasks: dict[str, Measured]) -> None:
    reads = tasks["reads"]
    assert reads.usage("read-chars") >= 8 << 20
    assert reads.usage("read-bytes") < 1 << 20, "it was in the page cache"


def test_series_have_the_bytes_of_descendants(tasks: dict[str, Measured]) -> None:
    columns = tasks["orphan writes"].series.columns
    for column in ("written_chars", "written_bytes"):
        values = [value for value in columns[column].mean if value is not None]
        assert values == sorted(values)
    written = [value for value in columns["written_chars"].mean if value is not None]
    assert written[-1] >= 7 << 20
