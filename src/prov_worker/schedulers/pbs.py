"""PBS Professional and OpenPBS.

Sources: the manual pages qsub(1B) and qstat(1B), and what OpenPBS 23.06.06 was seen to do. PBS tells a job neither its
project nor its end: the sites' templates set ``PBS_ACCOUNT`` and ``PBS_JOB_END_TIME``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prov_worker.schedulers import SCHEDULERS
from prov_worker.schedulers.base import Scheduler

if TYPE_CHECKING:
    from prov_worker.finding import Finding
    from prov_worker.schedulers.answers import JobWord
    from prov_worker.schedulers.base import Explain, JobRequest

_FACTS = {
    "job_id": "PBS_JOBID",
    "job_name": "PBS_JOBNAME",
    "queue": "PBS_QUEUE",
    "mode": "PBS_ENVIRONMENT",
    "submit_host": "PBS_O_HOST",
    "array_job_id": "PBS_ARRAY_ID",
    "array_index": "PBS_ARRAY_INDEX",
    "cpus": "NCPUS",
}
_LAUNCHERS = {"MpiExecLauncher": "mpiexec"}


class PBS(Scheduler):
    """PBS."""

    name = "pbs"
    title = "PBS"
    job_id = "PBS_JOBID"
    # Not PBS_NODENUM: launchers pass the first node's environment on, so it is 0 on every node.
    variables = (
        "PBS_JOBID",
        "PBS_JOBNAME",
        "PBS_QUEUE",
        "PBS_ACCOUNT",
        "PBS_JOB_END_TIME",
        "PBS_ARRAY_ID",
        "PBS_ARRAY_INDEX",
    )
    secrets = ("PBS_JOBCOOKIE",)
    facts = _FACTS
    node_variables = ("PBS_NODEFILE",)
    commands = ("qsub", "qstat", "qdel")
    question = ("qstat", "-B")
    setuid_clients = True  # pbs_iff(8) tells the server who asks
    providers = ("PBSProProvider",)
    launchers = _LAUNCHERS
    login_environment = True

    def nodes(self, environ: Mapping[str, str]) -> tuple[list[str], str | None]:
        """See :class:`Scheduler`; ``PBS_NODEFILE`` names a host once for each MPI rank."""
        path = environ.get("PBS_NODEFILE")
        if not path:
            return [], "PBS_NODEFILE is not set"
        from prov_worker.schedulers.answers import hostlist

        try:
            return hostlist.read_file(path), None
        except (OSError, ValueError):
            return [], f"{path} cannot be read"

    def node_index(self, environ: Mapping[str, str], nodes: Sequence[str], host: str) -> int | None:
        """See :class:`Scheduler`; by name: mpiexec passes the first node's ``PBS_NODENUM`` on to all."""
        names = [node.partition(".")[0] for node in nodes]
        short = host.partition(".")[0]
        return names.index(short) if names.count(short) == 1 else None

    def explainer(self, environ: Mapping[str, str]) -> Explain:
        """See :class:`Scheduler`."""
        from prov_worker.schedulers.answers import pbs

        return pbs.explain

    def look(self, job: str) -> JobWord | None:
        """See :class:`Scheduler`; PBS holds a job that it could not start 21 times (``Hold_Types`` has ``s``)."""
        from prov_worker.schedulers.answers import pbs

        return pbs.look(job)

    def gpus_per_node(self, options: Mapping[str, Any]) -> tuple[str, int] | None:
        """See :class:`Scheduler`; PBS is asked by ``ngpus`` of a chunk."""
        match = re.search(r"(?:^|:)ngpus=(\d+)", str(options.get("select_options", "")))
        return super().gpus_per_node(options) if match is None else ("select_options", int(match[1]))

    def preflight(self, job: JobRequest) -> Iterator[Finding]:
        """See :class:`Scheduler`: queue and its limits, job history, account."""
        from prov_worker.schedulers.answers import pbs

        return pbs.preflight(job)


SCHEDULERS.add(PBS.name, PBS())
