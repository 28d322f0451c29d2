"""The setting ``telemetry``: which types are sampled, and how often.

Standard library only: workers import this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from prov_worker import capture_settings
from prov_worker.errors import BelowError
from prov_worker.setting_values import seconds


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Which types of telemetry are sampled, and how often.

    Each is true (at the poll interval, or more slowly if reading is dear), false (not sampled: no column, no
    observation), or its own interval in seconds, 0.01 to 60 and no shorter than the poll interval.

    Attributes:
        cpu: CPU use of the task's process tree.
        memory: resident memory of the worker.
        threads: number of the worker's threads.
        io: characters read and written through system calls.
        children: number of descendants and their resident memory.
        node: CPU use and memory of the whole node.
        per_cpu: use of each logical CPU of the node.
        gpu: use, memory, power and temperature of the node's GPUs.
    """

    cpu: bool | float = True
    memory: bool | float = True
    threads: bool | float = True
    io: bool | float = True
    children: bool | float = True
    node: bool | float = True
    per_cpu: bool | float = True
    gpu: bool | float = True

    def interval_s(self, kind: str, poll_interval: float) -> float | None:
        """Return seconds between readings of one type; None if it is off.

        Args:
            kind: name of the type.
            poll_interval: what the types that are true follow.
        """
        value: bool | float = getattr(self, kind)
        if value is False:
            return None
        return poll_interval if value is True else max(value, poll_interval)

    def to_mapping(self) -> dict[str, bool | float]:
        """Return the types that do not stand at their default."""
        return {kind: value for kind, value in asdict(self).items() if value is not True}


def parse(text: str) -> dict[str, bool | float]:
    """Return what a variable says: ``gpu=1,per_cpu=off``; a number is always an interval, so truth is not 1 here.

    Raises:
        ValueError: it has no such form.
    """
    values: dict[str, bool | float] = {}
    for kind, value in capture_settings.pairs(text):
        truth = None if value.isdigit() else capture_settings.truth(value)
        try:
            values[kind] = float(value) if truth is None else truth
        except ValueError:
            raise BelowError(kind, f"expected on, off or a number of seconds, got {value!r}") from None
    return values


def check(value: Any) -> Telemetry:
    """Return the setting of a mapping.

    Raises:
        ValueError: it is none, or has a type or an interval that is not allowed.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a mapping of telemetry types, got {value!r}")
    kinds = [f.name for f in fields(Telemetry)]
    interval = seconds(0.01, 60.0)
    checked: dict[str, bool | float] = {}
    for kind, choice in value.items():
        if kind not in kinds:
            raise BelowError(str(kind), f"unknown type of telemetry; known are {', '.join(kinds)}")
        if choice is None:
            continue
        if isinstance(choice, bool):
            checked[kind] = choice
        elif isinstance(choice, (int, float)):
            try:
                checked[kind] = interval(choice)
            except ValueError as error:
                raise BelowError(kind, str(error)) from None
        else:
            raise BelowError(kind, f"expected true, false or a number of seconds, got {choice!r}")
    return Telemetry(**checked)
