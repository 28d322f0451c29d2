"""Slurm.

Sources: the manual pages sbatch(1), squeue(1), sacct(1) and scontrol(1), and what Slurm 22.05 and 24.11 answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prov_worker.schedulers import SCHEDULERS
from prov_worker.schedulers.base import Scheduler

if TYPE_CHECKING:
    from prov_worker.finding import Finding
    from prov_worker.schedulers.answers import JobWord
    from prov_worker.schedulers.base import Contradiction, Explain, JobRequest

_FACTS = {
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
    "restarts": "SLURM_RESTART_COUNT",
    "cpus": "SLURM_CPUS_ON_NODE",
    "cpus_per_node": "SLURM_JOB_CPUS_PER_NODE",
    "node_list": "SLURM_JOB_NODELIST",
}
_LAUNCHERS = {"SrunLauncher": "srun"}


class Slurm(Scheduler):
    """Slurm."""

    name = "slurm"
    title = "Slurm"
    job_id = "SLURM_JOB_ID"
    variables = (
        "SLURM_JOB_ID",
        "SLURM_JOB_NAME",
        "SLURM_JOB_PARTITION",
        "SLURM_JOB_QOS",
        "SLURM_JOB_NODELIST",
        "SLURM_JOB_NUM_NODES",
        "SLURM_CLUSTER_NAME",
        "SLURM_ARRAY_JOB_ID",
        "SLURM_ARRAY_TASK_ID",
        "SLURM_HET_SIZE",
        "SLURM_RESTART_COUNT",
        "SLURM_STEP_ID",
        "SLURM_NODEID",
        "SLURM_PROCID",
        "SLURM_LOCALID",
    )
    facts = _FACTS
    node_variables = ("SLURM_JOB_NODELIST",)
    commands = ("sbatch", "squeue", "scancel")
    question = ("squeue", "--me", "--noheader")
    providers = ("SlurmProvider",)
    launchers = _LAUNCHERS

    def nodes(self, environ: Mapping[str, str]) -> tuple[list[str], str | None]:
        """See :class:`Scheduler`."""
        text = environ.get("SLURM_JOB_NODELIST")
        if not text:
            return [], "SLURM_JOB_NODELIST is not set"
        from prov_worker.schedulers.answers import hostlist

        try:
            return hostlist.expand(text), None
        except ValueError as error:
            return [], f"SLURM_JOB_NODELIST: {error}"

    def explainer(self, environ: Mapping[str, str]) -> Explain:
        """See :class:`Scheduler`."""
        from prov_worker.schedulers.answers import slurm

        return slurm.JobEnds(environ).explain

    def look(self, job: str) -> JobWord | None:
        """See :class:`Scheduler`; of a job that it could not launch, Slurm gives one of two reasons for holding it."""
        from prov_worker.schedulers.answers import slurm

        return slurm.look(job)

    def contradictions(self, options: Mapping[str, Any]) -> Iterator[Contradiction]:
        """See :class:`Scheduler`."""
        kinds = set(re.split(r"[&|]", options.get("constraint", "")))
        if options.get("gpus_per_node") and "cpu" in kinds and "gpu" not in kinds:
            why = f"nodes of kind cpu have none of the {options['gpus_per_node']} GPUs that gpus_per_node asks for"
            yield ("constraint", "gpus_per_node"), f"{why}; take the site for CPU nodes, or another kind"
        if options.get("exclusive") and "shared" in options.get("qos", "").split("_"):
            why = f"whole nodes are not what qos={options['qos']} gives"
            yield ("exclusive", "qos"), f"{why}; set exclusive=false, or another qos"

    def preflight(self, job: JobRequest) -> Iterator[Finding]:
        """See :class:`Scheduler`: the queue's answer, account and QOS, partition, and a trial of the very script."""
        from prov_worker.schedulers.answers import slurm

        return slurm.preflight(job)


SCHEDULERS.add(Slurm.name, Slurm())
