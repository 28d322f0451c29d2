from __future__ import annotations

import pytest

from prov_worker.accelerators import NodeGpus, held, node_gpus, visible, visible_numbers


@pytest.mark.parametrize(
    "environ, parts, numbers",
    [
        ({}, None, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, [], []),
        ({"CUDA_VISIBLE_DEVICES": "2, 3"}, ["2", "3"], ["2", "3"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1f"}, ["GPU-1f"], None),
        ({"ROCR_VISIBLE_DEVICES": "0", "OMP_NUM_THREADS": "4"}, ["0"], ["0"]),
        ({"ZE_AFFINITY_MASK": "0.0,0.1,5.1"}, ["0.0", "0.1", "5.1"], ["0", "5"]),
    ],
)
def test_what_a_worker_may_use(environ: dict[str, str], parts: list[str] | None, numbers: list[str] | None) -> None:
    assert visible(environ) == parts
    assert visible_numbers(environ) == numbers


#: As Parsl sets them for each worker (process_worker_pool.py), whatever GPUs its node has.
PARSL = dict.fromkeys(("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"), "3")
PCI = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
ALIKE, MIXED = NodeGpus("nvidia"), NodeGpus("nvidia", mixed=True)
SPLIT = NodeGpus("nvidia", partitioned=True)


@pytest.mark.parametrize(
    "environ, gpus, parts, numbers",
    [
        (PARSL, ALIKE, ["3"], ["3"]),
        # the fastest GPU is CUDA's first, wherever it is on the bus
        (PARSL, MIXED, ["3"], None),
        ({**PARSL, **PCI}, MIXED, ["3"], ["3"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, MIXED, [], []),
        # a number names an instance of that GPU, and not all of it
        ({**PARSL, **PCI}, SPLIT, ["3"], None),
        # a tile, unless Level Zero counts devices
        (PARSL, NodeGpus("intel"), ["3"], None),
        ({**PARSL, "ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE"}, NodeGpus("intel"), ["3"], ["3"]),
        ({"CUDA_VISIBLE_DEVICES": "3"}, NodeGpus("intel"), None, None),
        (PARSL, NodeGpus("amd", mixed=True), ["3"], ["3"]),
        ({"ROCR_VISIBLE_DEVICES": "2,5", "HIP_VISIBLE_DEVICES": "1"}, NodeGpus("amd"), ["5"], ["5"]),
        ({"ROCR_VISIBLE_DEVICES": "2,5", "HIP_VISIBLE_DEVICES": "1"}, NodeGpus(), ["5"], ["5"]),
        ({"ROCR_VISIBLE_DEVICES": "2", "HIP_VISIBLE_DEVICES": "1"}, NodeGpus("amd"), [], []),
        ({"HIP_VISIBLE_DEVICES": "1,-1,0"}, NodeGpus("amd"), ["1"], ["1"]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, NodeGpus("amd"), ["1"], ["1"]),
    ],
)
def test_numbers_are_those_of_the_nodes_gpus(
    environ: dict[str, str], gpus: NodeGpus, parts: list[str] | None, numbers: list[str] | None
) -> None:
    assert visible(environ, gpus) == parts
    assert visible_numbers(environ, gpus) == numbers


def test_how_the_gpus_of_a_node_are_counted() -> None:
    a100, display = ("nvidia", "A100-SXM4-80GB", False), ("nvidia", "DGX Display", False)
    assert node_gpus([a100, a100]) == ALIKE
    assert node_gpus([a100, display]) == MIXED
    assert node_gpus([a100, ("nvidia", "A100-SXM4-80GB MIG 3g.40gb", True)]) == SPLIT
    assert node_gpus([a100, ("amd", "MI210", False)]).vendor == ""
    assert node_gpus([]) == NodeGpus()


@pytest.mark.parametrize(
    "environ, numbers",
    [
        ({}, [0, 1, 2]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "2,0,7"}, [0, 2]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1f"}, None),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1f,GPU-2a,GPU-3b"}, [0, 1, 2]),
        ({"ZE_AFFINITY_MASK": "1"}, None),
    ],
)
def test_which_devices_of_a_node_are_a_workers(environ: dict[str, str], numbers: list[int] | None) -> None:
    assert held(environ, [0, 1, 2]) == numbers


def test_of_gpus_in_parts_and_of_several_models_it_may_not_be_known() -> None:
    assert held({}, [0, 1], SPLIT) is None
    assert held({"CUDA_VISIBLE_DEVICES": "0"}, [0, 1], MIXED) is None
    assert held({"CUDA_VISIBLE_DEVICES": "0,1"}, [0, 1], MIXED) == [0, 1]
    assert held(PARSL, [3, 4], NodeGpus("amd")) == [3]
