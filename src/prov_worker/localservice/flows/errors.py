"""Errors as Globus Flows gives them (``globus_sdk.FlowsAPIError`` reads them)."""

from __future__ import annotations

import uuid
from typing import Any

from prov_worker.localservice.apierrors import ApiError

#: Codes by status, for errors that the service's common parts raise.
_CODES = {401: "AUTHENTICATION_ERROR", 404: "NOT_FOUND", 422: "UNPROCESSABLE_ENTITY"}
_PREFIXES = ("/flows", "/runs")


class FlowsError(ApiError):
    """An answer other than success.

    Args:
        status: HTTP status.
        code: the cause, in capitals.
        detail: for a person; or a list of ``{"loc", "type", "msg"}``.
        message: for a person, if ``detail`` is a list.
    """

    def __init__(self, status: int, code: str, detail: Any, message: str = "") -> None:
        super().__init__(status, message or str(detail), code)
        self.detail, self.message = detail, message


def is_for(path: str) -> bool:
    """Return whether a path is one of Flows'."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in _PREFIXES)


def body(status: int, reason: str, code: str | None = None, detail: Any = None) -> dict[str, Any]:
    """Return the JSON body of an error."""
    error: dict[str, Any] = {"code": code or _CODES.get(status, "ERROR"), "detail": detail or reason}
    if isinstance(detail, list):
        error["message"] = reason
    return {"error": error, "debug_id": str(uuid.uuid4())}
