"""TensorBoard: event files that a task wrote, read with a reader of our own when the task has ended.

Nothing of it runs in a worker, and neither TensorBoard nor TensorFlow is needed anywhere.
"""

from __future__ import annotations

from typing import Any

from prov_worker.capture import CAPTURES, Library
from prov_worker.training import Training


def read(request: Any) -> Training:
    """Return the runs in event files.

    Args:
        request: ``{"sandboxes": directories of the task alone, "directories": those that the settings name, "host",
            "pid": of the worker, "start_ns", "end_ns": of the task}``.
    """
    from prov_worker.capture.reading.event_runs import Writer, read_runs

    writer = Writer(request["host"], request["pid"], request["start_ns"], request["end_ns"])
    return read_runs(request["sandboxes"], request["directories"], writer)


CAPTURES.add("tensorboard", Library(read=read))
