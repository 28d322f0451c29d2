"""The form of an error, by the service that a path belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prov_worker.localservice import apierrors
from prov_worker.localservice.flows import errors as flow_errors
from prov_worker.localservice.timers import errors as timer_errors
from prov_worker.localservice.transfers import errors as transfer_errors


def body_for(path: str) -> Callable[..., dict[str, Any]]:
    """Return what makes the body of an error from its status, reason, code and details.

    Args:
        path: of the request.
    """
    if transfer_errors.is_for(path):
        return lambda status, reason, code=None, detail=None: transfer_errors.body(status, reason, code, detail, path)
    if timer_errors.is_for(path):
        return timer_errors.body
    if flow_errors.is_for(path):
        return flow_errors.body
    return lambda status, reason, code=None, detail=None: apierrors.body(status, reason, code)
