"""How a task failed, as a worker sees it, and plain data without secrets."""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

from prov_worker.interruptions import is_own
from prov_worker.recorder import capture
from prov_worker.redact import redact, redact_beginning, redact_part, secret_values

#: With type and ending still within the `error` of an event (docs/schemas).
_MAX_MESSAGE = 1900
_MAX_TRACEBACK = 64 << 10


def redacted(value: Any, secrets: tuple[str, ...]) -> Any:
    """Return plain data with every text redacted; before it is JSON, whose escapes would hide secrets or be cut."""
    if isinstance(value, str):
        return redact(value, secrets)
    if isinstance(value, dict):
        return {key: redacted(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item, secrets) for item in value]
    return value


def _said_for(error: BaseException) -> str:
    """Return what an error without a message means; empty if that is not known.

    Parsl's timer raises ``AppTimeout`` without a message when ``GC_TASK_TIMEOUT`` is over
    (``parsl.app.python.timeout``, ``globus_compute_endpoint.engines.helper``).
    """
    kind = type(error)
    if (kind.__module__, kind.__qualname__) != ("parsl.app.errors", "AppTimeout"):
        return ""
    try:
        limit_s = float(os.environ.get("GC_TASK_TIMEOUT", ""))
    except ValueError:
        limit_s = 0.0
    return f"the time limit{f' of {limit_s:g} s' if limit_s > 0 else ''} was reached"


def failure(kind: str, error: BaseException, text: str | None) -> str:
    """Return a :class:`prov_worker.model.Failure` as JSON, redacted."""
    secrets = secret_values()
    try:
        message = str(error)
    except Exception as raised:
        if not is_own(raised):
            raise
        message = "(the exception's own text failed)"
    message = message or _said_for(error)
    status: int | None = None
    if isinstance(error, SystemExit):
        code = error.code
        status = code if isinstance(code, int) else 0 if code is None else 1
        message = f"the function left the worker with exit status {status}" + (
            f": {message}" if isinstance(code, str) else ""
        )
    if text is None:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    fields = {
        "kind": kind,
        "message": redact_beginning(message, _MAX_MESSAGE, secrets),
        "type": capture.type_name(error),
        "traceback": redact_part(text, _MAX_TRACEBACK, secrets, tail=True),
        "exit_status": status,
    }
    return json.dumps(fields)
