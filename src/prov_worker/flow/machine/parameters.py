"""Parameters of a state, filled in from the state of a run.

``"key.$"`` takes what a path leads to, ``"key.="`` the value of an expression
(https://docs.globus.org/api/flows/authoring-flows/).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.flow.machine import places
from prov_worker.flow.machine.expression import evaluate
from prov_worker.flow.machine.failures import EvaluationError

#: Names the parameters whose values no log shows (https://docs.globus.org/api/flows/authoring-flows/private-parameters/).
PRIVATE = "__Private_Parameters"


def filled(template: Any, state: Mapping[str, Any]) -> Any:
    """Return parameters with their paths and expressions replaced by values.

    Raises:
        EvaluationError: a path leads to nothing, or an expression has no value; names the key.
    """
    if isinstance(template, Mapping):
        return _mapping(template, state)
    if isinstance(template, list):
        return [filled(member, state) for member in template]
    return template


def _mapping(template: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, child in template.items():
        if key == PRIVATE:
            continue
        suffix = key[-2:]
        if suffix not in (".$", ".="):
            values[key] = filled(child, state)
            continue
        if not isinstance(child, str):
            raise EvaluationError(f"{key}: expected a text")
        try:
            values[key[:-2]] = places.read(state, child) if suffix == ".$" else evaluate(child, state)
        except EvaluationError as error:
            raise EvaluationError(f"{key}: {error}") from None
    return values


def shown(template: Any, values: Any) -> Any:
    """Return values as a log may show them: without those that the template names as private."""
    if isinstance(template, Mapping) and isinstance(values, Mapping):
        listed = template.get(PRIVATE)
        private = set(listed) if isinstance(listed, list) else set()
        templates = {key[:-2] if key.endswith((".$", ".=")) else key: child for key, child in template.items()}
        return {key: shown(templates.get(key), child) for key, child in values.items() if key not in private}
    if isinstance(template, list) and isinstance(values, list) and len(template) == len(values):
        return [shown(member, child) for member, child in zip(template, values, strict=True)]
    return values
