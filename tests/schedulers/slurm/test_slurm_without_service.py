"""Jobs without the web service on Perlmutter's template: the engine in a program on the login node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import jobs_at_site, mpi_at_site
from support.marks import SLURM_CLUSTER

if TYPE_CHECKING:
    from slurm_cluster import Cluster

pytestmark = [*SLURM_CLUSTER, pytest.mark.long]


def test_the_engine_submits_its_blocks_itself(cluster: Cluster) -> None:
    from slurm_cluster import HOME

    cluster.write(f"{HOME}/jobs_at_site.py", Path(jobs_at_site.__file__).read_text())
    options = {
        "account": "m0000", "interface": "eth0", "strategy_period": 0.5, "idle_time": 3, "workers": 2,
        "heartbeat_period": 2, "heartbeat_threshold": 8, "plots": "none",
    }  # fmt: skip
    script = f"python jobs_at_site.py perlmutter-cpu at-site.jsonl '{json.dumps(options)}' SLURM_JOB_ID"
    answer = json.loads(cluster.run(script).splitlines()[-1])
    assert [value[0] for value in answer["values"]] == [0, 1, 2, 3]
    assert answer["late"] == "timed_out"
    assert {value[1] for value in answer["values"]} <= set(cluster.states())
    crates = cluster.run("ls -d at-site.jsonl.crates/*.crate").split()
    assert len(crates) == len(answer["tasks"]) == 5
    listed = json.loads(cluster.run("prov-worker list at-site.jsonl.crates --json --run-name scan-5"))
    assert sorted(row["status"] for row in listed) == ["completed"] * 4 + ["failed"]


def test_ranks_of_a_task_are_on_several_nodes(cluster: Cluster) -> None:
    """The engine for MPI with srun: one pool in the batch job, and the ranks on both of its nodes."""
    from slurm_cluster import HOME

    cluster.write(f"{HOME}/mpi_at_site.py", Path(mpi_at_site.__file__).read_text())
    options = {
        "account": "m0000", "interface": "eth0", "strategy_period": 0.5, "idle_time": 3, "mpi": "srun",
        "nodes_per_block": 2, "heartbeat_period": 2, "heartbeat_threshold": 8, "plots": "none",
    }  # fmt: skip
    answer = json.loads(
        cluster.run(f"python mpi_at_site.py perlmutter-cpu mpi.jsonl '{json.dumps(options)}' 4 2").splitlines()[-1]
    )
    assert [line.partition(" on ")[0] for line in answer["ranks"]] == [f"{rank} of 4" for rank in range(4)]
    assert len({line.partition(" on ")[2] for line in answer["ranks"]}) == 2
    assert answer["beyond"].endswith("num_nodes: 3, and a block of this endpoint has 2 nodes")
    metadata = cluster.run(f"cat mpi.jsonl.crates/{answer['task']}.crate/ro-crate-metadata.json")
    recorded = {entity["@id"]: entity.get("value") for entity in json.loads(metadata)["@graph"]}
    assert (recorded["#env-PARSL_NUM_RANKS"], recorded["#env-PARSL_NUM_NODES"]) == ("4", "2")
    assert len(recorded["#env-PARSL_MPI_NODELIST"].split(",")) == 2
