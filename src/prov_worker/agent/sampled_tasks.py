"""What was sampled of tasks, kept until their records are read."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from prov_worker.agent.process_use import TreeUse
from prov_worker.agent.tick import Tick
from prov_worker.attempt import AttemptId
from prov_worker.model import TaskSeries

#: The oldest go first: their records may never come.
_MAX_KEPT = 20_000


class SampledTasks:
    """What the sampler reported of tasks that have ended.

    Attributes:
        series: by attempt.
        trees: what was seen of process trees, by attempt.
    """

    def __init__(self) -> None:
        self.series: OrderedDict[AttemptId, TaskSeries] = OrderedDict()
        self.trees: OrderedDict[AttemptId, TreeUse] = OrderedDict()

    def take(self, tick: Tick) -> None:
        """Keep what one message of the sampler has of tasks."""
        self.series.update(tick.series)
        self.trees.update(tick.trees)
        kept: OrderedDict[AttemptId, Any]
        for kept in (self.series, self.trees):
            while len(kept) > _MAX_KEPT:
                kept.popitem(last=False)
