"""One crate to write."""

from __future__ import annotations

from dataclasses import dataclass

from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.output_files import Outputs
from prov_worker.crate.writer import Plot
from prov_worker.model import TaskSeries
from prov_worker.spool.records import Ended


@dataclass(slots=True)
class CrateJob:
    """One crate to write.

    ``cut_off`` if the task has no end because its worker is gone, ``death_seen`` if this agent saw the worker die.
    """

    ended: Ended
    follower: Follower
    series: TaskSeries | None = None
    plot: Plot | None = None
    completed: bool = False
    plot_until: float = 0.0
    slot: str | None = None
    sequence: int = 0
    cut_off: bool = False
    death_seen: bool = False
    outputs: Outputs | None = None
