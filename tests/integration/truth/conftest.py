"""One endpoint runs the workloads of a module in sequence; each crate is then compared with what its task measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import workloads

from prov_worker.crate.reader import StepCrate
from prov_worker.globus.embedded import EmbeddedEndpoint
from prov_worker.model import Series
from support.crate_dir import wait_until

#: How far a crate may be from what a task measured: the larger of a share and an amount.
CPU_SHARE, CPU_S = 0.02, 0.02
LIMIT_S = 240


@dataclass
class Measured:
    """A task's crate, and what the task measured of itself."""

    crate: StepCrate
    result: Any

    def usage(self, key: str) -> float:
        """A total; 0 if it is absent."""
        value, _ = self.crate.usage.get(key, (0.0, ""))
        return float(value)

    @property
    def series(self) -> Series:
        series = self.crate.series().task
        assert series is not None
        return series

    def sampled_cpu_s(self) -> float:
        """CPU time that the samples make."""
        total = before = 0.0
        for offset_s, percent in zip(self.series.offset_s, self.series.columns["cpu_percent"].mean, strict=True):
            if percent is not None:
                total += (offset_s - before) * percent / 100
                before = offset_s
        return total


@pytest.fixture(scope="session", autouse=True)
def workloads_for_workers(functions_for_workers: None) -> Iterator[None]:
    """Workers must find ``workloads.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]]))
        yield


#: Totals of a crate by what workloads measure.
BYTES = {"read-chars": "rchar", "written-chars": "wchar", "read-bytes": "read_bytes", "written-bytes": "write_bytes"}
#: Of a table of MiB.
_FEW_BYTES = 16 << 10
_MEASURED: pytest.StashKey[list[tuple[str, Measured]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--truth-table", type=Path, help="write what was measured and recorded to this Markdown file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MEASURED] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--truth-table", None)
    if path is not None:
        rows = [row for name, task in session.config.stash[_MEASURED] for row in pairs(name, task)]
        head = "| workload | number | measured | recorded | difference |\n|---|---|---|---|---|\n"
        path.write_text(head + "".join(f"| {' | '.join(row)} |\n" for row in rows))


def pairs(name: str, task: Measured) -> Iterator[tuple[str, ...]]:
    """What a workload measured of itself beside what its crate says, but for bytes that are next to none."""
    result = task.result
    if "beside_s" in result:  # what is below the worker is at work for the task before
        yield _row(name, "cpu", result["self_s"], task.usage("cpu"), 1, "s")
        yield _row(name, "earlier-cpu-s", result["beside_s"], task.usage("earlier-cpu-s"), 1, "s")
    elif "self_s" in result:
        cpu_s = result["self_s"] + result["below_s"] + result.get("reported_s", 0.0)
        yield _row(name, "cpu", cpu_s, task.usage("cpu"), 1, "s")
    for key, field in BYTES.items():
        if key in task.crate.usage and (
            result.get(field, 0) > _FEW_BYTES or (field in result and task.usage(key) > _FEW_BYTES)
        ):
            yield _row(name, key, result[field], task.usage(key), 1 << 20, "MiB")
    if "together" in result:
        yield _row(
            name, "children-peak-rss-bytes", result["mark"], task.usage("children-peak-rss-bytes"), 1 << 20, "MiB"
        )
        yield _row(name, "tree-peak-rss-bytes", result["together"], task.usage("tree-peak-rss-bytes"), 1 << 20, "MiB")
    elif "resident" in result:
        yield _row(name, "peak-rss", result["resident"], task.usage("peak-rss"), 1 << 20, "MiB")


def _row(name: str, key: str, measured: float, recorded: float, factor: int, unit: str) -> tuple[str, ...]:
    difference = (recorded - measured) / factor
    share = f" ({100 * (recorded - measured) / measured:+.2f} %)" if measured / factor > 0.1 else ""
    return name, f"`{key}`", f"{measured / factor:.3f} {unit}", f"{recorded / factor:.3f}", f"{difference:+.3f}{share}"


Run = Callable[..., dict[str, Measured]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Run:
    """Run workloads by name: function and arguments, ``measured`` if the function is given as text."""

    def run_all(calls: dict[str, tuple[Any, ...]], **settings: Any) -> dict[str, Measured]:
        crates = tmp_path_factory.mktemp("truth") / "crates"
        # a result is there once its crate is: what is compared needs no waiting
        provenance = {"crate_dir": str(crates), "plots": "none", "write": "before_result", **settings}
        results: dict[str, tuple[str, Any]] = {}
        with EmbeddedEndpoint(workers=1, provenance=provenance) as endpoint:
            for name, (function, *args) in calls.items():
                call: Sequence[Any] = (
                    (workloads.measured, function, *args) if isinstance(function, str) else (function, *args)
                )
                future = endpoint.submit(*call)
                results[name] = (future.result(LIMIT_S), future.task_id)
            wait_until(lambda: all((crates / f"{task}.crate").exists() for _, task in results.values()), "crates")
        tasks = {
            name: Measured(StepCrate.open(crates / f"{task}.crate"), result) for name, (result, task) in results.items()
        }
        pytestconfig.stash[_MEASURED] += [
            (name, task) for name, task in tasks.items() if isinstance(task.result, dict) and name[-1:].isalpha()
        ]
        return tasks

    return run_all


def close(value: float, expected: float, share: float = CPU_SHARE, amount: float = CPU_S) -> bool:
    """Whether a value is what was measured, within the tolerance."""
    return abs(value - expected) <= max(share * expected, amount)
