"""Libraries that tasks use: Dask, MLflow, Parsl, TensorBoard, PyTorch. One module per library, which registers itself.

Nothing here is imported at the start of a worker or on a task's path; each module is imported once its library has
been, by the library itself, or by the process that reads what the library has stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from prov_worker.capture_settings import Capture
from prov_worker.registry import Registry
from prov_worker.training import Training


def _not_awaited(module: ModuleType, capture: Capture) -> str | None:
    return f"nothing waits for {module.__name__}"


def _stores_nothing(request: Any) -> Training:
    return Training()


@dataclass(frozen=True)
class Library:
    """What is recorded of a library.

    Attributes:
        arrive: called in a worker once the library's module has been imported; returns why nothing is recorded of it
            here, or None.
        read: called in a process of its own when a task has ended, with what the agent knows; returns what the library
            has stored of the task.
    """

    arrive: Callable[[ModuleType, Capture], str | None] = _not_awaited
    read: Callable[[Any], Training] = _stores_nothing


#: By name of the library.
CAPTURES: Registry[Library] = Registry("prov_worker.capture", named=True)
