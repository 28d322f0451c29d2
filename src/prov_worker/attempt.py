"""Names attempts at tasks. A module of its own, since a worker needs no other noun of :mod:`prov_worker.model`."""

from __future__ import annotations

from typing import NamedTuple


class AttemptId(NamedTuple):
    """Which attempt at which task: equal ids are one and the same execution.

    A number alone does not tell: an engine that takes a task a second time, or starts again, counts from 1 again.

    Attributes:
        task_id: Globus Compute task UUID, as text.
        attempt: 1 for the first.
        start_ns: when the function was called, on the worker's wall clock.
    """

    task_id: str
    attempt: int
    start_ns: int
