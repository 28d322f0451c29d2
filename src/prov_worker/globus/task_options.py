"""What a client asks of our engines for a task: ``{"prov_worker": {"run": "fit-7", "time_limit": 60, "once": true}}``.

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
from prov_worker.globus.engine_requests import EngineRequest, read_request
from prov_worker.redact import redact_part

KEY = "prov_worker"
OPTION = f"resource_specification: {KEY}"
LIMIT = f"{OPTION}: time_limit"
ONCE = f"{OPTION}: once"
#: Most characters of a run's name.
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What is content for one task.

    Attributes:
        run: name of the run that it is a part of; None.
        time_limit_s: how long it may take; None.
        once: it is not to begin again, whoever delivers it again.
        sent: what the worker gets.
        request: what the engine itself is asked; then no worker gets the task.
    """

    run: str | None = None
    time_limit_s: float | None = None
    once: bool = False
    sent: Mapping[str, Any] = field(default_factory=dict)
    request: EngineRequest | None = None

    @property
    def held(self) -> str | None:
        """The option that an engine which does not record cannot hold; None if there is none."""
        return LIMIT if self.time_limit_s is not None else ONCE if self.once else None


NO_OPTIONS = TaskOptions()
_KNOWN = ("run", "time_limit", "once")
#: A year.
_MAX_LIMIT_S = 366 * 86400


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
        raise InputError(f"{OPTION}: {type(content).__name__}: is not a mapping")
    request = read_request(content, OPTION)
    if request is not None:
        return rest, TaskOptions(request=request)
    for key in content:
        if key not in _KNOWN:
            raise InputError(f"{OPTION}: {key}: unknown key; there is {', '.join(_KNOWN)}")
    run, limit_s, once = (content.get(key) for key in _KNOWN)
    if once is not None and not isinstance(once, bool):
        raise InputError(f"{ONCE}: {type(once).__name__}: is neither true nor false")
    if run is None and limit_s is None and not once:
        return rest, NO_OPTIONS
    run = None if run is None else _name(run)
    return rest, _options(run, None if limit_s is None else _limit(limit_s), bool(once))


def _name(run: Any) -> str:
    if not isinstance(run, str):
        raise InputError(f"{OPTION}: run: {type(run).__name__}: is not a text")
    if not run.strip() or len(run) > MAX_NAME or not run.isprintable():
        raise InputError(f"{OPTION}: run: {run[:MAX_NAME]!r}: is not a name of 1 to {MAX_NAME} printable characters")
    return run


def _limit(limit_s: Any) -> float:
    if isinstance(limit_s, bool) or not isinstance(limit_s, int | float):
        raise InputError(f"{OPTION}: time_limit: {type(limit_s).__name__}: is not a number of seconds")
    if not 0 < limit_s <= _MAX_LIMIT_S:
        raise InputError(f"{OPTION}: time_limit: {limit_s}: is not above 0 and at most {_MAX_LIMIT_S} s")
    return float(limit_s)


@functools.lru_cache(maxsize=64)
def _options(run: str | None, limit_s: float | None, once: bool) -> TaskOptions:
    """Return options that many tasks share."""
    sent: dict[str, Any] = {}
    if run is not None:
        sent["run"] = redact_part(run, MAX_NAME)
    if limit_s is not None:
        sent["limit_ns"] = max(1, int(limit_s * 1e9))
    if once:
        sent["once"] = True
    return TaskOptions(run, limit_s, once, sent)
