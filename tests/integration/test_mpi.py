"""The MPI engine: a task that was given nodes says so in its crate. One node, and no MPI program is started."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import functions

from prov_worker.crate.reader import StepCrate
from prov_worker.globus.embedded import EmbeddedEndpoint


def test_a_task_with_ranks_leaves_a_crate_that_names_its_nodes(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    nodes = tmp_path / "nodes"
    nodes.write_text("localhost\n")
    provider = {
        "type": "LocalProvider",
        "init_blocks": 1,
        "min_blocks": 1,
        "max_blocks": 1,
        "worker_init": f"export PBS_NODEFILE={nodes}",  # where Parsl finds the nodes of a PBS job
        "launcher": {"type": "SimpleLauncher"},
    }
    task_id = uuid.uuid4()
    with EmbeddedEndpoint(
        engine="ProvenanceMPIEngine",
        workers=1,
        provenance={"crate_dir": str(crates), "plots": "none"},
        engine_options={"mpi_launcher": "mpiexec", "provider": provider},
    ) as endpoint:
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
