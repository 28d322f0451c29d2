"""A job: a call that was asked for, and each attempt at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any

from prov_worker.crate.vocabulary import crate_name
from prov_worker.globus.task_options import KEY
from prov_worker.jobs import errors
from prov_worker.jobs.states import State

if TYPE_CHECKING:
    from pathlib import Path

    from prov_worker.jobs.ledger import Ledger

_ERRORS: dict[State, type[errors.JobError]] = {
    State.FAILED: errors.JobFailedError,
    State.LOST: errors.JobLostError,
    State.TIMED_OUT: errors.JobTimedOutError,
    State.CANCELLED: errors.JobCancelledError,
    State.UNKNOWN: errors.JobUnknownError,
}


class Cancellation(Enum):
    """What became of the wish to cancel a job; its value says so in a sentence."""

    CANCELLED = "cancelled before it was sent"
    STOPPED = "cancelled at the endpoint, where its worker was ended"
    ENDED = "it had ended already"
    ASKED = "asked, not yet confirmed: it is ended at the endpoint if it runs, or once it begins; its result is dropped"
    DROPPED = "it is with the endpoint and cannot be cancelled there; its result will be dropped"

    def __bool__(self) -> bool:
        """Return whether the job is cancelled for certain."""
        return self in (Cancellation.CANCELLED, Cancellation.STOPPED)


@dataclass(slots=True)
class Attempt:
    """One sending of a job.

    Attributes:
        number: from 1.
        sent_at: seconds since the epoch.
        task_id: of Globus Compute; None until the web service has answered.
        state: how it ended; ``queued`` before that.
        ended_at: when that was seen here; None before that.
        error: why it has no value.
        code: of the error, as the endpoint's message says; None if it says none.
        run_s: how long the worker took, as it says; None if it does not.
    """

    number: int
    sent_at: float
    task_id: str | None = None
    state: State = State.QUEUED
    ended_at: float | None = None
    error: str | None = None
    code: str | None = None
    run_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; moments as in ISO 8601."""
        return {
            "number": self.number,
            "task_id": self.task_id,
            "state": str(self.state),
            "sent": moment(self.sent_at),
            "ended": moment(self.ended_at),
            "run_s": self.run_s,
            "code": self.code,
            "error": self.error,
        }


class Job:
    """A call of a store; made by ``Jobs.submit`` and by reading a store, and changed by neither caller nor reader.

    Attributes:
        id: number in its store, from 1.
        name: of the call, the function's unless given.
        function_id: of Globus Compute.
        function_sha256: digest of the function; None for one that was registered elsewhere.
        payload_sha256: digest of the packed arguments.
        batch: name of the batch that it belongs to; None.
        key: of its item in the batch; None.
        specification: its ``resource_specification``.
        shell: its value has an exit status.
        retries: how often it may be sent again.
        retry_on: after which states.
        submitted_at: seconds since the epoch.
        state: what is known of it.
        attempts: one entry per sending.
        cancel_wanted: it was cancelled while it was with the endpoint.
        called: the batch's callback has seen its outcome.
    """

    __slots__ = (
        "_ledger", "_value", "attempts", "batch", "called", "cancel_wanted", "end_offset", "function_id",
        "function_sha256", "granted", "id", "key", "name", "offset", "payload_sha256", "retries", "retry_on", "shell",
        "specification", "state", "submitted_at",
    )  # fmt: skip

    def __init__(self, ledger: Ledger, record: dict[str, Any], offset: int) -> None:
        self._ledger = ledger
        self._value: tuple[Any] | None = None
        self.id: int = record["job"]
        self.name: str = record["name"]
        self.function_id: str = record["function"]
        self.function_sha256: str | None = record.get("code")
        self.payload_sha256: str = record["sha256"]
        self.batch: str | None = record.get("batch")
        self.key: str | None = record.get("key")
        self.specification: dict[str, Any] | None = record.get("spec")
        self.shell: bool = record.get("shell", False)
        self.retries: int = record.get("retries", 0)
        self.retry_on = frozenset(State(state) for state in record.get("retry_on", ()))
        self.submitted_at: float = record["at"]
        self.state = State.QUEUED
        self.attempts: list[Attempt] = []
        self.cancel_wanted = False
        self.called = False
        #: Of the line that holds the arguments, and of the one that holds the result.
        self.offset = offset
        self.end_offset: int | None = None
        #: So many attempts may be made in all.
        self.granted = 1 + self.retries

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name} {self.state}>"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state.ended

    @property
    def waiting(self) -> bool:
        """Whether it is here, to be sent."""
        return self.state is State.QUEUED and (not self.attempts or self.attempts[-1].state is not State.QUEUED)

    @property
    def may_have_run(self) -> bool:
        """Whether it is sent again only if that is asked for: nobody knows what it did, or it was to run once."""
        once = ((self.specification or {}).get(KEY) or {}).get("once", False)
        return self.state is State.UNKNOWN or (once and self.state in (State.LOST, State.TIMED_OUT))

    @property
    def task_id(self) -> str | None:
        """Task of the last attempt; None if there is none."""
        return self.attempts[-1].task_id if self.attempts else None

    @property
    def error(self) -> str | None:
        """Why the last attempt has no value; None if it has one, or has not ended."""
        return self.attempts[-1].error if self.attempts else None

    @property
    def crate(self) -> Path | None:
        """Crate of the last attempt, if it is in the directory of crates that the store was opened with; else None."""
        crates = self._ledger.crates
        if crates is None or self.task_id is None:
            return None
        path = crates / crate_name(self.task_id)
        return path if path.exists() else None

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job to end and return its function's value.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            JobError: it has no value: failed, lost, timed out, cancelled, unknown. Of a raising function, the text is
                the worker's traceback.
            TimeoutError: it has not ended in time.
            InputError: its value cannot be read here.
        """
        if not self.ended and not self.cancel_wanted:
            self._ledger.wait(lambda: self.ended or self.cancel_wanted, timeout, f"job {self.id}")
        if self.state is not State.COMPLETED:
            if not self.ended:
                raise errors.JobCancelledError(self, f"job {self.id} ({self.name}): cancelled; its result is dropped")
            raise _ERRORS[self.state](self, self.error or f"job {self.id} ({self.name}): {self.state}")
        if self._value is None:
            from prov_worker.globus.call_packing import unpack_result

            assert self.end_offset is not None
            self._value = (unpack_result(self._ledger.line(self.end_offset)["result"]),)
        return self._value[0]

    def cancel(self) -> Cancellation:
        """Take the job back if it has not been sent; else have it ended at the endpoint. Returns what came of it.

        Globus Compute has no way to cancel a task: only our engines end its worker, which is waited for up to 10 s.
        Elsewhere it runs to its end. Its result is dropped in any case.

        Raises:
            StoreError: the store was opened to be read.
        """
        return self._ledger.cancel(self)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, without arguments and value."""
        return {
            "id": self.id,
            "name": self.name,
            "state": str(self.state),
            "batch": self.batch,
            "key": self.key,
            "submitted": moment(self.submitted_at),
            "function_id": self.function_id,
            "task_id": self.task_id,
            "crate": None if self.crate is None else str(self.crate),
            "cancel_wanted": self.cancel_wanted,
            "error": self.error,
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }


def moment(seconds: float | None) -> str | None:
    """Return a moment as in ISO 8601, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
