"""Workers and cores: what Parsl's own worker binds itself to on a node of each site."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from parsl.executors.high_throughput import process_worker_pool

from prov_worker.sites import affinity
from prov_worker.sites.catalog import names, site

#: Nodes by their documentation: cores, and how many threads each has. Logical CPU i and i + cores are one core.
NODES = {"polaris": (32, 2), "aurora": (104, 2), "perlmutter-gpu": (64, 2), "perlmutter-cpu": (128, 2)}
Bound = Callable[[str, int, int], list[list[int]]]


class BoundError(BaseException):
    """Ends Parsl's worker when it has said which CPUs it wants; it catches what is an Exception."""


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bound:
    """CPUs that Parsl's worker asks the kernel for, on a node with as many as this machine may not have."""

    def by_parsl(given: str, workers: int, cpus: int) -> list[list[int]]:
        bindings: list[list[int]] = []

        def bind(pid: int, mine: list[int]) -> None:
            bindings.append(list(mine))
            raise BoundError

        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)))
        monkeypatch.setattr(os, "sched_setaffinity", bind)
        monkeypatch.setattr(process_worker_pool, "set_file_logger", lambda *args, **kwargs: None)
        monkeypatch.setattr(os, "environ", dict(os.environ))
        arguments: dict[str, Any] = dict.fromkeys(
            ("task_queue", "result_queue", "monitoring_queue", "ready_worker_count", "tasks_in_progress", "accelerator")
        )
        arguments |= {"pool_id": "pool", "block_id": "0", "task_queue_timeout": 1, "manager_pid": 0, "debug": False}
        arguments |= {"logdir": str(tmp_path), "log_config": None, "mpi_launcher": ""}
        for rank in range(workers):
            with pytest.raises(BoundError):
                process_worker_pool.worker(worker_id=rank, pool_size=workers, cpu_affinity=given, **arguments)
        return bindings

    return by_parsl


def test_all_sites_with_a_scheduler_say_what_a_node_is() -> None:
    assert {name for name in names() if site(name).cores} == set(NODES)
    for name, (cores, threads) in NODES.items():
        assert (site(name).cores, site(name).cpus) == (cores, cores * threads)
        assert site(name).cores_source


@pytest.mark.parametrize("name", NODES)
def test_no_two_workers_of_a_sites_defaults_share_a_core(name: str, bound: Bound) -> None:
    cores, threads = NODES[name]
    options = site(name).options
    count = options["workers"]["default"]
    cpus = bound(options["affinity"]["default"], count, cores * threads)
    assert len(cpus) == count
    taken = [{cpu % cores for cpu in mine} for mine in cpus]
    assert [pair for pair in itertools.combinations(range(count), 2) if taken[pair[0]] & taken[pair[1]]] == []
    for mine, its in zip(cpus, taken, strict=True):
        assert sorted(mine) == sorted(core + cores * thread for core in its for thread in range(threads)), "all threads"


def test_perlmutters_gpus_have_a_numa_domain_each(bound: Bound) -> None:
    """A processor has 4 of 16 cores; GPU 0 is next to the last one."""
    cpus = bound(site("perlmutter-gpu").options["affinity"]["default"], 4, 128)
    assert [min(mine) // 16 for mine in cpus] == [3, 2, 1, 0]
    assert all({cpu % 64 // 16 for cpu in mine} == {min(mine) // 16} for mine in cpus)


def test_what_was_the_default_puts_two_workers_on_one_core(bound: Bound) -> None:
    cpus = bound("block", 128, 256)
    assert (cpus[0], cpus[64]) == ([0, 1], [128, 129])
    assert affinity.shared_core("block", 128, range(256), 128) == (0, 64, 0)


@pytest.mark.parametrize("given", ["block", "block-reverse", "alternating", "list:0-3,8:4,5:7"])
def test_the_rules_are_parsls(given: str, bound: Bound) -> None:
    for workers, cpus in [(3, 16)] if given.startswith("list") else [(1, 4), (3, 16), (5, 16), (16, 16)]:
        assert affinity.bound(given, workers, range(cpus)) == bound(given, workers, cpus)


@pytest.mark.parametrize(
    "given, workers, shared",
    [
        ("alternating", 128, None),
        ("alternating", 64, None),
        ("alternating", 2, None),
        ("alternating", 100, (0, 28, 0)),
        ("list:0-1:1-2", 2, (0, 1, 1)),
        ("list:0:128", 2, (0, 1, 0)),
    ],
)
def test_cores_that_are_shared(given: str, workers: int, shared: tuple[int, int, int] | None) -> None:
    assert affinity.shared_core(given, workers, range(256), 128) == shared


@pytest.mark.parametrize("given", ["", "0-", "-1", "3-1", "0,,1", "0-1-2", "0-99999999999"])
def test_lists_that_are_none(given: str) -> None:
    with pytest.raises(ValueError, match="CPU|backwards"):
        affinity.lists(f"list:{given}")
