"""What the service remembers of flows: those that are deployed, and their runs.

Times are seconds since the epoch; identifiers are UUIDs in their canonical text form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACTIVE, INACTIVE, FAILED = "ACTIVE", "INACTIVE", "FAILED"


@dataclass(frozen=True)
class Flow:
    """A deployed flow.

    Attributes:
        id: of the flow.
        owner: client id.
        created: when it was.
        updated: when it last was.
        content: title, definition, input_schema and what else its owner says of it, as the service gives it back.
    """

    id: str
    owner: str
    created: float
    updated: float
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Position:
    """Where a run is.

    Attributes:
        state: name of the state.
        phase: ``enter``, ``wait`` or ``act``.
        until: end of a wait.
        action: of an action, what is needed to find it again: id, url, body, when it began, how long it may take, and
            what its provider noted before it began it.
    """

    state: str
    phase: str = "enter"
    until: float = 0.0
    action: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        id: of the run.
        flow: its id.
        owner: client id of who started it.
        started: when it was.
        ended: None while it has not.
        status: ``ACTIVE``, ``INACTIVE``, ``SUCCEEDED`` or ``FAILED``.
        content: label, tags, managers and monitors, title and time of the flow, definition and schema as they were, and
            the input.
        state: of the run.
        position: where it is.
        details: the last thing that happened to it, as the service shows it.
        turn: counts changes, so that two of them at once are noticed.
    """

    id: str
    flow: str
    owner: str
    started: float
    ended: float | None
    status: str
    content: Mapping[str, Any]
    state: Mapping[str, Any]
    position: Position
    details: Mapping[str, Any]
    turn: int = 0
