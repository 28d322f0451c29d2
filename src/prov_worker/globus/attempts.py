"""Tasks on their way through an engine: one entry per task, and one per attempt at it."""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError, Future, InvalidStateError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from globus_compute_endpoint.engines.base import GCExecutorFuture, GCFuture

from prov_worker.globus.remote_errors import entered_helper, is_missing_package_error
from prov_worker.globus.runs_once import BEGUN_BEFORE
from prov_worker.globus.task_options import NO_OPTIONS, TaskOptions

if TYPE_CHECKING:
    from prov_worker.globus.engine import RecordingEngine


@dataclass(slots=True)
class OpenTask:
    """A task between ``submit`` and its result: one entry for all its attempts."""

    future: GCFuture | None
    submitted_ns: int
    options: TaskOptions = NO_OPTIONS
    attempt: int = 0
    reported: int = 0

    @property
    def function_id(self) -> str | None:
        """UUID of the function as text; None if it is not known."""
        function_id = getattr(self.future, "function_id", None)
        return None if function_id is None else str(function_id)


class TaskAttempt:
    """One attempt on its way: passes on how it ended. Called on the executor's thread for results.

    One object and no closures: thousands of tasks may be open, and the collector of garbage looks at everything that
    they hold.

    Args:
        engine: that sent it.
        task: of which it is an attempt.
        number: 1 for the first.
        stock: what the stock engine sends: specification of resources, function, packed task, arguments.
    """

    __slots__ = ("engine", "number", "settled", "stock", "task")

    def __init__(self, engine: RecordingEngine, task: OpenTask, number: int, stock: tuple[Any, ...]) -> None:
        self.engine = engine
        self.task = task
        self.number = number
        self.stock = stock
        self.settled = GCExecutorFuture()

    def __call__(self, sent: Any) -> None:
        """Pass on how the attempt ended, or see to it that it ends otherwise.

        Args:
            sent: the executor's future, which is done.
        """
        if sent.cancelled():
            pass_on(sent, self.settled)
            return
        error = sent.exception()
        if error is None:
            result = sent.result()
            if self.task.options.once and result == BEGUN_BEFORE:
                self.engine._begun_before(self)
            else:
                self.settled.set_result(result)
        elif is_missing_package_error(error):
            try:
                self.engine._resend_unrecorded(self, sent, error)
            except Exception as failure:
                self.settled.set_exception(failure)
        else:
            ended = None
            if not entered_helper(error):
                ended = self.engine._lost(self.stock[3][0], self.task, self.number, [error])
            if ended is None:
                self.settled.set_exception(error)
            else:  # a result, so that the stock engine does not try once more
                self.settled.set_result(ended)


def pass_on(ended: Future[Any], waiting: Future[Any]) -> None:
    """Let a future end as another did. Does not raise: callbacks of futures call it.

    Args:
        ended: the other one, which is done: ``exception()`` of one that was cancelled raises.
        waiting: the future; left alone if it has ended, such as one that was cancelled meanwhile.
    """
    if waiting.done():
        return
    with contextlib.suppress(InvalidStateError):
        if ended.cancelled():
            if waiting.cancel():
                waiting.set_running_or_notify_cancel()
            else:  # it is under way, so that nobody can cancel it any more
                waiting.set_exception(CancelledError("the task was cancelled"))
        elif (error := ended.exception()) is not None:
            waiting.set_exception(error)
        else:
            waiting.set_result(ended.result())
