"""Errors as Globus Transfer gives them (``globus_sdk.TransferAPIError`` reads them)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from prov_worker.localservice.apierrors import ApiError

#: Codes by status, for errors that the service's common parts raise.
_CODES = {
    400: "ClientError.BadRequest",
    401: "AuthenticationFailed",
    403: "PermissionDenied",
    404: "ClientError.NotFound",
    405: "ClientError.MethodNotAllowed",
    422: "ClientError.BadRequest",
}
#: Of its routes (https://docs.globus.org/api/transfer/overview/#base_url).
PREFIX = "/v0.10"


class TransferError(ApiError):
    """An answer other than success.

    Args:
        status: HTTP status.
        code: the cause, such as ``ClientError.NotFound``.
        message: for a person.
        more: further fields of the answer.
    """

    def __init__(self, status: int, code: str, message: str, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(status, message, code)
        self.detail = dict(more or {})


def is_for(path: str) -> bool:
    """Return whether a path is one of Transfer's."""
    return path.startswith(f"{PREFIX}/")


def body(status: int, reason: str, code: str | None, detail: Any, path: str) -> dict[str, Any]:
    """Return the JSON body of an error."""
    if code is None or ("." not in code and code.isupper()):
        code = _CODES.get(status, "ServiceError")
    more = detail if isinstance(detail, Mapping) else {}
    return {**more, "code": code, "message": reason, "request_id": request_id(), "resource": path.removeprefix(PREFIX)}


def request_id() -> str:
    """Return an id of a request, as every document of Transfer has one."""
    return uuid.uuid4().hex[:9]
