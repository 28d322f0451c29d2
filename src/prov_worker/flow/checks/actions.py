"""Actions: addresses of Globus' providers, and the keys that these need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.flow import providers, shapes
from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, NOTE, Draft
from prov_worker.flow.source import Steps
from prov_worker.flow.states import Flow
from prov_worker.humanize import nearest


def actions(flow: Flow) -> Iterator[Draft]:
    """Yield addresses that Globus' hosts do not have, keys that are missing, and constants of another type."""
    document = flow.definition
    for name, state in flow.states.items():
        url = state.get("ActionUrl")
        if state.get("Type") != "Action" or not isinstance(url, str):
            continue
        steps: Steps = ("States", name)
        provider = providers.provider_of(url)
        if provider is None:
            if routes := providers.suggestions(url):
                hint = nearest(url.rstrip("/"), routes, likeness=0.8) or f"known are {', '.join(routes)}"
                yield Draft(ERROR, document, (*steps, "ActionUrl"), f"no such action there; {hint}")
            continue
        if provider.instead:
            yield Draft(NOTE, document, (*steps, "ActionUrl"), f"retired by Globus; {provider.instead} is in its place")
        parameters = state.get("Parameters")
        if isinstance(parameters, Mapping):
            for message in _missing(parameters, provider.needs):
                yield Draft(ERROR, document, (*steps, "Parameters"), message)
            if provider.compute:
                for number, message in _tasks(parameters, provider.compute):
                    place = (
                        (*steps, "Parameters", "tasks") if number is None else (*steps, "Parameters", "tasks", number)
                    )
                    yield Draft(ERROR, document, place, message)
            for place, message in _constants(parameters, (), "", provider.types):
                yield Draft(ERROR, document, (*steps, "Parameters", *place), message)


def _has(parameters: Mapping[str, Any], key: str) -> bool:
    return any(key + suffix in parameters for suffix in ("", ".$", ".="))


def _missing(parameters: Mapping[str, Any], needs: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    for group in needs:
        if any(_has(parameters, key) for key in group):
            continue
        other = providers.OTHER_NAMES.get(group[0])
        hint = f"; {other} is what another action calls it" if other and _has(parameters, other) else ""
        yield f"{' or '.join(group)} is missing{hint}"


def _tasks(parameters: Mapping[str, Any], version: int) -> Iterator[tuple[int | None, str]]:
    tasks = parameters.get("tasks")
    if not isinstance(tasks, list):
        return
    if not tasks and (version == 3 or not _has(parameters, "function")):
        yield None, "there is no task"
    needed = (("function_id",),) if version == 3 else (("function", "func"), ("endpoint",))
    for number, task in enumerate(tasks):
        for group in needed:
            if isinstance(task, Mapping) and not any(_has(task, key) for key in group):
                hint = "; version 3 calls it function_id" if version == 3 and _has(task, "function") else ""
                yield number, f"{group[0]} is missing{hint}"


def _constants(value: Any, steps: Steps, key: str, types: Mapping[str, frozenset[str]]) -> Iterator[tuple[Steps, str]]:
    expected = types.get(key, frozenset())
    if not shapes.accepts(expected, shapes.of_value(value)):
        yield steps, f"{shapes.type_of(value)}: {' or '.join(sorted(expected))} is taken here"
        return
    if isinstance(value, list):
        for number, child in enumerate(value):
            yield from _constants(child, (*steps, number), f"{key}[]", types)
    elif isinstance(value, Mapping):
        for name, child in value.items():
            if not name.endswith((".$", ".=")):
                yield from _constants(child, (*steps, name), f"{key}.{name}" if key else name, types)


CHECKS.add("actions", actions, rank=40)
