"""Perlmutter's templates on a real Slurm: SDK, service, daemon, sbatch, srun, worker, result, crate.

Only names and sizes are adapted, by options: the account, the login node's interface, as many workers as Docker has
processors for, and their binding to CPUs that are there. Nodes have the real ones' features and counts of processors
and GPUs, without the devices.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from support.marks import SLURM_CLUSTER

if TYPE_CHECKING:
    from slurm_cluster import Cluster, Endpoint, Tasks

pytestmark = SLURM_CLUSTER


def facts(crate: Path) -> dict[str, Any]:
    """Values of a crate by the names of their entities."""
    assert [finding for finding in check_crate(crate) if finding.level == "error"] == []
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    return {entity["name"]: entity["value"] for entity in graph if "name" in entity and "value" in entity}


def test_gpu_nodes(gpu: Endpoint, cluster: Cluster) -> None:
    """A block of two nodes: each worker has its GPU and its CPUs, and each crate says so."""
    from slurm_cluster import until

    workers = min(4, int(cluster.run("nproc")))  # Parsl gives each a processor of its own at least
    count = 2 * workers
    gpus = [str(number) for number in range(workers)]
    tasks = gpu.submit(
        *[("place", ["gpu-meeting", count])] * count, nodes_per_block=2, workers=workers, accelerators=gpus
    )
    places = [outcome["result"] for outcome in tasks.outcomes()]
    assert sorted((place["host"], place["gpu"]) for place in places) == sorted(
        (node, number) for node in ("nid001", "nid002") for number in gpus
    )
    (job,) = {place["job"] for place in places}
    for node in ("nid001", "nid002"):
        taken = [cpu for place in places if place["host"] == node for cpu in place["cpus"]]
        assert len(taken) == len(set(taken)) >= workers
    for task, place in zip(tasks.ids, places, strict=True):
        crate = gpu.crate(task)
        values = facts(crate)
        assert StepCrate.open(crate).status == "completed"
        assert values["host of the worker"] == place["host"]
        assert values["CUDA_VISIBLE_DEVICES"] == place["gpu"]
        assert values["SLURM_JOB_ID"] == job
        assert values["SLURM_JOB_PARTITION"] == "nodes"
        assert values["SLURM_JOB_QOS"] == "debug"
        assert values["SLURM_JOB_NODELIST"] == "nid[001-002]"
        assert values["logical CPUs that the worker may use"] == ranges(place["cpus"])
        assert place["tmp"] == "/tmp"
    # What Slurm allocated comes to its accounting a moment after the job.
    ask = f"sacct -X -n -P -j {job} -o Account,QOS,AllocNodes,AllocTRES%200"
    accounting = until(
        lambda: (row := cluster.run(ask)).startswith("m0000|debug|") and row, "the job in the accounting"
    )
    assert accounting.startswith("m0000|debug|2|")
    assert "gres/gpu=8" in accounting
    assert "scratch,cfs" in cluster.run(f"scontrol -o show job {job}")


def ranges(cpus: list[int]) -> str:
    """CPUs as the kernel lists them: 0-3,8."""
    bounds: list[list[int]] = []
    for cpu in cpus:
        if bounds and cpu == bounds[-1][1] + 1:
            bounds[-1][1] = cpu
        else:
            bounds.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in bounds)


def test_cpu_nodes_are_given_back_when_idle_and_taken_again(
    cpu: Endpoint, cluster: Cluster, doomed: dict[str, Tasks]
) -> None:
    from slurm_cluster import until

    jobs = []
    for meeting in ("first", "second"):
        tasks = cpu.submit(("place", [meeting, 2]), ("place", [meeting, 2]))
        places = [outcome["result"] for outcome in tasks.outcomes()]
        assert {place["host"] for place in places} == {"nid003"}
        assert len({tuple(place["cpus"]) for place in places}) == 2
        assert {place["gpu"] for place in places} == {None}
        values = facts(cpu.crate(tasks.ids[0]))
        assert values["SLURM_JOB_ID"] == places[0]["job"]
        jobs.append(places[0]["job"])
        until(lambda: not cluster.run("squeue -h -o %A -w nid003").split(), "the idle node to be given back")
        assert cluster.states()[jobs[-1]] == "CANCELLED"
    assert jobs[0] != jobs[1]


def test_workers_in_an_image(cpu: Endpoint, cluster: Cluster, doomed: dict[str, Tasks]) -> None:
    """By podman without root; ``podman-hpc`` is a name for it here."""
    from slurm_cluster import HOME, PODMAN_NODE

    image, digest = cluster.load_worker_image()
    cluster.run("mkdir data")
    given: dict[str, Any] = {"workers": 1, "runtime": "container", "image": image, "image_digest": digest}
    given |= {"mount_points": [f"{HOME}/data"], "scheduler_options": f"#SBATCH --nodelist={PODMAN_NODE}"}
    tasks = cpu.submit(("place", ["image", 1]), **given)
    (outcome,) = tasks.outcomes()
    crate = cpu.crate(tasks.ids[0])
    values = facts(crate)
    assert StepCrate.open(crate).status == "completed"
    assert values["container"] == f"podman:{image}@{digest}"
    assert values["host of the worker"] == outcome["result"]["host"] == PODMAN_NODE
    assert values["SLURM_JOB_ID"] == outcome["result"]["job"]
    graph = {entity["@id"]: entity for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
    assert f"sha256:{graph['#container-image']['sha256']}" == digest
    assert any(entity.get("value") == f"{HOME}/data" for entity in graph.values()), "the mount point"


def test_a_lost_node_leaves_a_failed_crate(cpu: Endpoint, cluster: Cluster, doomed: dict[str, Tasks]) -> None:
    from slurm_cluster import until

    from support.containers import docker

    tasks = cpu.submit(("hold", ["lost", 600]), workers=1)
    job, node = until(lambda: cluster.run("cat lost", check=False).split(), "the task to run")
    # What was in the node's memory alone goes with it.
    journals = f"{cpu.crate_dir}/.spool/*.jsonl"
    until(lambda: cluster.run(f"grep -l {tasks.ids[0]} {journals}", check=False).strip(), "its start in a journal")
    docker("kill", cluster.part(node))
    (outcome,) = tasks.outcomes()
    assert f"on host {node}" in outcome["error"]
    crate = cpu.crate(tasks.ids[0])
    values = facts(crate)
    assert StepCrate.open(crate).status == "failed"
    assert f"loss of manager {values['worker pool']} on host {node}" in str(StepCrate.open(crate).error)
    assert (values["SLURM_JOB_ID"], values["host of the worker"]) == (job, node)


def test_a_cancelled_job_leaves_a_failed_crate_and_its_task_is_tried_again(
    gpu: Endpoint, cluster: Cluster, doomed: dict[str, Tasks]
) -> None:
    tasks = doomed["cancelled"]
    assert tasks.outcomes() == [{"result": 2}, {"result": 3}]
    first, last, other = gpu.crate(tasks.ids[0], attempt=1), gpu.crate(tasks.ids[0]), gpu.crate(tasks.ids[1])
    job, node = cluster.run("cat cancelled").split()[:2]
    error = str(StepCrate.open(first).error)
    assert error.startswith(f"batch job {job} was cancelled (Slurm: CANCELLED by 10001): worker process ")
    assert f" on {node} " in error
    assert [StepCrate.open(crate).status for crate in (first, last, other)] == ["failed", "completed", "completed"]
    assert facts(first)["SLURM_JOB_ID"] == job
    assert facts(last)["SLURM_JOB_ID"] != job


def test_a_task_at_its_walltime_leaves_a_failed_crate_that_says_so(
    gpu: Endpoint, cluster: Cluster, doomed: dict[str, Tasks]
) -> None:
    tasks = doomed["walltime"]
    (outcome,) = tasks.outcomes()
    assert "ManagerLost" in outcome["error"]
    job, node = cluster.run("cat walltime").split()
    assert cluster.states()[job] == "TIMEOUT"
    crate = gpu.crate(tasks.ids[0])
    step = StepCrate.open(crate)
    assert step.status == "failed"
    assert str(step.error).startswith(f"batch job {job} reached its time limit (walltime) of 00:01:00 (Slurm: TIMEOUT)")
    assert facts(crate)["SLURM_JOB_ID"] == job
    assert step.host == node


def test_what_slurm_refuses_is_told_to_who_submits(gpu: Endpoint, cluster: Cluster) -> None:
    before = set(cluster.states())
    (outcome,) = gpu.submit(("add", [1, 1]), account="m9999", workers=1, accelerators=["0"]).outcomes(60)
    assert "Invalid account" in outcome["error"]
    assert set(cluster.states()) == before
