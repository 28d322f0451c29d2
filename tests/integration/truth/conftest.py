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


Run = Callable[[dict[str, tuple[Any, ...]]], dict[str, Measured]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
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
        return {
            name: Measured(StepCrate.open(crates / f"{task}.crate"), result) for name, (result, task) in results.items()
        }

    return run_all


def close(value: float, expected: float, share: float = CPU_SHARE, amount: float = CPU_S) -> bool:
    """Whether a value is what was measured, within the tolerance."""
    return abs(value - expected) <= max(share * expected, amount)
