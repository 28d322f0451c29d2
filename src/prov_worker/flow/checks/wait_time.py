"""Times: how long the flow waits for an action, against how long the action takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.flow import paths, providers
from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, WARNING, Draft
from prov_worker.flow.states import Flow

#: https://docs.globus.org/api/flows/authoring-flows/actions/
DEFAULT_S = 300
#: A run takes a year at most (https://docs.globus.org/api/flows/limits/).
YEAR_S = 365 * 86_400
_CLOCK = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d\d)\Z")


def wait_time(flow: Flow) -> Iterator[Draft]:
    """Yield actions that are given up before what they do can be over, and waits beyond the limit of a run."""
    for name, state in flow.states.items():
        for key in ("WaitTime", "Seconds"):
            seconds = state.get(key)
            if isinstance(seconds, int) and not isinstance(seconds, bool) and not 0 < seconds <= YEAR_S:
                message = f"{seconds} s: a wait is of 1 s to a year, {YEAR_S} s, the limit of a run"
                yield Draft(ERROR, flow.definition, ("States", name, key), message)
        if state.get("Type") != "Action":
            continue
        waits = state.get("WaitTime", DEFAULT_S)
        if not isinstance(waits, int):
            continue
        place = ("States", name, "WaitTime") if "WaitTime" in state else ("States", name)
        given = f"WaitTime is {waits} s" if "WaitTime" in state else f"no WaitTime, so it is {DEFAULT_S} s"
        if providers.is_compute(state.get("ActionUrl")):
            walltime = _walltime(flow, state)
            if walltime is not None and waits < walltime:
                message = f"{given}, the walltime {walltime:.0f} s, and the time in the queue comes on top"
                yield Draft(ERROR, flow.definition, place, message)
        elif providers.is_person(state.get("ActionUrl")) and "WaitTime" not in state:
            yield Draft(WARNING, flow.definition, place, f"{given}: a person has five minutes")


def _walltime(flow: Flow, state: Mapping[str, Any]) -> float | None:
    """Return seconds of the walltime that a compute action asks for; else the command line's; None if not known."""
    parameters = state.get("Parameters")
    config = parameters.get("user_endpoint_config") if isinstance(parameters, Mapping) else None
    if isinstance(config, Mapping):
        if "walltime" in config:
            return seconds_of(config["walltime"])
        path = config.get("walltime.$")
        if isinstance(path, str):
            return _of_input(flow, path)
    return flow.walltime_s


def _of_input(flow: Flow, text: str) -> float | None:
    """Return the walltime that a path leads to: in the input, else in the schema's default."""
    path = paths.parse(text)
    if path is None or not path.whole:
        return flow.walltime_s
    value = flow.input.value if flow.input is not None else None
    schema = flow.schema.value if flow.schema is not None else None
    for step in path.steps:
        value = value.get(step) if isinstance(value, Mapping) else None
        properties = schema.get("properties") if isinstance(schema, Mapping) else None
        schema = properties.get(step) if isinstance(properties, Mapping) else None
    if value is None and isinstance(schema, Mapping):
        value = schema.get("default")
    seconds = seconds_of(value)
    return flow.walltime_s if seconds is None else seconds


def seconds_of(text: Any) -> float | None:
    """Return the seconds of a walltime: ``01:30:00``, ``1-00:00:00`` (Slurm), or a number of seconds; None if none."""
    if isinstance(text, bool):
        return None
    if isinstance(text, (int, float)):
        return float(text)
    match = _CLOCK.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


CHECKS.add("wait_time", wait_time, rank=60)
