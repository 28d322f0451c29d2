"""Errors of the REST interface, in the form that the hosted service gives them.

The SDK shows ``reason``; the daemon tells a refusal (404, 409, 423) from bad data (400, 422) by the status.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

#: Status and code of the errors that say no more than their status does.
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "INVALID_REQUEST",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
}


#: Why a request without a valid token is refused, and the header that says what is wanted (RFC 6750, section 3).
NO_TOKEN = "the access token is missing, expired or not valid here"  # noqa: S105 - a sentence
NO_TOKEN_HEADERS = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class ErrorDetail(BaseModel):
    """One cause."""

    code: str
    detail: str


class ErrorBody(BaseModel):
    """Body of every answer with a status of 400 or more, but for those of the token routes."""

    status: str
    code: int
    error_args: list[str]
    http_status_code: int
    reason: str
    errors: list[ErrorDetail]


class ApiError(Exception):
    """An answer other than success.

    Args:
        status: HTTP status, 400 or more.
        reason: for the person at the other end.
        code: the cause in capitals, such as ``TASK_NOT_FOUND``.
        headers: further headers of the answer.
    """

    def __init__(
        self, status: int, reason: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.code = code or _CODES.get(status, "ERROR")
        self.headers = headers or {}


def body(status: int, reason: str, code: str | None = None) -> dict[str, Any]:
    """Return the JSON body of an error."""
    code = code or _CODES.get(status, "ERROR")
    return {
        "status": "Failed",
        "code": status,
        "error_args": [],
        "http_status_code": status,
        "reason": reason,
        "errors": [{"code": code, "detail": reason}],
    }


def not_found(kind: str, identifier: object) -> ApiError:
    """Return a thing that does not exist, or is another identity's: the answer does not tell which."""
    return ApiError(404, f"{kind} {identifier} was not found", f"{kind.upper().replace(' ', '_')}_NOT_FOUND")
