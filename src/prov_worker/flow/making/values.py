"""Values of a spec as parameters of a state: ``$.input.x`` is a reference, ``=a + b`` an expression.

A text that is to begin so begins with two of them: ``$$.x``, ``==x``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.flow import paths


def parameter(key: str, value: Any) -> dict[str, Any]:
    """Return a key with its suffix, and its value, as ``Parameters`` take them."""
    if isinstance(value, str):
        if value.startswith("$."):
            return {f"{key}.$": value}
        if value.startswith("=") and not value.startswith("=="):
            return {f"{key}.=": value[1:].strip()}
        return {key: _plain(value)}
    if isinstance(value, Mapping):
        return {key: parameters(value)}
    if isinstance(value, list) and any(map(_refers, value)):
        # A list's members have no key that could tell a reference.
        return {f"{key}.=": expression(value)}
    return {key: [_constant(member) for member in value] if isinstance(value, list) else value}


def parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as ``Parameters`` take it."""
    made: dict[str, Any] = {}
    for key, value in values.items():
        made.update(parameter(key, value))
    return made


def _plain(text: str) -> str:
    return text[1:] if text.startswith(("$$.", "==")) else text


def _constant(value: Any) -> Any:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, list):
        return [_constant(member) for member in value]
    return {key: _constant(child) for key, child in value.items()} if isinstance(value, Mapping) else value


def _refers(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith("$.") or (value.startswith("=") and not value.startswith("=="))
    if isinstance(value, Mapping):
        return any(map(_refers, value.values()))
    return isinstance(value, list) and any(map(_refers, value))


def expression(value: Any) -> str:
    """Return a value as an expression of Flows' language."""
    if isinstance(value, str) and value.startswith("$."):
        return name(value)
    if isinstance(value, str) and value.startswith("=") and not value.startswith("=="):
        return f"({value[1:].strip()})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {expression(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(expression, value))}]"
    return repr(_plain(value) if isinstance(value, str) else value)


def name(reference: str) -> str:
    """Return the name that an expression has for a reference: ``$.input.x`` is ``input.x``."""
    path = paths.parse(reference)
    plain = (
        path is not None
        and path.whole
        and all(isinstance(step, int) or (step.isidentifier() and step.isascii()) for step in path.steps)
    )
    return reference[2:] if plain else f"`{reference}`"
