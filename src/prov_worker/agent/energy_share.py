"""What part of the node's energy is a task's."""

from __future__ import annotations

from collections.abc import Mapping

from prov_worker import accelerators
from prov_worker.counters import Usage
from prov_worker.model import Energy


def apportion(usage: Usage, energy: Energy, wall_time_s: float, cpus: int, environ: Mapping[str, str]) -> None:
    """Add joules to the counters of a task.

    The node's are all that it drew meanwhile, whoever used them. Of its CPUs' a task is given its share of all the time
    that they had, so that those of tasks beside each other are together no more than what was counted; the rest is of
    other programs, and of CPUs that were idle. GPUs are the task's if a variable gives them to its worker.

    Args:
        usage: the counters, whose CPU time is complete; changed in place.
        energy: what was drawn.
        wall_time_s: how long the task took.
        cpus: logical CPUs of the node.
        environ: variables that restrict accelerators (:mod:`prov_worker.accelerators`).
    """
    # Counted up to the look after the end, or from a moment after the start, at about the same power.
    part = wall_time_s / energy.span_s if energy.span_s > 0 else 0.0
    if energy.node_joules is not None:
        usage.node_energy_joules = round(energy.node_joules * part, 3)
    if energy.idle_share is not None:
        usage.node_idle_percent = round(100 * energy.idle_share, 2)
    if energy.cpu_joules is not None and usage.cpu_s is not None and wall_time_s > 0:
        share = min(1.0, usage.cpu_s / (cpus * wall_time_s))
        usage.cpu_energy_joules = round(energy.cpu_joules * part * share, 3)
    numbers = accelerators.visible_numbers(environ, energy.gpus)
    counted = [energy.gpu_joules.get(int(number)) for number in numbers or ()]
    joules = [value for value in counted if value is not None]
    if joules and len(joules) == len(counted):
        usage.gpu_energy_joules = round(sum(joules) * part, 3)
