"""Memory of a task, of the largest of its children and of all together, against the processes' own marks."""

from __future__ import annotations

from typing import Any

import memory_workloads
import pytest
import workloads

from conftest import Measured, Run, close

MIB = 1 << 20
#: Beside a share of 2 %: what a process gains and gives back between two readings.
#: The kernel counts pages per CPU and adds them up later (proc.rst on statm): 290 KB were seen.
SLACK = 512 << 10
CALLS: dict[str, tuple[Any, ...]] = {
    "child of a small worker": (memory_workloads.filled_children, 1, 60, 1.5),
    "large child of a moment": (memory_workloads.large_child_of_a_moment, 150),
    "grows": (memory_workloads.hold, 200, 0.6),
    "again": (memory_workloads.hold, 80, 0.8),
    "small child": (memory_workloads.filled_children, 1, 20, 1.5),
    "two children": (memory_workloads.filled_children, 2, 70, 1.5),
    "late child": (memory_workloads.late_child, 0.6, 1.5),
    "short child": (memory_workloads.short_child,),
    "smaller child of a moment": (memory_workloads.large_child_of_a_moment, 60),
    "quick": (workloads.sleep, 0),
}


@pytest.fixture(scope="module")
def tasks(run: Run) -> dict[str, Measured]:
    return run(CALLS)


def description(task: Measured) -> str:
    return str(task.crate.entities["#usage-peak-rss"]["description"])


def test_a_peak_that_rose_is_exact(tasks: dict[str, Measured]) -> None:
    task = tasks["grows"]
    assert description(task).startswith("exact")
    assert close(task.usage("peak-rss"), task.result["mark"], amount=SLACK)


def test_a_peak_below_the_mark_is_the_largest_sample(tasks: dict[str, Measured]) -> None:
    task, before = tasks["again"], tasks["grows"].result["mark"]
    assert description(task) == "largest sample: a lower bound"
    assert close(task.usage("peak-rss-limit-bytes"), before, amount=SLACK)
    assert close(task.usage("peak-rss"), task.result["resident"], amount=SLACK)
    assert task.usage("peak-rss") < before


def test_a_quick_tasks_value_is_what_its_label_says(tasks: dict[str, Measured]) -> None:
    task = tasks["quick"]
    if task.crate.series().task is None and task.crate.wall_time_s < 1e-3:
        assert description(task).startswith("upper bound")
        assert task.usage("peak-rss") >= tasks["grows"].result["mark"] - SLACK
    else:
        assert description(task).startswith("largest sample")


@pytest.mark.parametrize("name", ["child of a small worker", "small child", "two children"])
def test_the_largest_childs_peak_is_its_own(tasks: dict[str, Measured], name: str) -> None:
    """The kernel's figure for children starts with the parent's mark, 200 MiB by the second of these."""
    task = tasks[name]
    assert close(task.usage("children-peak-rss-bytes"), task.result["mark"], amount=SLACK)


@pytest.mark.parametrize("name", ["child of a small worker", "small child", "two children"])
def test_the_trees_memory_is_that_of_all_together(tasks: dict[str, Measured], name: str) -> None:
    task = tasks[name]
    assert close(task.usage("tree-peak-rss-bytes"), task.result["together"], amount=SLACK)
    assert task.usage("tree-peak-rss-bytes") > task.usage("children-peak-rss-bytes")


def test_a_childs_peak_is_that_of_its_program(tasks: dict[str, Measured]) -> None:
    """And not of what it was forked from, which it shows until exec(2)."""
    task = tasks["late child"]
    assert close(task.usage("children-peak-rss-bytes"), task.result["program"], amount=SLACK)


def child_description(task: Measured) -> str:
    return str(task.crate.entities["#usage-children-peak-rss-bytes"]["description"])


def test_the_peak_of_a_large_child_is_exact_however_short_it_lived(tasks: dict[str, Measured]) -> None:
    task = tasks["large child of a moment"]
    assert close(task.usage("children-peak-rss-bytes"), task.result["moment"], amount=SLACK)
    assert child_description(task).startswith("exact")


def test_it_is_said_that_a_child_below_the_workers_mark_may_have_had_more(tasks: dict[str, Measured]) -> None:
    """The worker had 200 MiB before, which is where the kernel's mark of its children begins."""
    task = tasks["smaller child of a moment"]
    assert task.usage("children-peak-rss-bytes") <= task.result["moment"] + SLACK
    assert "lower bound" in child_description(task)


def test_a_child_that_was_too_short_to_be_seen_has_no_peak(tasks: dict[str, Measured]) -> None:
    assert "children-peak-rss-bytes" not in tasks["short child"].crate.usage
