"""What a client asks of our engines for a task: ``resource_specification={"prov_worker": {"run": "fit-7"}}``.

The specification of resources is the only field of a task that a client fills in and that reaches an engine as it is
(``resource_specification`` of the SDK's ``Executor`` and of ``Client.create_batch``). Parsl refuses keys that it does
not know, so ours is taken out before; a stock engine refuses it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prov_worker.errors import InputError
from prov_worker.redact import redact_part

KEY = "prov_worker"
WHERE = f"resource_specification: {KEY}"
#: Most characters of a run's name.
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What is content for one task.

    Attributes:
        run: name of the run that it is a part of; None.
        sent: what the worker is told.
    """

    run: str | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)


NO_OPTIONS = TaskOptions()
_KNOWN = ("run",)


def take_options(specification: Mapping[str, Any]) -> tuple[dict[str, Any], TaskOptions]:
    """Return a specification without our key, and what was under it.

    Raises:
        InputError: an unknown key, or a value that is not allowed; it is named.
    """
    rest = dict(specification)
    content = rest.pop(KEY, None)
    if content is None:
        return rest, NO_OPTIONS
    if not isinstance(content, Mapping):
        raise InputError(f"{WHERE}: {type(content).__name__}: is no mapping")
    for key in content:
        if key not in _KNOWN:
            raise InputError(f"{WHERE}: {key}: unknown key; there is {', '.join(_KNOWN)}")
    run = content.get("run")
    if run is None:
        return rest, NO_OPTIONS
    return rest, _options(_name(run))


def _name(run: Any) -> str:
    if not isinstance(run, str):
        raise InputError(f"{WHERE}: run: {type(run).__name__}: is no text")
    if not run.strip() or len(run) > MAX_NAME or not run.isprintable():
        raise InputError(f"{WHERE}: run: {run[:MAX_NAME]!r}: is no name of 1 to {MAX_NAME} printable characters")
    return run


@functools.lru_cache(maxsize=64)
def _options(run: str | None) -> TaskOptions:
    """Options that many tasks share."""
    sent: dict[str, Any] = {}
    if run is not None:
        sent["run"] = redact_part(run, MAX_NAME)
    return TaskOptions(run, sent)
