"""What the code of a task finds of its recorder: in its thread, and in the environment of all that a worker starts."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prov_worker.recorder.annotations import TaskRecorder
    from prov_worker.recorder.recorder import Recorder

#: In the environment of all that a worker starts.
CONTEXT = "PROV_WORKER_CONTEXT"
_KEPT = ("key", "settings", "endpoint_name")


class _Running(threading.local):
    """What a thread has of recorders: in one place, as each thread-local object takes its own time to be found.

    Attributes:
        task: the recorder of the task that this thread runs; None if none is being recorded.
        observer: the recorder that is shown what upstream's helper does.
        last: the recorder of the last task.
        recorders: by crate directory.
    """

    task: TaskRecorder | None = None
    observer: Recorder | None = None
    last: Recorder | None = None
    recorders: dict[str, Recorder] | None = None


running = _Running()


def publish(slot: str, provenance: Mapping[str, Any], endpoint_id: Any) -> None:
    """Say in the environment where the slot of this process is, and how its tasks are recorded."""
    context = {
        "slot": slot,
        "endpoint": None if endpoint_id is None else str(endpoint_id),
        "provenance": {key: provenance.get(key) for key in _KEPT},
    }
    os.environ[CONTEXT] = json.dumps(context)


def context() -> dict[str, Any]:
    """Return what the worker that started this process, or is it, has published; empty if there is none."""
    try:
        context = json.loads(os.environ.get(CONTEXT, ""))
        settings = context["provenance"]["settings"]
        return context if isinstance(settings, dict) and isinstance(context["slot"], str) else {}
    except (ValueError, LookupError, TypeError):
        return {}


def capture_settings() -> Mapping[str, Any]:
    """Return what the worker's settings say of ``capture``; empty if that is the default."""
    provenance = context().get("provenance") or {}
    capture = provenance["settings"].get("capture") if provenance else None
    return capture if isinstance(capture, dict) else {}
