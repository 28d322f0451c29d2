"""The MPI engine on one node: nodes of a task, and an MPI program that MPICH really runs for an ``MPIFunction``."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import functions
import pytest
from globus_compute_sdk import MPIFunction

from prov_worker.crate.reader import StepCrate
from prov_worker.globus.embedded import EmbeddedEndpoint

#: Ranks that compute for a while and add up their numbers; the last one ends as it is told to.
RANKS = """
import sys, time
from mpi4py import MPI
while time.process_time() < {burn_s}: pass
world = MPI.COMM_WORLD
total = world.reduce(world.rank, root=0)
if world.rank == 0: print("ranks", world.size, "sum", total)
sys.exit(int(sys.argv[1]) if world.rank == world.size - 1 else 0)
"""
BURN_S = 1.0


def mpi_endpoint(tmp_path: Path, crates: Path, worker_init: str = "true") -> EmbeddedEndpoint:
    """An endpoint whose only block is a job of PBS with this machine as its node, as far as Parsl can see."""
    nodes = tmp_path / "nodes"
    nodes.write_text("localhost\n")
    provider = {
        "type": "LocalProvider",
        "init_blocks": 1,
        "min_blocks": 1,
        "max_blocks": 1,
        "worker_init": f"export PBS_NODEFILE={nodes}; {worker_init}",  # where Parsl finds the nodes of a PBS job
        "launcher": {"type": "SimpleLauncher"},
    }
    return EmbeddedEndpoint(
        engine="ProvenanceMPIEngine",
        workers=1,
        provenance={"crate_dir": str(crates), "plots": "none"},
        engine_options={"mpi_launcher": "mpiexec", "provider": provider},
    )


def test_a_task_with_ranks_leaves_a_crate_that_names_its_nodes(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    task_id = uuid.uuid4()
    with mpi_endpoint(tmp_path, crates) as endpoint:
        future = endpoint.submit_as(
            task_id, functions.mpi_nodes, resource_specification={"num_nodes": 1, "ranks_per_node": 2}
        )
        assert future.result(180) == "localhost"
        wait_for((crates / f"{task_id}.crate").exists, "the task's crate")
    entities = StepCrate.open(crates / f"{task_id}.crate").entities
    recorded = {e["name"]: e["value"] for key, e in entities.items() if key.startswith("#env-PARSL")}
    assert recorded == {
        "PARSL_MPI_NODELIST": "localhost",
        "PARSL_NUM_NODES": "1",
        "PARSL_NUM_RANKS": "2",
        "PARSL_RANKS_PER_NODE": "2",
    }


def test_a_program_of_mpi_is_recorded_with_its_launcher_and_all_its_ranks(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    programs = Path(os.environ.get("PROV_TEST_MPI", "/nonexistent"))
    if not (programs / "mpiexec").exists():
        pytest.skip("no MPI; set PROV_TEST_MPI to the bin directory of an environment with mpich and mpi4py")
    script = tmp_path / "ranks.py"
    script.write_text(RANKS.format(burn_s=BURN_S))
    resources = {"num_nodes": 1, "ranks_per_node": 2}
    with mpi_endpoint(tmp_path, crates, f"export PATH={programs}:$PATH") as endpoint:
        futures = {}
        for status in (0, 3):
            function = MPIFunction(f"{programs}/python {script} {status}", walltime=120)
            futures[status] = endpoint.submit_as(uuid.uuid4(), function, resource_specification=dict(resources))
        for status, future in futures.items():
            assert future.result(180).returncode == status
        paths = {status: crates / f"{future.task_id}.crate" for status, future in futures.items()}
        wait_for(lambda: all(path.exists() for path in paths.values()), "the tasks' crates")
    for status, path in paths.items():
        crate = StepCrate.open(path)
        value: Callable[[str], Any] = lambda key: crate.entities[key]["value"]  # noqa: B023, E731
        assert (crate.status, value("#command-exit-status")) == ("failed" if status else "completed", status)
        assert value("#command-launcher").split() == ["mpiexec", "-n", "2", "-ppn", "2", "-hosts", "localhost"]
        assert value("#command").endswith(f"{script} {status}")
        assert value("#env-PARSL_NUM_RANKS") == "2"
        # the launcher puts its ranks into sessions of their own
        assert crate.usage["cpu"][0] >= 2 * BURN_S
        assert (path / "logs" / "stdout.txt").read_text() == "ranks 2 sum 1\n"
