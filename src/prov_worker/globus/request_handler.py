"""The engine's side of requests to it: they are passed on to the node's agents, whose answer goes back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from prov_worker import __version__
from prov_worker.globus.engine_requests import EngineRequest
from prov_worker.globus.error_results import packed_error, packed_value
from prov_worker.globus.waiting_list import WaitingList
from prov_worker.spool import endings
from prov_worker.spool.live import running_tasks

if TYPE_CHECKING:
    from globus_compute_endpoint.engines.base import GCFuture

    _Question: TypeAlias = tuple[GCFuture, tuple[str, ...]]

#: An answer says ``asked`` of what has not ended so long after it was asked for.
ANSWER_S = 8.0


@dataclass(slots=True, eq=False)
class _Cancelling:
    """A request that has no answer yet; of each of its tasks, what has come of it."""

    future: GCFuture
    by: str
    asked_ns: int
    until: float
    waiting: set[str]
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    is_asked: bool = False


class RequestHandler:
    """Answers the requests to one engine, in a thread of its own while it waits for an agent.

    Args:
        crate_dir: of the engine; None if it records nothing.
        is_open: whether a task of this engine has no result yet.
    """

    def __init__(self, crate_dir: str | None, is_open: Callable[[uuid.UUID], bool]) -> None:
        self._crate_dir = crate_dir
        self._is_open = is_open
        self._waiting = WaitingList("prov-worker-cancel", self._look, self._answer)
        # In a thread, as the file system may take its time.
        self._questions: WaitingList[_Question] = WaitingList("prov-worker-running", lambda _: True, self._tell_running)

    def take(self, future: GCFuture, request: EngineRequest) -> None:
        """Have a request answered. Does not raise."""
        task_id = future.gc_task_id
        if request.running:
            self._questions.add((future, request.running))
            return
        if not request.cancel:
            future.set_result(packed_value(task_id, {"prov_worker": __version__}))
            return
        if self._crate_dir is None:
            text = "tasks of this endpoint run unrecorded, and cannot be cancelled"
            future.set_result(packed_error(task_id, "CANNOT_CANCEL", text))
            return
        waiting = {task for task in request.cancel if self._is_open(uuid.UUID(task))}
        cancelling = _Cancelling(future, request.by, time.time_ns(), time.monotonic() + ANSWER_S, waiting)
        cancelling.outcomes = {task: ["ended", ""] for task in request.cancel if task not in waiting}
        self._waiting.add(cancelling)

    def _tell_running(self, question: _Question) -> None:
        """Answer which tasks run, as the agents of the crate directory have written it down last."""
        future, tasks = question
        running = [] if self._crate_dir is None else running_tasks(self._crate_dir)
        value = {"prov_worker": __version__, "running": [task for task in tasks if task in running]}
        future.set_result(packed_value(future.gc_task_id, value))

    def _look(self, cancelling: _Cancelling) -> bool:
        """See what has come of a request; whether it can be answered.

        Raises:
            OSError: nobody can be asked.
        """
        assert self._crate_dir is not None
        if not cancelling.is_asked:  # here, as the file system may take its time
            cancelling.is_asked = True
            for task in sorted(cancelling.waiting):
                endings.ask(self._crate_dir, task, cancelling.by)
        for task, answer in endings.answers(self._crate_dir, cancelling.waiting, cancelling.asked_ns).items():
            if isinstance(answer, str):
                cancelling.outcomes[task] = ["refused", answer]
            else:
                cancelling.outcomes[task] = [answer.kind, answer.text]
            cancelling.waiting.discard(task)
        for task in [task for task in cancelling.waiting if not self._is_open(uuid.UUID(task))]:
            cancelling.outcomes[task] = ["ended", ""]
            cancelling.waiting.discard(task)
            endings.forget_wish(self._crate_dir, task)
        return not cancelling.waiting or time.monotonic() >= cancelling.until

    def _answer(self, cancelling: _Cancelling) -> None:
        outcomes = {**cancelling.outcomes, **{task: ["asked", ""] for task in cancelling.waiting}}
        value = {"prov_worker": __version__, "cancel": outcomes}
        cancelling.future.set_result(packed_value(cancelling.future.gc_task_id, value))
