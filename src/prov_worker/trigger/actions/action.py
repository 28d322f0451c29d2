"""What each action can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from prov_worker.trigger.watcher import Settled


class ActionError(Exception):
    """An action that did not come about, or failed; the message says why, in a line."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action ended.

    Attributes:
        error: why it failed; empty if it succeeded.
        run: what it left: ids, as a crate and the state keep them.
    """

    error: str = ""
    run: dict[str, Any] = field(default_factory=dict)


class Action(Protocol):
    """An action. ``key`` is of one attempt at one content of one folder."""

    def begin(self, key: str, folder: Settled, *, again: bool) -> Outcome | None:
        """Begin, and return the outcome, or None if it is under way.

        Args:
            key: see above.
            folder: that has settled.
            again: whether this attempt may have begun already: it is not begun twice.

        Raises:
            ActionError: it did not come about.
        """
        ...

    def outcome(self, key: str) -> Outcome | None:
        """Return how an attempt that has begun ended; None if it is under way."""
        ...

    def release(self) -> None:
        """Let go of what is under way: it goes on without this process."""
        ...

    def preview(self, folder: Settled) -> str:
        """Return a line that says what would be done.

        Raises:
            ActionError: it would fail.
        """
        ...
