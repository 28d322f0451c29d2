"""Rules of a Choice (https://states-language.net/spec.html#choice-state)."""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from prov_worker.flow.machine import places
from prov_worker.flow.machine.failures import EvaluationError

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_OPERATOR = re.compile(r"(String|Numeric|Boolean|Timestamp)(" + "|".join(_COMPARISONS) + r")(Path)?\Z")
_MISSING = object()


def moment(value: Any) -> datetime.datetime:
    """Return a time that is written as RFC 3339 has it.

    Raises:
        EvaluationError: it is none.
    """
    try:
        parsed = datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise EvaluationError(f"{value!r} is not a time") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.timezone.utc)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_time(value: Any) -> bool:
    try:
        moment(value)
    except EvaluationError:
        return False
    return isinstance(value, str)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "String": lambda value: isinstance(value, str),
    "Numeric": _is_number,
    "Boolean": lambda value: isinstance(value, bool),
    "Timestamp": _is_time,
}


def holds(rule: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Return whether a rule holds.

    Raises:
        EvaluationError: its variable is not there, and it does not ask whether it is.
    """
    if "And" in rule:
        return all(holds(inner, state) for inner in rule["And"])
    if "Or" in rule:
        return any(holds(inner, state) for inner in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], state)
    try:
        value = places.read(state, rule["Variable"])
    except EvaluationError:
        if "IsPresent" not in rule:
            raise
        value = _MISSING
    return all(
        _test(name, operand, value, state)
        for name, operand in rule.items()
        if name not in ("Variable", "Next", "Comment")
    )


def _test(name: str, operand: Any, value: Any, state: Mapping[str, Any]) -> bool:
    if name == "IsPresent":
        return (value is not _MISSING) is bool(operand)
    if value is _MISSING:
        return False
    if name == "IsNull":
        return (value is None) is bool(operand)
    if name.startswith("Is") and name[2:] in _KINDS:
        return _KINDS[name[2:]](value) is bool(operand)
    if name == "StringMatches":
        # Only * is special, and a backslash takes that from it.
        parts = re.split(r"(?<!\\)\*", str(operand))
        pattern = ".*".join(re.escape(part.replace("\\*", "*")) for part in parts)
        return isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL) is not None
    match = _OPERATOR.match(name)
    if match is None:
        raise EvaluationError(f"unknown operator: {name}")
    kind, comparison, by_path = match.groups()
    other = places.read(state, operand) if by_path else operand
    if not (_KINDS[kind](value) and _KINDS[kind](other)):
        return False
    if kind == "Timestamp":
        value, other = moment(value), moment(other)
    return _COMPARISONS[comparison](value, other)
