"""Waiting for a crate before a result is released, if the settings ask for that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

from prov_worker.spool.slot import Slot

_log = logging.getLogger("prov_worker.recorder.recorder")

_WAIT_NS = 60_000_000_000
_ASK_AGENT_NS = 1_000_000_000


class _Clock:
    """Bound here, where programs that replace the clocks of modules do not look."""

    now_ns = staticmethod(time.monotonic_ns)
    sleep = staticmethod(time.sleep)


def wait_for_crate(slot: Slot | None, sequence: int, task_id: UUID, ask_for_agent: Callable[[], None]) -> None:
    """Wait until the agent says that the crate is on disk; gives up, loudly, after a minute.

    Args:
        slot: of the worker.
        sequence: of the task in it.
        task_id: of the task.
        ask_for_agent: called every second: the agent may have died meanwhile.
    """
    now = _Clock.now_ns()
    deadline_ns, asked_ns, pause = now + _WAIT_NS, now, 0.0005
    while slot is not None and slot.finished() < sequence:
        now = _Clock.now_ns()
        if now > asked_ns + _ASK_AGENT_NS:
            asked_ns = now
            ask_for_agent()
        if now > deadline_ns:
            _log.error("task %s: no crate after %.0f s; the result is released without it", task_id, _WAIT_NS / 1e9)
            return
        _Clock.sleep(pause)
        pause = min(pause * 1.5, 0.01)
