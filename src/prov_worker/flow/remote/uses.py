"""Paths of collections that the actions of a flow read and write, as far as constants and the input tell them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prov_worker.flow.machine.failures import EvaluationError
from prov_worker.flow.machine.parameters import filled
from prov_worker.flow.providers import is_compute, provider_of
from prov_worker.flow.states import Flow, mappings

#: Names of an action that read a path of one collection; others that are known make or write it.
_READS = ("ls", "stat", "delete")


class PathUse(NamedTuple):
    """A path that an action uses.

    Attributes:
        state: name of the state.
        collection: its id.
        path: in it.
        reads: whether it must be there; else it is written.
        at_start: whether it must be there before the run begins: no action that may have made it comes before.
        recursive: whether it is a directory; None if that is not said.
    """

    state: str
    collection: str
    path: str
    reads: bool
    at_start: bool
    recursive: bool | None


def value_of(holder: Mapping[str, Any], key: str, value: Mapping[str, Any]) -> Any:
    """Return a parameter; None if it is not there, or only known once the run gets there.

    Args:
        holder: of the parameter.
        key: its name.
        value: input of the run.
    """
    template = {name: holder[name] for name in (key, f"{key}.$", f"{key}.=") if name in holder}
    try:
        return filled(template, value).get(key)
    except EvaluationError:
        return None


def of(flow: Flow, value: Mapping[str, Any]) -> list[PathUse]:
    """Return the paths that a flow uses with an input, in the order of its states."""
    uses: list[PathUse] = []
    for name in flow.states:
        for collection, path, reads, recursive in _paths(flow.states[name], value):
            at_start = reads and _is_first(flow, name, collection, value)
            uses.append(PathUse(name, collection, path, reads, at_start, recursive))
    return uses


def _paths(state: Mapping[str, Any], value: Mapping[str, Any]) -> Iterator[tuple[str, str, bool, bool | None]]:
    """Return collection, path, whether it is read, and whether it is a directory, of an action of Transfer."""
    parameters, url = state.get("Parameters"), str(state.get("ActionUrl") or "")
    if not isinstance(parameters, Mapping) or provider_of(url) is None or "transfer" not in url:
        return
    action = url.rstrip("/").rpartition("/")[2]
    items = [*mappings(parameters.get("DATA")), *mappings(parameters.get("transfer_items"))]
    if action == "transfer":
        for end, path_key, reads in (("source", "source_path", True), ("destination", "destination_path", False)):
            collection = _first(parameters, (f"{end}_endpoint", f"{end}_endpoint_id"), value)
            for item in items:
                path, recursive = value_of(item, path_key, value), value_of(item, "recursive", value)
                if isinstance(collection, str) and isinstance(path, str):
                    yield collection, path, reads, recursive if isinstance(recursive, bool) else None
        return
    collection = _first(parameters, ("endpoint_id", "endpoint"), value)
    for holder in items or [parameters]:
        path = value_of(holder, "path", value)
        if isinstance(collection, str) and isinstance(path, str):
            yield collection, path, action in _READS, None


def _first(holder: Mapping[str, Any], keys: tuple[str, ...], value: Mapping[str, Any]) -> Any:
    values = (value_of(holder, key, value) for key in keys)
    return next((present for present in values if present is not None), None)


def _is_first(flow: Flow, name: str, collection: str, value: Mapping[str, Any]) -> bool:
    """Return whether a way leads to a state on which nothing can have written into a collection."""
    seen: set[str] = set()
    waiting = [] if flow.start is None else [flow.start]
    while waiting:
        state = waiting.pop()
        if state == name:
            return True
        if state in seen or state not in flow.states or _may_write(flow.states[state], collection, value):
            continue
        seen.add(state)
        waiting += [transition.target for transition in flow.transitions(state)]
    return False


def _may_write(state: Mapping[str, Any], collection: str, value: Mapping[str, Any]) -> bool:
    if state.get("Type") != "Action":
        return False
    url = state.get("ActionUrl")
    if is_compute(url) or provider_of(url) is None:
        return True
    return any(written == collection and not reads for written, _, reads, _ in _paths(state, value))
