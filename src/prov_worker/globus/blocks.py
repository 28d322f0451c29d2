"""Blocks that do not come: what the scheduler says of them, and a bound to how many are asked for.

Parsl counts blocks that run and that wait (``jobs/strategy.py``): one that is held is neither, so that another is asked
for at each look, without end; and of one that was deleted while it waited it says that its workers failed to register.
Once a block has run, Parsl's error handler (``jobs/error_handlers.py``) waits for all blocks that ever were to fail, so
that others, which fail one after the other, are asked for without end too.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from parsl.jobs.errors import TooManyJobFailuresError
from parsl.jobs.states import JobState, JobStatus

from prov_worker import schedulers

if TYPE_CHECKING:
    from parsl.executors import HighThroughputExecutor

    from prov_worker.schedulers import Scheduler
    from prov_worker.schedulers.answers import JobWord

_log = logging.getLogger(__name__)

#: So many blocks may end one after the other before a worker came; then no more are asked for.
MAX_FAILED = 3
#: While other blocks run: how long no more are asked for.
PAUSE_S = 600.0
#: How often a scheduler is asked about one block.
_ASK_S = 60.0
_FAILED = (JobState.FAILED, JobState.MISSING)
_WAITING = (JobState.PENDING, JobState.HELD)


def watch_blocks(executor: HighThroughputExecutor) -> None:
    """Look after the blocks of an executor, if its provider has a scheduler that this package knows."""
    scheduler = schedulers.for_provider(type(executor.provider).__name__)
    if scheduler is not None:
        executor.status = BlockWatch(executor, scheduler).status


class BlockWatch:
    """Stands between an executor's status and those who act on it: Parsl's strategy and its error handler.

    Args:
        executor: whose blocks.
        scheduler: that runs them.
    """

    def __init__(self, executor: HighThroughputExecutor, scheduler: Scheduler) -> None:
        self._executor = executor
        self._scheduler = scheduler
        self._stock = executor.status
        self._max_blocks: int | None = None
        self._paused_until = 0.0
        self._words: dict[str, tuple[float, JobWord | None]] = {}
        self._given_up: dict[str, str] = {}

    def status(self) -> dict[str, JobStatus]:
        """Return the status of each block, as Parsl's own method does; called by its poller alone."""
        statuses: dict[str, JobStatus] = self._stock()
        try:
            self._explain(statuses)
            self._bound(statuses)
        except Exception:
            # The endpoint is worth more than its explanations.
            _log.exception("blocks are not looked after")
        return statuses

    def _explain(self, statuses: dict[str, JobStatus]) -> None:
        runs = any(status.state == JobState.RUNNING for status in statuses.values())
        for block, status in statuses.items():
            job = self._executor.blocks_to_job_id.get(block)
            if block in self._given_up:
                statuses[block] = JobStatus(JobState.FAILED, self._given_up[block])
            elif job is None:
                continue
            elif status.state in _WAITING:
                word = self._ask(block, job)
                text = None if word is None else word.text
                if word is not None and word.stuck and not runs:
                    statuses[block] = self._give_up(block, job, word.text)
                elif status.state == JobState.HELD:
                    # It counts: it is a block that was asked for, and that may run as soon as it is released.
                    statuses[block] = JobStatus(JobState.PENDING, text, None, status.stdout_path, status.stderr_path)
            elif status.state in _FAILED:
                word = self._ask(block, job, again=False)
                if word is not None and word.text not in (status.message or ""):
                    status.message = f"{word.text}. {status.message}" if status.message else word.text

    def _ask(self, block: str, job: str, again: bool = True) -> JobWord | None:
        """Return what the scheduler says of a block; it is logged when it changes."""
        kind = f"{block} {again}"
        at, word = self._words.get(kind, (-_ASK_S, None))
        now = time.monotonic()
        if now - at < _ASK_S or (at >= 0 and not again):
            return word
        latest = self._scheduler.look(job)
        self._words[kind] = (now, latest)
        if latest is not None and latest != word:
            level = logging.WARNING if latest.held or not again else logging.INFO
            _log.log(level, "block %s: %s", block, latest.text)
        return latest

    def _give_up(self, block: str, job: str, text: str) -> JobStatus:
        """Take a block back that the scheduler could not start."""
        _log.error("block %s is given up: %s", block, text)
        self._given_up[block] = text
        self._executor.provider.cancel([job])
        return JobStatus(JobState.FAILED, text)

    def _bound(self, statuses: dict[str, JobStatus]) -> None:
        """Ask for no more blocks once several in a row have failed."""
        provider = self._executor.provider
        if self._max_blocks is not None and time.monotonic() >= self._paused_until:
            provider.max_blocks, self._max_blocks = self._max_blocks, None
            return  # one more is tried
        failed = []
        for block in sorted(statuses, key=int, reverse=True):
            if statuses[block].state in _FAILED:
                failed.append(block)
            elif statuses[block].state not in _WAITING:
                break
        if len(failed) < MAX_FAILED or self._executor.bad_state_is_set:
            return
        reasons = "; ".join(dict.fromkeys(statuses[block].message or "no reason is known" for block in failed))
        text = f"the last {len(failed)} blocks ended before a worker came: {reasons}"
        active = sum(status.state in (JobState.RUNNING, *_WAITING) for status in statuses.values())
        if not active:
            self._executor.set_bad_state_and_fail_all(TooManyJobFailuresError(text))
        elif self._max_blocks is None and active < provider.max_blocks:
            _log.error("no more blocks are asked for in the next %.0f s: %s", PAUSE_S, text)
            self._max_blocks, provider.max_blocks = provider.max_blocks, active
            self._paused_until = time.monotonic() + PAUSE_S
