from __future__ import annotations

import pytest

from prov_worker.accelerators import visible, visible_numbers


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
