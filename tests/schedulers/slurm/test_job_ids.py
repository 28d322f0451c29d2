"""Arrays, heterogeneous, requeued and held jobs of a real Slurm: what it says of the very job that a task ran in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.marks import SLURM_CLUSTER

if TYPE_CHECKING:
    from slurm_cluster import Cluster

pytestmark = SLURM_CLUSTER
SUBMIT = "sbatch --parsable -A m0000 -q debug -C cpu -N 1 -c 2 -t 10 -o /dev/null"
WAIT = "--wrap 'exec sleep 600'"
ASK = """
import json, os, sys, time
from prov_worker.model import FAILED, Failure, Function, TaskRecord, Worker
from prov_worker.schedulers import SCHEDULERS
slurm, replies = SCHEDULERS["slurm"], {}
for job in sys.argv[1:]:
    now = time.time_ns()
    worker = Worker("nid003", 7, scheduler={"SLURM_JOB_ID": job})
    record = TaskRecord("t", 1, FAILED, now - 10**9, now, Function("f"), worker, failure=Failure("signal", "killed"))
    slurm.explainer(os.environ)(record, True)
    word = slurm.look(job)
    replies[job] = [record.failure.message, None if word is None else word._asdict()]
print(json.dumps(replies))
"""


def answers(cluster: Cluster, *jobs: str) -> dict[str, tuple[str, dict[str, Any] | None]]:
    """Explanation of a death that was seen just now, and the word on the job, by the job's id."""
    cluster.write("/home/compute/ask.py", ASK)
    return {job: tuple(pair) for job, pair in json.loads(cluster.run(f"python ask.py {' '.join(jobs)}")).items()}


def rows(cluster: Cluster, job: str) -> dict[str, tuple[str, str]]:
    """State and index of each part of a job, by its own id."""
    lines = cluster.run(f"squeue -h -j {job} -o '%A %T %K'", check=False).splitlines()
    return {fields[0]: (fields[1], fields[2]) for fields in map(str.split, lines)}


def running(cluster: Cluster, job: str, count: int) -> dict[str, tuple[str, str]]:
    from slurm_cluster import until

    def all_run() -> dict[str, tuple[str, str]]:
        parts = rows(cluster, job)
        return parts if [state for state, _ in parts.values()] == ["RUNNING"] * count else {}

    parts: dict[str, tuple[str, str]] = until(all_run, f"{count} parts of job {job}")
    return parts


def ended(cluster: Cluster, job: str, state: str) -> None:
    from slurm_cluster import until

    ask = f"sacct -X -D -n -P -j {job} -o JobIDRaw,State,End"
    until(lambda: any(line.startswith(f"{job}|{state}") and "Unknown" not in line
                      for line in cluster.run(ask).splitlines()), f"{state} of job {job}")  # fmt: skip


def test_one_task_of_an_array_ends(cluster: Cluster) -> None:
    array = cluster.run(f"{SUBMIT} --array=0-2 {WAIT}").strip()
    parts = running(cluster, array, 3)
    assert parts[array][1] == "2", "the last task has the array's own id"
    (first,) = (job for job, (_, index) in parts.items() if index == "0")
    cluster.run(f"scancel {array}_0")
    ended(cluster, first, "CANCELLED")
    replies = answers(cluster, *parts)
    assert replies[first][0].startswith(f"batch job {first} was cancelled (Slurm: CANCELLED by ")
    for job in set(parts) - {first}:
        assert replies[job] == ("killed", {"text": f"batch job {job} is in state RUNNING (Slurm: None)", "held": False,
                                        "stuck": False})  # fmt: skip
    cluster.run(f"scancel {array}")
    ended(cluster, array, "CANCELLED")
    assert answers(cluster, array)[array][0].startswith(f"batch job {array} was cancelled")


def test_parts_of_a_heterogeneous_job(cluster: Cluster) -> None:
    script = "printf '#!/bin/bash\\nexec sleep 600\\n'"
    leader = cluster.run(f"{script} | {SUBMIT} : -C cpu -N 1 -c 2").strip()
    parts = running(cluster, leader, 2)
    replies = answers(cluster, *parts)
    assert {job: replies[job][0] for job in parts} == dict.fromkeys(parts, "killed")
    assert all(replies[job][1]["text"].startswith(f"batch job {job} is in state RUNNING") for job in parts)  # type: ignore[index]
    cluster.run(f"scancel {leader}")
    ended(cluster, leader, "CANCELLED")
    assert answers(cluster, leader)[leader][0].startswith(f"batch job {leader} was cancelled")


def test_a_job_that_is_requeued(cluster: Cluster) -> None:
    job = cluster.run(f"{SUBMIT} --requeue {WAIT}").strip()
    running(cluster, job, 1)
    cluster.run(f"scontrol requeue {job}")
    ended(cluster, job, "REQUEUED")
    assert answers(cluster, job)[job][0].startswith(f"batch job {job} was put back into the queue (Slurm: REQUEUED)")
    cluster.run(f"scancel {job}")


def test_a_held_job_and_one_that_was_deleted_while_it_waited(cluster: Cluster) -> None:
    job = cluster.run(f"{SUBMIT} --hold {WAIT}").strip()
    word = {"text": f"batch job {job} is held (Slurm: JobHeldUser)", "held": True, "stuck": False}
    assert answers(cluster, job)[job] == ("killed", word)
    cluster.run(f"scancel {job}")
    ended(cluster, job, "CANCELLED")
    text = answers(cluster, job)[job][1]["text"]  # type: ignore[index]
    assert text.startswith((f"batch job {job} is in state CANCELLED", f"batch job {job} ended with exit status 0:0"))
