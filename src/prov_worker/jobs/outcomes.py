"""From the answer to a task to the state of its job."""

from __future__ import annotations

from typing import Any

from prov_worker.globus.answers import Answer
from prov_worker.jobs.states import State

#: Exit status of a ``ShellFunction`` whose walltime was over (``sdk/shell_function.py``), as of timeout(1).
_SHELL_TIMED_OUT = 124
_TAIL_LINES = 10
#: Of tasks whose worker an agent ended, or that no worker got, as our engines say
#: (:mod:`prov_worker.globus.error_results`).
_ENDED = {
    "time_limit": State.TIMED_OUT,
    "cancelled": State.CANCELLED,
    "refused": State.FAILED,
    "begun": State.LOST,
}


def outcome(answer: Answer, *, shell: bool) -> tuple[State, str | None]:
    """Return the state that an answer leads to, and why there is no value; None if there is one.

    Args:
        answer: to the task.
        shell: its value has an exit status, which is 0 for success.
    """
    if answer.outcome in _ENDED:
        return _ENDED[answer.outcome], answer.text.strip()
    if not answer.succeeded:
        return (State.FAILED if answer.by_worker else State.LOST), answer.text.strip() or "no reason is given"
    return _shell_outcome(answer.text) if shell else (State.COMPLETED, None)


def _shell_outcome(text: str) -> tuple[State, str | None]:
    from prov_worker.errors import InputError
    from prov_worker.globus.call_packing import unpack_result

    try:
        result = unpack_result(text)
    except InputError:
        return State.COMPLETED, None  # it is there, and whoever wants the value learns why it cannot be read
    fields: dict[str, Any] = result if isinstance(result, dict) else vars(result) if hasattr(result, "__dict__") else {}
    status = fields.get("returncode")
    if status in (None, 0):
        return State.COMPLETED, None
    timed_out = status == _SHELL_TIMED_OUT and str(fields.get("exception_name")).endswith("TimeoutExpired")
    reason = "ended at its walltime" if timed_out else f"exit status {status}"
    tail = "\n".join(str(fields.get("stderr") or "").strip().splitlines()[-_TAIL_LINES:])
    error = f"{reason}: {fields.get('cmd')}" + (f"\n{tail}" if tail else "")
    return (State.TIMED_OUT if timed_out else State.FAILED), error


def run_s(answer: Answer) -> float | None:
    """Return how long the worker took; None if it does not say."""
    if answer.started_ns is None or answer.ended_ns is None or not answer.by_worker:
        return None
    return round((answer.ended_ns - answer.started_ns) / 1e9, 6)
