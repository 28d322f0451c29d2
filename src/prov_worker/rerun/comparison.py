"""Whether a step that ran again did the same: how it ended, its code, its result, its files, its numbers.

What has a digest in both crates is compared by it, so that *same* means the same bytes. What has none in one of them
cannot be compared, and is said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prov_worker.crate.summary import GENERATED, FileRef, RunStep, StepValue
from prov_worker.humanize import plural

SAME, DIFFERS, INCOMPARABLE = "same", "differs", "not comparable"
_Number = int | float
#: Kinds of failures whose message names what is another one each time, such as a process id.
_MESSAGE_COUNTS = ("exception", "command")
_SHOWN = 20


@dataclass(slots=True)
class Part:
    """One part: ``outcome``, ``code``, ``result``, ``files`` or ``numbers``, its verdict, and where it differs."""

    name: str
    verdict: str
    details: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Comparison:
    """All parts that either execution has."""

    parts: list[Part]

    @property
    def verdict(self) -> str:
        """``differs`` if any part does, else ``not comparable`` if any part is, else ``same``."""
        verdicts = [part.verdict for part in self.parts]
        return next((verdict for verdict in (DIFFERS, INCOMPARABLE) if verdict in verdicts), SAME)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        parts = {part.name: {"verdict": part.verdict, "details": part.details} for part in self.parts}
        return {"verdict": self.verdict, "parts": parts}


def compare(first: RunStep, second: RunStep) -> Comparison:
    """Compare two executions of one call."""
    parts = [_outcome(first, second), *_code(first, second)]
    if not first.failed and not second.failed:
        parts.append(_result(first, second))
    files, numbers = _files(first, second), _numbers(first, second)
    return Comparison([*parts, *(part for part in (files, numbers) if part is not None)])


def _outcome(first: RunStep, second: RunStep) -> Part:
    if first.status != second.status:
        return Part("outcome", DIFFERS, [f"{first.status}, now {second.status}: {second.error or first.error or ''}"])
    pairs = {
        "kind of failure": (first.failure_kind, second.failure_kind),
        "type of exception": (first.failure_type, second.failure_type),
        "signal": (first.failure_signal, second.failure_signal),
    }
    if first.failure_kind in _MESSAGE_COUNTS:
        pairs["error"] = first.error, second.error
    details = [f"{name}: {before}, now {after}" for name, (before, after) in pairs.items() if before != after]
    return Part("outcome", DIFFERS if details else SAME, details)


def _code(first: RunStep, second: RunStep) -> Iterator[Part]:
    """Yield that the function is another one: one that was sent by its name is what its module has here."""
    if first.function_sha256 is None or second.function_sha256 is None:
        return
    if first.function_sha256 != second.function_sha256:
        details = f"version {first.function_sha256[:12]}…, now {second.function_sha256[:12]}…"
        yield Part("code", DIFFERS, [f"{details}: its module is another one here"])


def _result(first: RunStep, second: RunStep) -> Part:
    before, after = _value(first), _value(second)
    if before is None or after is None:
        return Part("result", INCOMPARABLE, ["it was not recorded"])
    if before.type != after.type:
        return Part("result", DIFFERS, [f"type {before.type}, now {after.type}"])
    if before.sha256 is not None and after.sha256 is not None:
        if before.sha256 == after.sha256:
            return Part("result", SAME)
        return Part("result", DIFFERS, [_change(before, after)])
    if before.type == "NoneType":
        return Part("result", SAME)
    return Part("result", INCOMPARABLE, [f"no digest of an object of type {before.type}"])


def _value(step: RunStep) -> StepValue | None:
    value = next((value for value in step.results if value.name == "return"), None)
    return None if value is None or value.type is None else value


def _change(before: StepValue, after: StepValue) -> str:
    if not before.recorded or not after.recorded:
        return f"sha256 {(before.sha256 or '')[:12]}…, now {(after.sha256 or '')[:12]}…"
    return _of_numbers(before.value, after.value)


def _of_numbers(before: Any, after: Any) -> str:
    text = f"{before}, now {after}"
    if _is_number(before) and _is_number(after) and before:
        text += f" ({(after - before) / abs(before):+.3g} of it)"
    return text


def _is_number(value: Any) -> bool:
    return isinstance(value, _Number) and not isinstance(value, bool)


def _files(first: RunStep, second: RunStep) -> Part | None:
    before, after = _generated(first), _generated(second)
    if not before and not after:
        return None
    if not before:
        return Part("files", INCOMPARABLE, [f"the first crate lists none, this one {len(after)}"])
    details, unknown = [], []
    for path in sorted({*before, *after}):
        file, other = before.get(path), after.get(path)
        if file is None or other is None:
            details.append(f"{path}: {'only this time' if file is None else 'missing'}")
        elif file.sha256 is not None and other.sha256 is not None:
            if file.sha256 != other.sha256:
                details.append(f"{path}: other content ({_bytes(file.size_bytes)}, now {_bytes(other.size_bytes)})")
        elif file.size_bytes != other.size_bytes:
            details.append(f"{path}: {_bytes(file.size_bytes)}, now {_bytes(other.size_bytes)}")
        else:
            unknown.append(f"{path}: no digest")
    return Part("files", DIFFERS if details else INCOMPARABLE if unknown else SAME, _some([*details, *unknown]))


def _generated(step: RunStep) -> dict[str, FileRef]:
    return {file.path: file for file in step.files if file.role == GENERATED and not file.inside}


def _numbers(first: RunStep, second: RunStep) -> Part | None:
    before, after = dict(_noted(first)), dict(_noted(second))
    if not before and not after:
        return None
    details = list(_changes(before, after))
    return Part("numbers", DIFFERS if details else SAME, _some(details))


def _noted(step: RunStep) -> Iterator[tuple[str, float]]:
    """Yield numbers that the task's code annotated, and the last values of metrics."""
    for name, value in step.annotations.items():
        if isinstance(value, _Number) and not isinstance(value, bool):
            yield name, value
    for name, value in step.metrics.items():
        yield f"metric {name}", value


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            yield f"{name}: {'only this time' if name in after else 'missing'}"
        elif before[name] != after[name]:
            yield f"{name}: {_of_numbers(before[name], after[name])}"


def _bytes(count: int | None) -> str:
    return "of unknown size" if count is None else plural(count, "byte")


def _some(details: list[str]) -> list[str]:
    more = len(details) - _SHOWN
    return [*details[:_SHOWN], f"and {more} more"] if more > 0 else details
