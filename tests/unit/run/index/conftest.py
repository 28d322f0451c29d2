"""Indexes that several modules ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prov_worker.model import Column, Series, TaskSeries, Worker


@pytest.fixture
def indexed(workflow_crates: Any) -> Path:
    """An index of the crates of a small workflow."""
    from prov_worker.run.index.build import default_index, index

    index([workflow_crates.directory])
    return default_index(workflow_crates.directory)


def gpu_series(**percent: float) -> TaskSeries:
    """Samples of the GPUs of a node, such as ``gpu0=80``."""
    columns = {
        f"{name}_utilization_percent": Column("percent", [value, value], subject=f"gpu:{name[3:]}")
        for name, value in percent.items()
    }
    return TaskSeries(gpu=Series(0.5, [0.5, 1.0], columns, 2, 2, 0.5))


@pytest.fixture
def gpu_crates(crates: Any) -> Path:
    """Crates of a worker with GPUs 0 and 1 beside a busy neighbour with GPU 2; the third has no sample."""
    worker = Worker("node01", 1, accelerators={"CUDA_VISIBLE_DEVICES": "0,1"})
    for number, series in (
        (1, gpu_series(gpu0=80.0, gpu1=3.0, gpu2=99.0)),
        (2, gpu_series(gpu0=0.0, gpu1=4.0, gpu2=99.0)),
        (3, None),
    ):
        crates.add(number, series=series, worker=worker)
    directory: Path = crates.directory
    return directory
