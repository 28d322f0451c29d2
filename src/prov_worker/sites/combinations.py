"""Options that are valid individually but conflict: each block would end, or the scheduler refuse its job.

What changes with time, such as limits of queues, is reported and not refused: the scheduler has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.humanize import plural
from prov_worker.schedulers import Scheduler
from prov_worker.schedulers.answers import walltime
from prov_worker.schedulers.base import Contradiction
from prov_worker.sites import affinity
from prov_worker.sites.catalog import Site


def problems(site: Site, full: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Yield all that contradict each other.

    Args:
        site: whose options they are.
        full: all options with their values.
    """
    scheduler = site.scheduler or Scheduler()
    if full.get("mpi", "none") == "none":
        yield from _cpus(site, full)
        yield from _accelerators(full, scheduler)
    else:
        yield from _mpi(site, full)
    yield from scheduler.contradictions(full)
    if full["runtime"] == "container" and not full["image"]:
        yield ("image", "runtime"), "must be set if runtime is container"
    for key in ("image", "image_digest"):
        if full["runtime"] != "container" and full[key]:
            yield (key, "runtime"), "is used with runtime=container alone; set that, or leave this out"
    if full["heartbeat_threshold"] < full["heartbeat_period"]:
        yield ("heartbeat_threshold", "heartbeat_period"), "must not be below heartbeat_period"
    if not full["min_blocks"] <= full["init_blocks"] <= full["max_blocks"]:
        between = f"min_blocks ({full['min_blocks']}) and max_blocks ({full['max_blocks']})"
        yield ("init_blocks", "min_blocks", "max_blocks"), f"{full['init_blocks']} must lie between {between}"


def _cpus(site: Site, full: Mapping[str, Any]) -> Iterator[Contradiction]:
    workers, given = full["workers"], full["affinity"]
    if given == "none":
        return
    key = next((name for name in ("cpus_per_task", "cpus_per_node") if name in full), None)
    if key is not None and workers > full[key]:
        why = f"{workers} for {plural(full[key], 'CPU')} ({key}), and Parsl's workers end if one has no CPU of its own"
        yield ("workers", key, "affinity"), f"{why}; take {full[key]} at most, or affinity=none"
    if not given.startswith("list:"):
        return
    try:
        lists = affinity.lists(given)
    except ValueError as error:
        yield ("affinity",), f"{error}; expected list:0-7:8-15, a part for each worker"
        return
    if len(lists) != workers:
        why = f"{plural(len(lists), 'list')} for {plural(workers, 'worker')}"
        yield ("affinity", "workers"), f"{why}; Parsl wants one for each: name as many, or take alternating"
    most = max(max(cpus) for cpus in lists)
    if site.cpus and most >= site.cpus:
        yield ("affinity",), f"CPU {most} is not on a node of {site.cpus}; name those of 0 to {site.cpus - 1}"


def _accelerators(full: Mapping[str, Any], scheduler: Scheduler) -> Iterator[Contradiction]:
    named = full["accelerators"]
    if not named:
        return
    if len(named) != full["workers"]:
        why = f"{len(named)} for {plural(full['workers'], 'worker')}"
        yield ("accelerators", "workers"), f"{why}; name one for each, or none"
    request = scheduler.gpus_per_node(full)
    if request is None:
        return
    key, count = request
    beyond = [name for name in named if name.isdigit() and int(name) >= count]
    if len(set(named)) > count or beyond:
        why = f"{','.join(named)} are more than the {count} that {key} asks for"
        yield ("accelerators", key, "workers"), f"{why}; ask for as many, or name {count} and set workers with them"


def _mpi(site: Site, full: Mapping[str, Any]) -> Iterator[Contradiction]:
    tasks, nodes = full["mpi_tasks"], full.get("nodes_per_block", 1)
    if tasks > nodes:
        why = f"{tasks} for {plural(nodes, 'node')} of a block, and each MPI task has nodes of its own"
        yield ("mpi_tasks", "nodes_per_block", "mpi"), f"{why}; take {nodes} at most"
    if full["runtime"] == "container":
        yield ("mpi", "runtime"), "a launcher inside a container reaches no other node; take mpi=none, or runtime=venv"
    scheduler = site.scheduler
    if full["mpi"] == "srun" and (scheduler is None or scheduler.name != "slurm"):
        other = "no scheduler" if scheduler is None else scheduler.title
        yield ("mpi",), f"srun is Slurm's, and {site.name} has {other}; take mpiexec or openmpi"


def notes(site: Site, full: Mapping[str, Any]) -> list[str]:
    """Return what was beyond a queue's limits when the template was written, as `sites check` may find it still."""
    name = full.get("queue", "")
    queue = site.queues.get(name)
    if queue is None:
        return []
    texts: list[str] = []
    low, high = queue.get("nodes", (1, None))
    nodes = full["nodes_per_block"]
    if nodes < low or (high is not None and nodes > high):
        texts.append(f"nodes_per_block: {nodes}, and {name} takes {low} to {high or 'any number'}")
    limit, wanted = walltime.seconds(str(queue.get("walltime", ""))), walltime.seconds(full["walltime"])
    if limit is not None and wanted is not None and wanted > limit:
        texts.append(f"walltime: {full['walltime']}, and {name} takes {queue['walltime']} at most")
    return [f"{text} (documented; `prov-worker sites check` asks the scheduler)" for text in texts]
