"""Reading and writing places of a run's state by JSONPath (https://goessner.net/articles/JsonPath/)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.flow import paths
from prov_worker.flow.machine.failures import EvaluationError
from prov_worker.flow.source import Steps

_PART = re.compile(
    r"(?P<deep>\.\.)(?P<deep_name>[^\s.\[\]'\"*()?@$]+)"
    r"|(?P<all>\.\*|\[\*\])"
    r"|\[(?P<start>-?\d*):(?P<stop>-?\d*)\]"
    r"|\.(?P<name>[^\s.\[\]'\"*()?@$]+)"
    r"|\[(?P<index>-?\d+)\]"
    r"|\[(?P<quote>['\"])(?P<quoted>.*?)(?P=quote)\]"
)


def step_into(value: Any, step: str | int) -> Any:
    """Return a member of an object or list.

    Raises:
        KeyError, IndexError, TypeError: there is none.
    """
    if isinstance(step, int):
        if not isinstance(value, list):
            raise TypeError
        return value[step]
    if not isinstance(value, Mapping):
        raise TypeError
    return value[step]


def read(state: Mapping[str, Any], text: str) -> Any:
    """Return what a path leads to; a list of all that it leads to, if it has a wildcard, a slice or ``..``.

    Raises:
        EvaluationError: it is not a path, leads to nothing, or has a filter or a script.
    """
    path = paths.parse(text)
    if path is None:
        raise EvaluationError(f"{text} is not a path")
    if not path.whole:
        return list(_matches([state], text[1:], text))
    value: Any = state
    for step in path.steps:
        try:
            value = step_into(value, step)
        except (KeyError, IndexError, TypeError):
            raise EvaluationError(f"{text} leads to nothing: there is no {step!r}") from None
    return value


def _matches(values: list[Any], rest: str, whole: str) -> Iterator[Any]:
    """Yield what the rest of a path leads to from some values."""
    while rest:
        match = _PART.match(rest)
        if match is None:
            raise EvaluationError(f"{whole}: {rest} is not evaluated here: no filters and no scripts")
        rest = rest[match.end() :]
        values = [member for value in values for member in _members(value, match)]
    yield from values


def _members(value: Any, match: re.Match[str]) -> Iterator[Any]:
    if match["deep"]:
        yield from _deep(value, match["deep_name"])
    elif match["all"]:
        yield from value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    elif match["start"] is not None:
        bounds = [int(match[key]) if match[key] else None for key in ("start", "stop")]
        yield from value[slice(*bounds)] if isinstance(value, list) else ()
    else:
        name = match["name"] if match["name"] is not None else match["quoted"]
        step: str | int = int(match["index"]) if match["index"] is not None else name
        try:
            yield step_into(value, step)
        except (KeyError, IndexError, TypeError):
            return


def _deep(value: Any, name: str) -> Iterator[Any]:
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if isinstance(value, Mapping) and name in value:
        yield value[name]
    for child in children:
        yield from _deep(child, name)


def written(state: Mapping[str, Any], steps: Steps, value: Any) -> dict[str, Any]:
    """Return the state with a value at a place; objects on the way to it are made if they are missing.

    Raises:
        EvaluationError: what is there on the way can have no such member.
    """
    if not steps:
        return dict(value) if isinstance(value, Mapping) else {"value": value}
    return dict(_with(state, steps, value))


def _with(holder: Any, steps: Steps, value: Any) -> Any:
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(holder, list) or not -len(holder) <= step < len(holder):
            raise EvaluationError(f"there is no list with a member {step} to write to")
        changed = list(holder)
        changed[step] = _with(holder[step], rest, value)
        return changed
    if holder is not None and not isinstance(holder, Mapping):
        raise EvaluationError(f"{step!r} can be written only into an object")
    entries = dict(holder or {})
    entries[step] = _with(entries.get(step), rest, value)
    return entries
