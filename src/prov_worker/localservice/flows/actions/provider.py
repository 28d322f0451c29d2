"""What each provider of actions can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from prov_worker.localservice.identities import Identity


class UnableError(Exception):
    """An action that cannot be run; the message says why."""


class NotNowError(Exception):
    """Something that an action needs is away; it is tried again."""


class ConsentError(Exception):
    """A consent is missing: the run waits until it is given, and is resumed.

    Args:
        scope: that it must cover.
        reason: for a person.
    """

    def __init__(self, scope: str, reason: str) -> None:
        super().__init__(reason)
        self.scope = scope


class SessionError(Exception):
    """A login is too old: the run waits until there is another one, and is resumed. The message says why.

    Args:
        policy: id of the policy that asks for it.
        reason: for a person.
    """

    def __init__(self, policy: str, reason: str) -> None:
        super().__init__(reason)
        self.policy = policy


class Request(NamedTuple):
    """An action that a run wants.

    Attributes:
        id: of the action: a UUID that is drawn before it begins.
        identity: who runs the flow.
        consents: of the identity, for the flow: scopes with those that depend on them.
        url: of the provider.
        body: its parameters.
        fresh_login: whether the identity has logged in since the run began.
    """

    id: str
    identity: Identity
    consents: str
    url: str
    body: Mapping[str, Any]
    fresh_login: bool = False


class Status(NamedTuple):
    """How an action ended.

    Attributes:
        succeeded: whether it did.
        details: of its result, as the provider gives them.
        action_id: as the provider calls it.
    """

    succeeded: bool
    details: Any
    action_id: str


class Provider(Protocol):
    """A provider. What :meth:`prepare` returns is kept before anything begins: a restart finds the action by it."""

    def prepare(self, request: Request) -> dict[str, Any]:
        """Return what is needed to begin the action, and to find it again.

        Raises:
            UnableError: it cannot be run.
            ConsentError, SessionError: a consent is missing, or a login.
        """
        ...

    def look(self, request: Request, note: Mapping[str, Any]) -> Status | None:
        """Begin the action if it has not begun; return how it ended, or None while it is under way.

        Raises:
            UnableError, NotNowError: it could not begin.
        """
        ...

    def cancel(self, request: Request) -> None:
        """End an action that is under way, as far as that can be done."""
        ...
