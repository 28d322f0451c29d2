"""The batch job that the node works for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prov_worker import schedulers
from prov_worker.model import host_name
from prov_worker.probes.base import NoData, ProbeContext
from prov_worker.probes.read_files import parse_int
from prov_worker.settings import PROBES

_NUMBERS = ("node_count", "array_index", "restarts", "cpus")


@dataclass(frozen=True)
class SchedulerProbe:
    """Job, queue and nodes, from variables that schedulers set.

    Data: ``kind`` (``pbs``, ``slurm``: a name in :data:`prov_worker.schedulers.SCHEDULERS`), ``job_id``, ``job_name``,
    ``queue`` (PBS) or ``partition`` (Slurm), ``nodes`` (names, in order, each once), ``nodes_error`` (why there are
    none, else None), ``node_index`` (of this host among them), and those of ``submit_host``, ``node_count``,
    ``array_job_id``, ``array_index``, ``restarts``, ``cpus`` and others that are set; names are always there, None if
    unset.
    """

    name: str = "scheduler"
    time_limit_s: float = 5.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        scheduler = schedulers.of_job(context.environ)
        if scheduler is None:
            raise NoData(f"not in a job of {' or '.join(each.title for each in schedulers.SCHEDULERS)}")
        data: dict[str, Any] = {"kind": scheduler.name}
        for key, variable in scheduler.facts.items():
            value = context.environ.get(variable) or None
            data[key] = parse_int(value) if key in _NUMBERS else value
        nodes, error = scheduler.nodes(context.environ)
        data["node_index"] = scheduler.node_index(context.environ, nodes, context.process.get("host") or host_name())
        return {**data, "nodes": nodes, "nodes_error": error}


PROBES.add("scheduler", SchedulerProbe)
