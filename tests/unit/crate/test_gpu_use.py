"""Which GPUs an attempt held and used."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.accelerators import NodeGpus
from prov_worker.crate.gpu_use import USED_PERCENT, GpuUse, gpu_use
from prov_worker.crate.summary import RunStep

GIB = 1 << 30


def step(
    environment: dict[str, str] | None = None, most: dict[str, float] | None = None, node_gpus: int = 4, **more: Any
) -> RunStep:
    most = {"0": 100.0, "1": 80.0, "2": 0.0, "3": 4.9} if most is None else most
    return RunStep(
        key="t",
        crate="t.crate",
        crate_id="steps/t.crate/",
        task_id="t",
        attempt=1,
        status="completed",
        end_ns=1,
        function="f",
        function_id="#f",
        environment=environment or {},
        node_gpus=node_gpus,
        gpu_max_percent=most,
        gpu_mean_percent={number: percent / 2 for number, percent in most.items()},
        gpu_memory_max_bytes={number: (1 + int(number)) * GIB for number in most},
        **more,
    )


def test_a_worker_without_a_restriction_holds_its_node() -> None:
    assert gpu_use(step()) == GpuUse(4, 2, 0.92450, 100.0, 23.11250, 4.0 * GIB)


def test_the_gpus_of_neighbours_do_not_count() -> None:
    assert gpu_use(step({"CUDA_VISIBLE_DEVICES": "1"})) == GpuUse(1, 1, 0.4, 80.0, 40.0, 2.0 * GIB)
    assert gpu_use(step({"ROCR_VISIBLE_DEVICES": "2,3"})).used == 0


@pytest.mark.parametrize(("percent", "used"), [(0.0, 0), (USED_PERCENT - 0.1, 0), (USED_PERCENT, 1), (100.0, 1)])
def test_one_sample_makes_a_gpu_used(percent: float, used: int) -> None:
    assert gpu_use(step(most={"0": percent}, node_gpus=1)).used == used


def test_tiles_of_one_gpu_are_one_gpu() -> None:
    tiles = {"ZE_AFFINITY_MASK": "0.0,0.1,1.0", "ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE"}
    assert (gpu_use(step(tiles)).held, gpu_use(step(tiles)).used) == (2, 2)


@pytest.mark.parametrize(
    "environment",
    [
        {"CUDA_VISIBLE_DEVICES": "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"},
        {"CUDA_VISIBLE_DEVICES": "MIG-8932f937-d72c-4106-c12f-20bd9faed9f6"},
        {"ZE_AFFINITY_MASK": "3"},  # a tile or a device
    ],
)
def test_of_gpus_that_cannot_be_told_apart_nothing_is_said(environment: dict[str, str]) -> None:
    assert gpu_use(step(environment)) == GpuUse(1)


def test_numbers_of_gpus_of_several_models_are_not_the_nodes() -> None:
    """CUDA's first GPU is the fastest, unless it is told to follow the bus."""
    mixed = NodeGpus("nvidia", mixed=True)
    assert gpu_use(step({"CUDA_VISIBLE_DEVICES": "1"}, gpus=mixed)) == GpuUse(1)
    bus = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert gpu_use(step(bus, gpus=mixed)) == gpu_use(step({"CUDA_VISIBLE_DEVICES": "1"}))


def test_names_of_all_gpus_of_a_node_need_not_be_told_apart() -> None:
    names = ",".join(f"GPU-{number}" for number in range(4))
    assert gpu_use(step({"CUDA_VISIBLE_DEVICES": names})) == gpu_use(step())


def test_what_was_not_sampled_is_not_unused() -> None:
    assert gpu_use(step(most={})) == GpuUse(4)
    assert gpu_use(step({"CUDA_VISIBLE_DEVICES": "0"}, most={"1": 3.0})) == GpuUse(1)


@pytest.mark.parametrize("environment", [{"CUDA_VISIBLE_DEVICES": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}])
def test_a_worker_may_have_no_gpu(environment: dict[str, str]) -> None:
    assert gpu_use(step(environment)) == GpuUse(0, 0, 0.0)
    assert gpu_use(step(node_gpus=0, most={})) == GpuUse(0, 0, 0.0)
