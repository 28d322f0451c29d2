"""The batch job that the node works for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext
from prov_worker.probes.files import parse_int, read_text
from prov_worker.probes.nodelist import expand

# All that is ever read; above all not PBS_JOBCOOKIE, which lets its holder act as the job.
_PBS = {
    "job_id": "PBS_JOBID",
    "job_name": "PBS_JOBNAME",
    "queue": "PBS_QUEUE",
    "mode": "PBS_ENVIRONMENT",
    "submit_host": "PBS_O_HOST",
    "node_index": "PBS_NODENUM",
    "array_index": "PBS_ARRAY_INDEX",
    "cpus": "NCPUS",
}
_SLURM = {
    "job_id": "SLURM_JOB_ID",
    "job_name": "SLURM_JOB_NAME",
    "partition": "SLURM_JOB_PARTITION",
    "qos": "SLURM_JOB_QOS",
    "cluster": "SLURM_CLUSTER_NAME",
    "submit_host": "SLURM_SUBMIT_HOST",
    "node_name": "SLURMD_NODENAME",
    "node_index": "SLURM_NODEID",
    "node_count": "SLURM_JOB_NUM_NODES",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_index": "SLURM_ARRAY_TASK_ID",
    "cpus": "SLURM_CPUS_ON_NODE",
    "cpus_per_node": "SLURM_JOB_CPUS_PER_NODE",
    "node_list": "SLURM_JOB_NODELIST",
}
_NUMBERS = ("node_index", "node_count", "array_index", "cpus")


@dataclass(frozen=True)
class SchedulerProbe:
    """Job, queue and nodes, from variables that PBS or Slurm set.

    Data: ``kind`` (``pbs`` or ``slurm``), ``job_id``, ``job_name``, ``queue`` (PBS) or ``partition`` (Slurm),
    ``nodes`` (names, in order, each once), ``nodes_error`` (why there are none, else None), and those of
    ``submit_host``, ``node_index``, ``node_count``, ``array_index``, ``cpus`` and others that are set; names are
    always there, None where unset.
    """

    name: str = "scheduler"
    time_limit_s: float = 5.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        environ = context.environ
        if environ.get("PBS_JOBID"):
            data = _read(context, "pbs", _PBS)
            nodes, error = _node_file(environ.get("PBS_NODEFILE"))
        elif environ.get("SLURM_JOB_ID"):
            data = _read(context, "slurm", _SLURM)
            nodes, error = _node_list(data["node_list"])
        else:
            raise NoData("not in a job of PBS or Slurm")
        return {**data, "nodes": nodes, "nodes_error": error}


def _read(context: ProbeContext, kind: str, variables: dict[str, str]) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": kind}
    for key, variable in variables.items():
        value = context.environ.get(variable) or None
        data[key] = parse_int(value) if key in _NUMBERS else value
    return data


def _node_file(path: str | None) -> tuple[list[str], str | None]:
    """Hosts of ``PBS_NODEFILE``, which names a host once for each MPI rank."""
    if not path:
        return [], "PBS_NODEFILE is not set"
    text = read_text(Path(path))
    if text is None:
        return [], f"{path} cannot be read"
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())), None


def _node_list(text: str | None) -> tuple[list[str], str | None]:
    if not text:
        return [], "SLURM_JOB_NODELIST is not set"
    try:
        return expand(text), None
    except ValueError as error:
        return [], f"SLURM_JOB_NODELIST: {error}"
