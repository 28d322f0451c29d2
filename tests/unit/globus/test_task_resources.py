"""Resources that no block of an endpoint has are refused before Parsl waits for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from parsl.executors import HighThroughputExecutor

from prov_worker.errors import InputError
from prov_worker.globus.task_resources import check_placement, check_resources
from support.commands import run_program


@pytest.mark.parametrize(
    ("specification", "problem"),
    [
        ({}, "num_nodes: must be set"),
        ({"num_ranks": 2}, "num_nodes: must be set"),
        ({"num_nodes": "2"}, "num_nodes: '2': is not a number of 1 or more"),
        ({"num_nodes": 0}, "num_nodes: 0: is not a number of 1 or more"),
        ({"num_nodes": True}, "num_nodes: True: is not a number of 1 or more"),
        ({"num_nodes": 5}, "num_nodes: 5, and a block of this endpoint has 4 nodes"),
        ({"num_nodes": 2, "num_ranks": "4"}, "num_ranks: '4': is not a number of 1 or more"),
        ({"num_nodes": 2, "num_ranks": 3}, "num_ranks: 3 cannot be shared out evenly among 2 nodes; set ranks_per_"),
        ({"num_nodes": 2, "ranks_per_node": 2.0}, "ranks_per_node: 2.0: is not a number of 1 or more"),
        ({"num_nodes": 2, "ranks_per_node": 9}, "ranks_per_node: 9, and a node of this endpoint takes 8 ranks of a"),
        ({"num_nodes": 2, "num_ranks": 18}, "ranks_per_node: 9, and a node of this endpoint takes 8 ranks of a task"),
        ({"num_nodes": 2, "num_ranks": 17, "ranks_per_node": 8}, "num_ranks: 17 on 2 nodes, and a node of this end"),
    ],
)
def test_what_no_block_has(specification: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=f"^resource_specification: {problem}"):
        check_placement(specification, 4, 8)


@pytest.mark.parametrize(
    ("specification", "ranks_per_node"),
    [
        ({"num_nodes": 1, "ranks_per_node": 2}, 2),
        ({"num_nodes": 4, "ranks_per_node": 8, "num_ranks": 31}, 8),
        ({"num_nodes": 4, "num_ranks": 32}, 8),
        ({"num_nodes": 4}, None),
    ],
)
def test_what_a_block_has(specification: dict[str, Any], ranks_per_node: int | None) -> None:
    check_placement(specification, 4, 8)
    assert specification.get("ranks_per_node") == ranks_per_node


def test_any_number_of_ranks_without_a_limit() -> None:
    check_placement({"num_nodes": 1, "num_ranks": 1000}, 4)


def test_what_parsl_does_not_take_is_refused_in_its_words() -> None:
    executor = HighThroughputExecutor(encrypted=False)
    check_resources({"priority": 1}, executor)
    with pytest.raises(
        InputError, match=r"^resource_specification: .*num_nodes.*only accepts these types of resources"
    ):
        check_resources({"num_nodes": 1}, executor)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-n 4 -ppn 2 -hosts a,b", "-n 4 --map-by ppr:2:node --host a:2,b:2 program -x 1"),
        (
            "-n 1 -ppn 1 -hosts node-1 --bind-to none",
            "-n 1 --map-by ppr:1:node --host node-1:1 --bind-to none program -x 1",
        ),
        ("--version", "--version program -x 1"),
    ],
)
def test_open_mpi_gets_options_of_its_own(tmp_path: Path, options: str, expected: str) -> None:
    """As Parsl's prefix has them, with what the user adds behind."""
    real = tmp_path / "bin of open mpi" / "mpiexec"
    real.parent.mkdir()
    real.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\n')
    real.chmod(0o755)
    directory = run_program(sys.executable, "-m", "prov_worker.globus.openmpi").stdout.strip()
    command = ["/bin/sh", "-c", f"mpiexec {options} program -x 1"]
    done = run_program(*command, env={"PATH": f"{directory}:{real.parent}"})
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr
    lost = run_program(*command, env={"PATH": f"{directory}:/nowhere"})
    assert (lost.returncode, "no mpiexec of Open MPI on PATH" in lost.stderr) == (127, True)
