"""What the routes share: strict JSON, who is asking, and the errors that every route may answer with."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from prov_worker.localservice.apierrors import NO_TOKEN, NO_TOKEN_HEADERS, ApiError, ErrorBody
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.pages import HEADERS
from prov_worker.localservice.service import Service
from prov_worker.localservice.tokens import AUTH_SERVER, COMPUTE_SERVER, Token

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class StrictRequest(Request):
    """A request whose JSON is JSON: no NaN, no half of a surrogate pair, no number beyond a double, not too deep."""

    async def json(self) -> Any:
        """Return the body, parsed.

        Raises:
            ApiError: 400.
        """
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                content = json.loads(body, parse_constant=_refuse_constant)
                if _SURROGATE.search(body) or b"e" in body or b"E" in body:
                    json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
            except (ValueError, RecursionError) as error:
                raise ApiError(400, f"the body is not valid JSON: {type(error).__name__}", "BAD_JSON") from error
            self._json = content
        return self._json


class StrictRoute(APIRoute):
    """A route whose handler gets a :class:`StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Return the handler."""
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            response: Response = await original(StrictRequest(request.scope, request.receive))
            return response

        return handler


_MEANINGS = {
    400: "The body is not what it says it is.",
    401: "No valid token.",
    403: "Not permitted.",
    409: "Not now: something else has happened.",
    404: "Not there, or another identity's.",
    413: "Too much at once.",
    415: "Not JSON.",
    429: "Too many wrong secrets.",
    422: "The request is not of the right form.",
    503: "The message broker cannot be reached.",
}


def page(text: str, policy: str) -> HTMLResponse:
    """Return a page for a browser, which is kept nowhere.

    Args:
        text: HTML.
        policy: what it may load and where it may send forms, beside what holds for all pages.
    """
    shared = "default-src 'none'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
    return HTMLResponse(text, headers={**HEADERS, "Content-Security-Policy": f"{shared}; {policy}"})


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return answers for the OpenAPI description."""
    return {status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in statuses}


def service_of(request: Request) -> Service:
    """Return the service that a request is for."""
    service: Service = request.app.state.service
    return service


def address_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client else ""


ServiceDep = Annotated[Service, Depends(service_of)]
bearer = HTTPBearer(auto_error=False, description="A token of POST /v2/oauth2/token.")


def valid_token(service: Service, text: str) -> Token:
    """Return a valid token for any resource server.

    Raises:
        ApiError: 401.
    """
    token = service.signer.read(text, time.time())
    if token is None or service.storage.revoked(token.token_id):
        raise ApiError(401, NO_TOKEN, headers=NO_TOKEN_HEADERS)
    return token


def read_token(service: Service, text: str, server: str) -> Token:
    """Return a valid token for a resource server.

    Raises:
        ApiError: 401.
    """
    token = valid_token(service, text)
    if token.resource_server != server:
        raise ApiError(401, NO_TOKEN, headers=NO_TOKEN_HEADERS)
    return token


def _identity_for(server: str) -> Callable[..., Identity]:
    def identity(
        service: ServiceDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Identity:
        return read_token(service, credentials.credentials if credentials else "", server).identity

    return identity


Caller = Annotated[Identity, Depends(_identity_for(COMPUTE_SERVER))]
AuthCaller = Annotated[Identity, Depends(_identity_for(AUTH_SERVER))]
