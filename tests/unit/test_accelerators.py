"""The accelerators that a worker may use, as its environment names them."""

from __future__ import annotations

import pytest

from prov_worker.accelerators import visible, visible_numbers

COMPOSITE = {"ZE_FLAT_DEVICE_HIERARCHY": "COMPOSITE"}


@pytest.mark.parametrize(
    ("environ", "names", "numbers"),
    [
        ({}, None, None),
        ({"CUDA_VISIBLE_DEVICES": "0, 2"}, ["0", "2"], ["0", "2"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, [], []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, [], []),
        ({"ROCR_VISIBLE_DEVICES": "1,-1,2"}, ["1"], ["1"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1"}, ["GPU-1"], None),
        ({"ZE_AFFINITY_MASK": "0.1,0.0"}, ["0.1", "0.0"], ["0"]),
        ({"ZE_AFFINITY_MASK": "1", **COMPOSITE}, ["1"], ["1"]),
        ({"ZE_AFFINITY_MASK": "1"}, ["1"], None),
        ({"ZE_AFFINITY_MASK": "1", "ZE_FLAT_DEVICE_HIERARCHY": "FLAT"}, ["1"], None),
        ({"CUDA_VISIBLE_DEVICES": "3", "ZE_AFFINITY_MASK": "1"}, ["3"], ["3"]),
    ],
)
def test_visible(environ: dict[str, str], names: list[str] | None, numbers: list[str] | None) -> None:
    assert visible(environ) == names
    assert visible_numbers(environ) == numbers
