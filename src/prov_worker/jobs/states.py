"""States of a job."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """What is known of a job.

    ``queued``: it is not known to have begun: it waits here to be sent, or was sent and waits at the endpoint or runs
    there: the web service says no more. ``running``: the endpoint's engine, one of ours, has said that it runs.
    ``completed``: its function returned. ``failed``: its function raised, its command's exit status was not 0, or the
    web service refused it. ``lost``: no worker answered; its function may have run in part. ``timed_out``: it was ended
    at its time limit. ``cancelled``: it was cancelled before it was sent or at the endpoint, or its result was dropped.
    ``unknown``: the program ended while it was being sent, and nothing tells whether its task exists.
    """

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to such a job by itself."""
        return self not in (State.QUEUED, State.RUNNING)


#: States in which a job may be sent again by itself.
RETRYABLE = (State.LOST, State.TIMED_OUT, State.FAILED)
