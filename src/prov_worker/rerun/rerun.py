"""A step runs again: here in a process of its own, or at an endpoint; then both executions are compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.crate.sources import DirectorySource
from prov_worker.crate.summary_reader import open_step
from prov_worker.rerun.comparison import Comparison, compare
from prov_worker.rerun.local import run_here, settings_here
from prov_worker.rerun.plan import Plan
from prov_worker.rerun.record import add_basis


@dataclass(slots=True)
class Rerun:
    """One step that ran again.

    Attributes:
        plan: of the first execution.
        crate: the new crate; None if it is where the endpoint writes crates.
        task_id: of the new task.
        comparison: of both.
    """

    plan: Plan
    crate: Path | None
    task_id: str
    comparison: Comparison

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "first": {"crate": self.plan.step.crate, "task_id": self.plan.step.task_id},
            "function": self.plan.step.function,
            "task_id": self.task_id,
            "crate": None if self.crate is None else str(self.crate),
            **self.comparison.to_dict(),
        }


def rerun_here(plan: Plan, directory: Path) -> Rerun:
    """Run a step again on this machine.

    Args:
        plan: of it.
        directory: where the new crate appears.

    Raises:
        SettingsError: a ``PROV_WORKER_*`` variable is wrong.
        InputError: the directory cannot be made.
        ProvWorkerError: the process ended and left no crate.
    """
    crate = run_here(plan.call, directory, settings_here(directory))
    return recorded(plan, crate)


def recorded(plan: Plan, crate: Path) -> Rerun:
    """Compare the crate of a rerun with that of its first execution, and say so in it.

    Raises:
        CrateError: it cannot be read.
    """
    second, _ = open_step(DirectorySource(crate))
    comparison = compare(plan.step, second)
    add_basis(crate, plan, comparison)
    return Rerun(plan, crate, second.task_id, comparison)
