"""What the tasks of an agent came to that have their crates: numbers that only grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from prov_worker.model import TaskRecord


@dataclass(slots=True)
class Tally:
    """Totals since the agent's start.

    Attributes:
        tasks: by status.
        wall_s: seconds that they took.
        cpu_s: CPU seconds that they used.
        cpu_joules: their share of the CPUs' energy, as far as it is counted.
        gpu_joules: energy of their GPUs, as far as it is counted.
    """

    tasks: Counter[str] = field(default_factory=Counter)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    cpu_joules: float = 0.0
    gpu_joules: float = 0.0

    def add(self, record: TaskRecord) -> None:
        """Count a task."""
        usage = record.usage
        self.tasks[record.status] += 1
        self.wall_s += max(0.0, record.wall_time_s)
        self.cpu_s += usage.cpu_s or 0.0
        self.cpu_joules += usage.cpu_energy_joules or 0.0
        self.gpu_joules += usage.gpu_energy_joules or 0.0
