"""What the service remembers: endpoints, user endpoints, functions and tasks.

Times are seconds since the epoch; identifiers are UUIDs in their canonical text form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class TaskState(IntEnum):
    """Where a task stands; from SUCCESS on it is finished, and nothing changes it any more."""

    ACCEPTED = 0  # stored; not yet known to be in the user endpoint's queue
    QUEUED = 1  # the broker has confirmed it
    SUCCESS = 2
    FAILED = 3

    @property
    def finished(self) -> bool:
        """Whether a result is stored."""
        return self >= TaskState.SUCCESS


#: A heartbeat counts for this many of its periods.
HEARTBEATS_MISSED = 3


@dataclass(frozen=True)
class Pulse:
    """The last heartbeat of an endpoint.

    Attributes:
        heard: when it came; 0 for never.
        period_s: seconds until the next one; 0 says that the endpoint is going.
        report: its ``global_state``.
    """

    heard: float = 0.0
    period_s: float = 0.0
    report: dict[str, Any] = field(default_factory=dict)

    def online(self, now: float) -> bool:
        """Return whether the endpoint counts as running: heard within three periods, and not as its last word."""
        if not self.period_s or self.report.get("active") is False or "error" in self.report:
            return False
        return now - self.heard <= HEARTBEATS_MISSED * self.period_s


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as its daemon registered it (the *core* endpoint)."""

    id: str
    owner: str
    name: str
    registered: float
    registration: dict[str, Any]
    pulse: Pulse = Pulse()
    locked: bool = False

    @property
    def display_name(self) -> str:
        """The name for people."""
        return str(self.registration.get("display_name") or self.name)

    @property
    def allowed_functions(self) -> list[str] | None:
        """Functions that may run there; None for all."""
        allowed = self.registration.get("allowed_functions")
        return None if allowed is None else [str(each) for each in allowed]


@dataclass(frozen=True)
class UserEndpoint:
    """One set of user endpoint options of an endpoint: the process that the core starts for it on demand.

    Attributes:
        options: ``user_endpoint_config`` of the submissions that it serves.
        runtime: ``user_runtime`` of the latest of them.
        started: when it was last asked to start; 0 for never.
    """

    id: str
    core: str
    owner: str
    options: dict[str, Any]
    runtime: dict[str, Any]
    started: float = 0.0
    pulse: Pulse = Pulse()


@dataclass(frozen=True)
class Function:
    """A registered function; ``buffer`` is its packed code, the head of each task's buffer."""

    id: str
    owner: str
    name: str
    buffer: str
    registered: float
    description: str | None = None
    meta: dict[str, Any] | None = None
    public: bool = False


@dataclass(frozen=True)
class Requeued:
    """How many tasks must be published again, and ``seq`` of those that have been too often."""

    number: int
    given_up: list[int]


@dataclass(frozen=True)
class Usage:
    """What an identity has: functions, unfinished tasks, bytes of functions, tasks and results, and queues."""

    functions: int
    tasks: int
    bytes: int
    queues: int


@dataclass(frozen=True)
class NewTask:
    """A task as it is submitted; ``payload`` is the packed arguments, ``size`` that of its message in bytes."""

    id: str
    function: str
    payload: str
    size: int = 0


@dataclass(frozen=True)
class Task:
    """A task and, once finished, the result message of its endpoint, byte for byte."""

    id: str
    owner: str
    user_endpoint: str
    function: str
    group: str
    submitted: float
    state: TaskState
    finished: float | None = None
    message: bytes | None = None


@dataclass(frozen=True)
class Outgoing:
    """What must be published for one task: to its user endpoint's queue."""

    seq: int
    id: str
    owner: str
    user_endpoint: str
    function: str
    buffer: str
    payload: str
    resource_specification: dict[str, Any] | None
    result_serializers: list[str] | None


@dataclass(frozen=True)
class Forward:
    """A result that must be published to its task group's queue."""

    seq: int
    owner: str
    group: str
    message: bytes
    finished: float


@dataclass(frozen=True)
class Submission:
    """What tasks of one submission share.

    Attributes:
        owner: client id of the identity that submits.
        user_endpoint: that runs the tasks.
        group: of the tasks.
        queue: whether results of the group go to its queue.
        resource_specification: of each task, for the engine; None without one.
        result_serializers: that the client reads, in its order of preference; None takes the endpoint's.
    """

    owner: str
    user_endpoint: str
    group: str
    queue: bool = False
    resource_specification: dict[str, Any] | None = None
    result_serializers: list[str] | None = None


@dataclass(frozen=True)
class Stored:
    """What was new of results that came: those that must be published, and how many tasks ended well and badly."""

    forwards: list[Forward]
    succeeded: int
    failed: int


@dataclass(frozen=True)
class Result:
    """A result as it came: the task, whose endpoint says so, whether it is a failure, and the message's bytes."""

    task: str
    owner: str
    user_endpoint: str
    failed: bool
    message: bytes


@dataclass
class Incoming:
    """What the broker brought.

    Attributes:
        results: in the order in which they came.
        pulses: by owner and endpoint.
        queued: ``seq`` of tasks whose message the broker has.
        forwarded: ``seq`` of tasks whose result is in its group's queue.
        replaced: messages, by ``seq`` of their tasks, in place of results that the broker does not take: failures.
    """

    results: list[Result] = field(default_factory=list)
    pulses: dict[tuple[str, str], Pulse] = field(default_factory=dict)
    queued: list[int] = field(default_factory=list)
    forwarded: list[int] = field(default_factory=list)
    replaced: dict[int, bytes] = field(default_factory=dict)

    def parts(self) -> Iterator[Incoming]:
        """Yield each thing of it alone."""
        for result in self.results:
            yield Incoming(results=[result])
        for sender, pulse in self.pulses.items():
            yield Incoming(pulses={sender: pulse})
        yield Incoming(queued=self.queued, forwarded=self.forwarded, replaced=self.replaced)


@dataclass(frozen=True)
class OpenWork:
    """Unfinished tasks of one user endpoint."""

    user_endpoint: UserEndpoint
    core: Endpoint
    unfinished: int
    newest: float
