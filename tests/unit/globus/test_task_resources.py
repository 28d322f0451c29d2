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
    ],
)
def test_nodes_that_no_block_has(specification: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=f"^resource_specification: {problem}"):
        check_placement(specification, 4)


def test_nodes_that_a_block_has() -> None:
    for nodes in (1, 4):
        check_placement({"num_nodes": nodes, "ranks_per_node": 2}, 4)


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
