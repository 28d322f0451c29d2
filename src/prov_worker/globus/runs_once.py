"""Tasks that are to run once, whoever delivers them again: ``{"prov_worker": {"once": true}}``.

The web service delivers a task again whose result it has not got: after the end of its endpoint, of a broker or of a
connection, and nobody can tell it that the task has begun. A worker therefore claims such a task before it calls its
function (:mod:`prov_worker.spool.claims`), and does not call that of a task that is claimed. The engine then answers
with the result of the first time once it is there, and with an error once it cannot come any more.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prov_worker.globus.waiting_list import WaitingList
from prov_worker.interruptions import is_own
from prov_worker.recorder.errors import log_internal_error
from prov_worker.spool import claims

#: What a worker answers of a task that has begun before.
BEGUN_BEFORE = b"prov_worker: the task has begun before"


def begin(provenance: Mapping[str, Any], task_id: Any, endpoint_id: Any) -> bytes | None:
    """Claim a task for this worker, which is about to run it; returns what to answer if it must not.

    Args:
        provenance: as the engine sends it.
        task_id: UUID or text.
        endpoint_id: likewise; None if it is not known.
    """
    task = uuid.UUID(str(task_id))
    try:
        crate_dir = provenance["settings"]["crate_dir"]
        return None if claims.take(crate_dir, str(task), provenance.get("attempt") or 1) else BEGUN_BEFORE
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error("the claim of a task that is to run once")
        from prov_worker.globus.error_results import packed_refusal
        from prov_worker.globus.task_options import ONCE

        return packed_refusal(task, endpoint_id, f"{ONCE}: cannot be held: {type(error).__name__}: {error}")


def keep(provenance: Mapping[str, Any], task_id: Any, result: bytes, pid: int) -> None:
    """Keep the result of a claimed task; does nothing in a child that the task forked.

    Args:
        provenance: as of :func:`begin`.
        task_id: likewise.
        result: the packed message.
        pid: of the worker that claimed it.
    """
    if pid != os.getpid():
        return
    try:
        claims.keep_result(provenance["settings"]["crate_dir"], str(uuid.UUID(str(task_id))), result)
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error("the result of a task that is to run once")


@dataclass(slots=True, eq=False)
class _Begun:
    """A task that was delivered again, and where its answer goes."""

    task_id: uuid.UUID
    settle: Callable[[bytes], None]
    until: float
    result: bytes | None = None


class BegunTasks:
    """Answers tasks that have begun before.

    Args:
        crate_dir: of the engine.
        endpoint_id: of the engine; None if it is not known.
        wait_s: how long the worker that began a task may go on without this engine. A manager ends its workers once it
            has heard nothing of its interchange for ``heartbeat_threshold`` (Parsl's ``HighThroughputExecutor``).
    """

    def __init__(self, crate_dir: str, endpoint_id: Any, wait_s: float) -> None:
        self._crate_dir = crate_dir
        self._endpoint_id = endpoint_id
        self._wait_s = wait_s
        self._waiting = WaitingList("prov-worker-begun-tasks", self._look, self._answer)

    def take(self, task_id: uuid.UUID, settle: Callable[[bytes], None], *, is_over: bool = False) -> None:
        """Have a task answered.

        Args:
            task_id: of the task.
            settle: takes the packed answer.
            is_over: the worker that began it is known to be gone.
        """
        self._waiting.add(_Begun(task_id, settle, time.monotonic() + (0 if is_over else self._wait_s)))

    def _look(self, begun: _Begun) -> bool:
        """See whether there is a result, or can be none any more."""
        over = time.monotonic() >= begun.until
        if not over:
            claim = claims.claim_of(self._crate_dir, str(begun.task_id))
            over = claim is None or claim.runs() is False
        begun.result = claims.result_of(self._crate_dir, str(begun.task_id))  # after the look at its worker
        return over or begun.result is not None

    def _answer(self, begun: _Begun) -> None:
        from prov_worker.globus.error_results import packed_begun

        claim = claims.claim_of(self._crate_dir, str(begun.task_id)) or claims.Claim()
        begun.settle(begun.result or packed_begun(begun.task_id, self._endpoint_id, claim.text))
