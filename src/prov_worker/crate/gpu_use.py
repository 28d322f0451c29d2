"""Which GPUs an attempt held, and which of them it used: one rule for tables, queries and reports.

GPUs are sampled per node. Of a worker's own GPUs the samples are taken, those of its neighbours' are not; if it is not
known which are its own, nothing is said of their use. A GPU counts as *used* if a sample of its use was at least
:data:`USED_PERCENT`: what merely drives a display or is asked for its state stays below.
"""

from __future__ import annotations

from dataclasses import dataclass

from prov_worker import accelerators
from prov_worker.crate.summary import RunStep

#: A GPU was used if the largest sample of its use was at least this.
USED_PERCENT = 5.0


@dataclass(frozen=True, slots=True)
class GpuUse:
    """GPUs of one attempt. What is None was not sampled, or cannot be known from other workers' use.

    Attributes:
        held: number of GPUs that the worker might use; without a restriction all of its node.
        used: number of those that it used.
        busy: mean number of those that were busy: sum of their mean use / 100.
        max_percent: largest sample of the use of any of them.
        mean_percent: mean use of all of them that were sampled.
        memory_max_bytes: largest memory in use on any of them.
    """

    held: int
    used: int | None = None
    busy: float | None = None
    max_percent: float | None = None
    mean_percent: float | None = None
    memory_max_bytes: float | None = None


def gpu_use(step: RunStep) -> GpuUse:
    """Return which GPUs an attempt held, and how it used them."""
    visible = accelerators.visible(step.environment, step.gpus)
    numbers = accelerators.visible_numbers(step.environment, step.gpus)
    held = len(numbers) if numbers is not None else len(visible) if visible is not None else step.node_gpus
    if not held:
        return GpuUse(0, used=0, busy=0.0)
    if visible is not None and numbers is None and not 0 < step.node_gpus <= held:
        return GpuUse(held)
    most, mean, memory = (
        [value for number, value in by_number.items() if numbers is None or number in numbers]
        for by_number in (step.gpu_max_percent, step.gpu_mean_percent, step.gpu_memory_max_bytes)
    )
    return GpuUse(
        held,
        used=sum(1 for percent in most if percent >= USED_PERCENT) if most else None,
        busy=sum(mean) / 100 if mean else None,
        max_percent=max(most, default=None),
        mean_percent=sum(mean) / len(mean) if mean else None,
        memory_max_bytes=max(memory, default=None),
    )
