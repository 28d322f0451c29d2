"""What a client asks of one of our engines itself, by a task that no worker gets.

``resource_specification={"prov_worker": {"about": True}}`` asks whether the engine is ours, ``{"cancel": [TASK, …],
"by": WHO}`` asks it to cancel tasks, and ``{"running": [TASK, …]}`` which of them run now. They travel as any task
does, so they need no other way to the endpoint, and whoever may send them may send tasks. An engine that is not ours
refuses the specification, or runs the task's function, which raises.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prov_worker.errors import InputError

#: Tasks of one request.
MAX_TASKS = 500
_MAX_BY = 200


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A request to an engine.

    Attributes:
        cancel: ids of tasks that are to be cancelled.
        by: who wants them cancelled.
        running: ids of tasks of which it is asked whether they run. If there are neither: whether the engine is ours.
    """

    cancel: tuple[str, ...] = ()
    by: str = ""
    running: tuple[str, ...] = ()


def read_request(content: Mapping[str, Any], where: str) -> EngineRequest | None:
    """Return the request under our key; None if there is none.

    Raises:
        InputError: it is not allowed; names the key.
    """
    if "about" in content:
        _alone(content, where, "about")
        return EngineRequest()
    if "running" in content:
        _alone(content, where, "running")
        return EngineRequest(running=_tasks(content["running"], f"{where}: running"))
    if "cancel" not in content:
        return None
    _alone(content, where, "cancel", "by")
    by = content.get("by")
    tasks = _tasks(content["cancel"], f"{where}: cancel")
    if not isinstance(by, str) or not by.strip() or len(by) > _MAX_BY or not by.isprintable():
        raise InputError(f"{where}: by: is not a name of 1 to {_MAX_BY} printable characters")
    return EngineRequest(tasks, by)


def _tasks(ids: Any, where: str) -> tuple[str, ...]:
    if not isinstance(ids, list) or not 0 < len(ids) <= MAX_TASKS:
        raise InputError(f"{where}: is not a list of 1 to {MAX_TASKS} ids of tasks")
    try:
        return tuple(str(uuid.UUID(task_id)) for task_id in ids)
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{where}: is not a list of ids of tasks") from None


def _alone(content: Mapping[str, Any], where: str, *allowed: str) -> None:
    for key in content:
        if key not in allowed:
            raise InputError(f"{where}: {key}: not together with {allowed[0]}")


def outcomes_of(value: Any, tasks: Iterable[str]) -> dict[str, tuple[str, str]] | None:
    """Return what an engine answered, by task: a word, and more to say; None if it is not an answer of one of ours.

    The words are ``cancelled``, ``time_limit`` and ``ended`` (otherwise), ``refused`` and ``asked`` (not ended yet).
    """
    if not isinstance(value, dict) or "prov_worker" not in value:
        return None
    outcomes = value.get("cancel") or {}
    return {task: (str(outcomes[task][0]), str(outcomes[task][1])) for task in tasks if task in outcomes}
