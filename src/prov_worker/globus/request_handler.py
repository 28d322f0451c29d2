"""The engine's side of requests to it: they are passed on to the node's agents, whose answer goes back."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prov_worker import __version__
from prov_worker.globus.engine_requests import EngineRequest
from prov_worker.globus.error_results import packed_error, packed_value
from prov_worker.spool import endings

if TYPE_CHECKING:
    from globus_compute_endpoint.engines.base import GCFuture

_log = logging.getLogger(__name__)

#: An answer says ``asked`` of what has not ended so long after it was asked for.
ANSWER_S = 8.0
_LOOK_S = 0.2


@dataclass(slots=True)
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
        self._lock = threading.Lock()
        self._pending: list[_Cancelling] = []
        self._thread: threading.Thread | None = None

    def take(self, future: GCFuture, request: EngineRequest) -> None:
        """Have a request answered. Does not raise."""
        task_id = future.gc_task_id
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
        with self._lock:
            self._pending.append(cancelling)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="prov-worker-cancel", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                pending = list(self._pending)
                if not pending:
                    self._thread = None
                    return
            for cancelling in pending:
                try:
                    over = self._look(cancelling)
                except Exception:
                    _log.exception("a request to cancel tasks cannot be answered")
                    over = True
                if over:
                    self._answer(cancelling)
                    with self._lock:
                        self._pending.remove(cancelling)
            time.sleep(_LOOK_S)

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
        try:
            cancelling.future.set_result(packed_value(cancelling.future.gc_task_id, value))
        except Exception:  # the engine was shut down meanwhile
            _log.debug("nobody waits for the answer any more", exc_info=True)
