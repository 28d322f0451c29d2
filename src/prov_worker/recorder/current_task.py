"""Which task runs here: in this thread, in this process, or in the worker that started this process.

A worker says in its environment where its slot is and how it records, so that libraries in the processes that a task
starts (an MLflow client in a script, the workers of a Dask cluster) know of which task they are a part.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple
from uuid import UUID

from prov_worker.attempt import AttemptId
from prov_worker.errors import SpoolError
from prov_worker.recorder.context import context, running
from prov_worker.spool.slot_reader import SlotReader


class RunningTask(NamedTuple):
    """A task that runs.

    Attributes:
        runtime: the runtime directory of its worker.
        attempt: which attempt it is.
    """

    runtime: str
    attempt: AttemptId


def current_task() -> RunningTask | None:
    """Return the task that runs; None if there is none, or if it cannot be known."""
    task: Any = running.task
    if task is not None:
        runtime = task.runtime
        return RunningTask(runtime, task.attempt_id) if runtime else None
    slot = context().get("slot")
    return task_of(slot) if slot else None


def task_of(slot: str) -> RunningTask | None:
    """Return the task that a slot names; None if none runs there, or there is no such slot on this node."""
    try:
        reader = SlotReader(slot)
    except SpoolError:
        return None
    try:
        return _task_in(reader, slot)
    finally:
        reader.close()


def _task_in(reader: SlotReader, slot: str) -> RunningTask | None:
    state = reader.read()
    if state is None or not state.running:
        return None
    return RunningTask(os.path.dirname(slot), AttemptId(str(UUID(bytes=state.task)), state.attempt, state.start_ns))


class TaskOfSlot:
    """As :func:`task_of`, for who asks again and again: the slot stays open, and is looked for once it is another file.

    Args:
        slot: its path.
    """

    def __init__(self, slot: str) -> None:
        self._slot = slot
        #: What tells the file from others, and its reader: not closed when it is replaced, as another thread may read.
        self._open: tuple[int, int, SlotReader] | None = None

    def find(self) -> RunningTask | None:
        """Return the task that the slot names; None if none runs there, or there is no such slot on this node."""
        try:
            status = os.stat(self._slot, follow_symlinks=False)
            slot = self._open
            if slot is None or slot[:2] != (status.st_dev, status.st_ino):
                slot = self._open = status.st_dev, status.st_ino, SlotReader(self._slot)
        except (OSError, SpoolError):
            return None
        return _task_in(slot[2], self._slot)
