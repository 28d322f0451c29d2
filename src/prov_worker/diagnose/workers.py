"""Workers as they said where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prov_worker.diagnose.evidence import Evidence
from prov_worker.diagnose.remote.placement import MASKS

_DEVICE = re.compile(r"(\d+)(?:\.\d+)?\Z")


@dataclass(frozen=True, slots=True)
class PlacedWorker:
    """One worker.

    Attributes:
        host: name of its node.
        pid: of its process.
        rank: in its pool; None if it has none.
        cpus: logical CPUs that it may use.
        cores: the same as physical cores, each by the first of its CPUs.
        bound: whether it may use less than the whole node.
        mask: which accelerator it was given; None for none.
        numa_nodes: of its CPUs.
        gpu_numa_node: of its accelerator; None if that is not known.
        several_hosts: whether there are workers on other nodes.
    """

    host: str
    pid: int
    rank: int | None
    cpus: tuple[int, ...]
    cores: tuple[int, ...]
    bound: bool
    mask: str | None
    numa_nodes: tuple[int, ...]
    gpu_numa_node: int | None
    several_hosts: bool

    def __str__(self) -> str:
        name = f"worker {self.rank}" if self.rank is not None else f"the worker with pid {self.pid}"
        return f"{name} of {self.host}" if self.several_hosts else name


def placed_workers(evidence: Evidence) -> list[PlacedWorker]:
    """Return the workers that said where they stand, each once, by node and rank."""
    answers = list(evidence.answers("placement"))
    several = len({task.host for task, _ in answers}) > 1
    workers = {}
    for task, answer in answers:
        identity = task.value["worker"]
        rank = str(identity["rank"])
        mask = next((answer["masks"][name] for name in MASKS if name in answer["masks"]), None)
        workers[task.host, identity["pid"]] = PlacedWorker(
            task.host,
            identity["pid"],
            int(rank) if rank.isdigit() else None,
            tuple(answer["cpus"]),
            tuple(answer["cores"]),
            len(answer["cpus"]) < (answer["node_cpus"] or 0),
            mask,
            tuple(answer["numa_nodes"]),
            _gpu_numa_node(mask, answer["gpu_numa_nodes"]),
            several,
        )
    return sorted(
        workers.values(), key=lambda worker: (worker.host, -1 if worker.rank is None else worker.rank, worker.pid)
    )


def _gpu_numa_node(mask: str | None, nodes: list[int]) -> int | None:
    """Return NUMA node of the accelerator that a mask such as ``2`` or ``3.1`` names; None if it is not known."""
    match = _DEVICE.match(mask or "")
    if match is None or int(match[1]) >= len(nodes):
        return None
    node = nodes[int(match[1])]
    return node if node >= 0 else None
