"""Errors as Globus Timers gives them (``globus_sdk.TimersAPIError`` reads them)."""

from __future__ import annotations

from typing import Any

from prov_worker.localservice.apierrors import ApiError

_CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 422: "VALIDATION_ERROR"}
_PREFIXES = ("/jobs", "/v2/timer")


class TimersError(ApiError):
    """An answer other than success.

    Args:
        status: HTTP status.
        code: the cause, in capitals.
        message: for a person.
        detail: further fields, which ``globus_sdk.gare`` reads; or a list of ``{"loc", "msg", "type"}``.
    """

    def __init__(self, status: int, code: str, message: str, detail: Any = None) -> None:
        super().__init__(status, message, code)
        self.detail = detail


def invalid(field: str, message: str) -> TimersError:
    """Return the refusal of a timer, as the service's own checks name places."""
    place = ["body", *field.split(".")]
    return TimersError(422, "VALIDATION_ERROR", message, [{"loc": place, "msg": message, "type": "value_error"}])


def is_for(path: str) -> bool:
    """Return whether a path is one of Timers'."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in _PREFIXES)


def body(status: int, reason: str, code: str | None = None, detail: Any = None) -> dict[str, Any]:
    """Return the JSON body of an error."""
    if isinstance(detail, list):
        return {"detail": detail}
    more = detail if isinstance(detail, dict) else {}
    return {**more, "error": {"code": code or _CODES.get(status, "ERROR"), "detail": reason, "status": status}}
