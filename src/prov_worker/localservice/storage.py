"""What the service asks of its durable state; :mod:`prov_worker.localservice.sqlite` keeps it.

Every method is one transaction: when it returns, its effect survives the end of the process. All may be called from any
thread. Methods that take an ``owner`` see only what belongs to that identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from prov_worker.localservice.records import (
    Endpoint,
    Forward,
    Function,
    Incoming,
    NewTask,
    OpenWork,
    Outgoing,
    Requeued,
    Stored,
    Submission,
    Task,
    Usage,
    UserEndpoint,
)

if TYPE_CHECKING:
    from prov_worker.localservice.sqlite.choices import ChoiceStore
    from prov_worker.localservice.sqlite.flows import FlowStore
    from prov_worker.localservice.sqlite.timers import TimerStore
    from prov_worker.localservice.sqlite.transfers import TransferStore


class EndpointStore(Protocol):
    """Endpoints and user endpoints."""

    def save_endpoint(self, endpoint: Endpoint) -> None:
        """Register an endpoint, or register it again: its pulse is forgotten, its lock is taken off."""

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint of anyone; the caller checks the owner."""

    def endpoints(self, owner: str) -> list[Endpoint]:
        """Return all endpoints of an identity, oldest first."""

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Forget an endpoint and its user endpoints; their finished tasks stay until they are old."""

    def lock_endpoint(self, endpoint_id: str) -> None:
        """Mark an endpoint as asked to stop."""

    def save_user_endpoint(self, user_endpoint: UserEndpoint) -> None:
        """Keep a user endpoint; of one that is known, its runtime changes."""

    def user_endpoint(self, user_endpoint_id: str) -> UserEndpoint | None:
        """Return a user endpoint of anyone."""

    def user_endpoints(self, core: str) -> list[UserEndpoint]:
        """Return all user endpoints of a core endpoint."""

    def mark_started(self, user_endpoint_id: str, when: float) -> None:
        """Note that a user endpoint was asked to start; its earlier pulse is forgotten if that was an error."""


class FunctionStore(Protocol):
    """Registered functions."""

    def save_function(self, function: Function) -> None:
        """Keep a function."""

    def function(self, function_id: str) -> Function | None:
        """Return a function of anyone that is not deleted."""

    def delete_function(self, function_id: str) -> None:
        """Hide a function; what tasks under way need of it stays until they are finished."""


class TaskStore(Protocol):
    """Tasks, their groups and results."""

    def add_tasks(self, tasks: Sequence[NewTask], submission: Submission, now: float) -> None:
        """Accept tasks."""

    def group_owner(self, group: str) -> str | None:
        """Return who owns a task group; None if there is none."""

    def open_group_queue(self, group: str) -> None:
        """Send results of the group to its queue from now on."""

    def group_tasks(self, group: str) -> list[str]:
        """Return tasks of a group, in the order of submission."""

    def tasks(self, task_ids: Iterable[str], owner: str) -> dict[str, Task]:
        """Return those of the tasks that exist and are the owner's."""

    def numbered(self, numbers: Iterable[int]) -> dict[int, Task]:
        """Return those of the tasks, of anyone, that exist, by ``seq``."""

    def to_publish(
        self, user_endpoint: str | None = None, limit: int = 1000, after: int = 0, limit_bytes: int | None = None
    ) -> list[Outgoing]:
        """Return tasks that are not known to be in a queue, in the order of submission, with ``seq`` above ``after``.

        Not many more than ``limit_bytes`` at once, but one at least, so that large ones do not fill the memory.
        """

    def to_forward(self, limit: int = 1000, after: int = 0, limit_bytes: int | None = None) -> list[Forward]:
        """Return results not known to be in their group's queue, with ``seq`` above ``after``; see ``to_publish``."""

    def waiting(self) -> bool:
        """Return whether a task or a result is not known to be in its queue."""

    def apply(self, incoming: Incoming, now: float) -> Stored:
        """Take in what the broker brought, in one transaction; returns what was new of the results.

        A result of a task that is finished already, or of an endpoint that does not have it, changes nothing; nor does
        a pulse, which comes with (owner, endpoint), of an endpoint that is not that owner's.
        """

    def requeue(self, user_endpoint: str, most: int) -> Requeued:
        """Publish unfinished tasks of a user endpoint again, but for those that were ``most`` times."""

    def unfinished(self, user_endpoint: str, before: float) -> list[str]:
        """Return unfinished tasks of a user endpoint submitted before a time."""

    def open_work(self) -> list[OpenWork]:
        """Return user endpoints with unfinished tasks."""

    def forget(self, before: float, limit: int = 5000) -> int:
        """Delete tasks finished before a time, and functions nobody needs any more; returns the number of tasks."""

    def idle_groups(self, before: float) -> list[tuple[str, str]]:
        """Return owner and id of groups without tasks, and without a new one since a time."""

    def forget_groups(self, groups: Iterable[str], before: float) -> None:
        """Delete those of the groups that are still idle."""


class Overview(Protocol):
    """Numbers for people and monitors."""

    def task_counts(self, owner: str | None = None) -> dict[str, int]:
        """Return tasks by state: ``accepted``, ``queued``, ``success``, ``failed``."""

    def endpoint_tasks(self, owner: str) -> dict[str, dict[str, int]]:
        """Return the same, by core endpoint."""

    def recent_tasks(self, owner: str, limit: int = 20) -> list[dict[str, Any]]:
        """Return the latest tasks: id, function's name, endpoint, state, submitted, finished."""

    def throughput(self, owner: str, since: float, bucket_s: float) -> dict[int, int]:
        """Return tasks finished by bucket: ``int(finished / bucket_s)``."""

    def all_endpoints(self) -> list[Endpoint]:
        """Return endpoints of everyone."""

    def usage(self, owner: str) -> Usage:
        """Return what an identity has."""

    def size_bytes(self) -> int:
        """Return size of the state on disk."""


class Revocations(Protocol):
    """Tokens that were given back."""

    def revoke(self, token_id: str, expires: float) -> None:
        """Remember a token as void until it would have expired."""

    def revoked(self, token_id: str) -> bool:
        """Return whether a token was revoked."""


class Storage(EndpointStore, FunctionStore, TaskStore, Overview, Revocations, Protocol):
    """All of it."""

    def flow_store(self) -> FlowStore:
        """Return what is durable of flows and their runs."""

    def transfer_store(self) -> TransferStore:
        """Return what is durable of Transfer's tasks."""

    def choice_store(self) -> ChoiceStore:
        """Return what is durable of what people are to choose."""

    def timer_store(self) -> TimerStore:
        """Return what is durable of timers."""

    def signing_key(self) -> bytes:
        """Return key of the service's tokens, made once."""

    def ping(self) -> None:
        """Raise if the state cannot be read."""

    def close(self) -> None:
        """Write back and let go."""
