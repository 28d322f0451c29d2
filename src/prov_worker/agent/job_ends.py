"""How a batch job ended, for tasks that failed with it: a worker that is killed with its job cannot know why."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping

from prov_worker import schedulers
from prov_worker.model import ENDED_BY_AGENT, TaskRecord
from prov_worker.schedulers.base import Explain, Scheduler

log = logging.getLogger(__name__)


class JobEnds:
    """Asks the schedulers about the jobs of tasks that failed. No method raises.

    Args:
        environ: where the schedulers' commands are found, and how they find their configuration.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._explainers: dict[Scheduler, Explain] = {}

    def explain(self, record: TaskRecord, death_seen: bool = False) -> None:
        """Say in a failure what the end of its job has to do with it.

        Args:
            record: a task; one without a failure, whose function raised, or that an agent ended, stays as it is.
            death_seen: whether this agent saw the worker die, so that the record's end is the moment of its death.
        """
        if record.failure is None or record.failure.kind in ("exception", *ENDED_BY_AGENT):
            return
        try:
            scheduler = schedulers.of_job(record.worker.scheduler)
            if scheduler is None:
                return
            explain = self._explainers.get(scheduler)
            if explain is None:
                explain = self._explainers[scheduler] = scheduler.explainer(self._environ)
            record.failure = dataclasses.replace(record.failure)  # tasks of one worker may share theirs
            explain(record, death_seen)
        # Whatever a scheduler's programs do, the task has its crate.
        except Exception:
            log.warning("task %s: its job's end could not be looked up", record.task_id, exc_info=True)
