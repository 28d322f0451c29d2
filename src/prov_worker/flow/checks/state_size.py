"""The size of a run's state, which Flows limits to 200 KB (https://docs.globus.org/api/flows/limits/).

What actions give back is not known in advance; what is known is the input, the constants that states write, and
whether a loop makes the state grow.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, WARNING, Draft
from prov_worker.flow.states import Flow, result_steps

LIMIT_BYTES = 200_000


def state_size(flow: Flow) -> Iterator[Draft]:
    """Yield an input or constants that alone exceed the limit, and loops that add to the state without end."""
    brought = 0
    if flow.input is not None:
        brought = _size(flow.input.value)
        if brought > LIMIT_BYTES:
            message = (
                f"{brought:,} bytes; the state of a run, which begins with it, may have {LIMIT_BYTES:,}: pass paths"
            )
            yield Draft(ERROR, flow.input, (), message)
            return
    for name, state in flow.states.items():
        size = brought + _constant_size(state)
        if result_steps(state) is not None and size > LIMIT_BYTES:
            message = f"the state of a run has {size:,} bytes after this; {LIMIT_BYTES:,} is the limit"
            yield Draft(ERROR, flow.definition, ("States", name), message)
        for key in _growing(flow, name):
            message = "each round of the loop adds to it; the state of a run may have 200 KB"
            yield Draft(WARNING, flow.definition, ("States", name, "Parameters", key), message)


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _constant_size(state: Mapping[str, Any]) -> int:
    if state.get("Type") == "Pass" and "Result" in state:
        return _size(state["Result"])
    return (
        _size(state["Parameters"]) if state.get("Type") in ("Pass", "ExpressionEval") and "Parameters" in state else 0
    )


def _growing(flow: Flow, name: str) -> Iterator[str]:
    """Return keys that a state in a loop computes as itself plus something."""
    state = flow.states[name]
    place, parameters = result_steps(state), state.get("Parameters")
    if state.get("Type") != "ExpressionEval" or place is None or not isinstance(parameters, Mapping):
        return
    for key, text in parameters.items():
        own = ".".join(map(str, (*place, key[:-2])))
        if key.endswith(".=") and isinstance(text, str) and _adds_to(text, own) and _returns(flow, name):
            yield key


def _adds_to(text: str, own: str) -> bool:
    """Return whether an expression is a sum of which one part is the place that it is written to."""
    try:
        node: ast.expr = ast.parse(text.strip().replace("`", "").replace("$.", ""), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    parts: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts.append(node.right)
        node = node.left
    number = any(isinstance(part, ast.Constant) and not isinstance(part.value, str) for part in (*parts, node))
    return bool(parts) and not number and any(ast.unparse(part) == own for part in (*parts, node))


def _returns(flow: Flow, name: str) -> bool:
    """Return whether a state can come after itself."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for transition in flow.transitions(waiting.pop()):
            if transition.target == name:
                return True
            if transition.target in flow.states and transition.target not in seen:
                seen.add(transition.target)
                waiting.append(transition.target)
    return False


CHECKS.add("state_size", state_size, rank=70)
