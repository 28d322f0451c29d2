"""What is asked of the endpoint's engine itself: whether it is one of ours, which tasks run, and to cancel tasks.

Both are tasks that our engines answer without a worker (:mod:`prov_worker.globus.engine_requests`).
"""

from __future__ import annotations

import getpass
import platform
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prov_worker.globus.call_packing import pack_arguments, unpack_result
from prov_worker.globus.engine_requests import MAX_TASKS, outcomes_of
from prov_worker.globus.task_options import KEY

if TYPE_CHECKING:
    from prov_worker.jobs.exchange import Client
    from prov_worker.jobs.session import Jobs

#: How long somebody who cancels waits for the engine's word.
CANCEL_S = 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0


def engine_request() -> None:
    """Stand in for a function; our engines do not call it."""
    raise RuntimeError("this endpoint's engine is not prov-worker's")


class EngineLink:
    """The engine of a session's endpoint.

    Args:
        session: whose endpoint.
        client: of the web service.
    """

    def __init__(self, session: Jobs, client: Client) -> None:
        self._session = session
        self._client = client
        self._other: bool | None = None
        self._lock = threading.Lock()

    def is_ours(self, go_on: Callable[[], bool]) -> bool:
        """Return whether it is one of ours; waits until the endpoint has answered once, or ``go_on`` returns False.

        Raises:
            ProvWorkerError: the web service refuses to ask.
        """
        with self._lock:
            if self._session.ledger.ours:
                return True
            if self._other is None:
                self._other = self._ask({"about": True}, go_on) is None
            return not self._other

    def cancel(self, tasks: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Ask for tasks to be cancelled; return what is known of each after 10 s at most.

        Empty if the engine is not one of ours; what it says of a task is as in
        :func:`prov_worker.globus.engine_requests.outcomes_of`; ``asked`` if it has not answered.
        """
        if self._other:
            return {}
        until = time.monotonic() + CANCEL_S
        outcomes: dict[str, tuple[str, str]] = {}
        for start in range(0, len(tasks), MAX_TASKS):
            part = tasks[start : start + MAX_TASKS]
            outcomes |= dict.fromkeys(part, ("asked", ""))
            try:
                value = self._ask({"cancel": list(part), "by": _who()}, lambda: time.monotonic() < until)
            except TimeoutError:
                continue
            answered = outcomes_of(value, part)
            if answered is None:
                self._other = True
                return {}
            outcomes |= answered
        return outcomes

    def running(self, tasks: Sequence[str]) -> set[str] | None:
        """Ask which tasks run; None if the engine is not one of ours, or has not answered within 10 s."""
        if self._other:
            return None
        until = time.monotonic() + CANCEL_S
        running: set[str] = set()
        for start in range(0, len(tasks), MAX_TASKS):
            try:
                request = {"running": list(tasks[start : start + MAX_TASKS])}
                value = self._ask(request, lambda: time.monotonic() < until)
            except TimeoutError:
                return None
            if value is None:  # such as one of an earlier release, which knows no such question
                return None
            running.update(map(str, value.get("running") or ()))
        return running

    def _ask(self, request: dict[str, Any], go_on: Callable[[], bool]) -> dict[str, Any] | None:
        """Ask the engine; return its answer, None if it is not one of ours.

        Raises:
            TimeoutError: ``go_on`` returned False before an answer came.
            ProvWorkerError: the web service refuses to ask, or cannot be reached.
        """
        function_id = self._session.registered(engine_request)[1]
        task_id = self._client.request(function_id, pack_arguments((), {}), {KEY: request})
        pause_s = _FIRST_PAUSE_S
        while True:
            for answer in self._client.answers([task_id]):
                if not answer.succeeded:
                    return None
                value = unpack_result(answer.text)
                if not isinstance(value, dict) or KEY not in value:
                    return None
                self._session.note_ours()
                return value
            if not go_on():
                raise TimeoutError("the endpoint's engine has not answered")
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)


def _who() -> str:
    """Return who cancels: user and host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "somebody"
    return f"{user}@{platform.node() or 'localhost'}"[:200]
