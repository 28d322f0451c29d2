"""Routes of Globus Auth: tokens by client credentials, and who a token belongs to."""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote_plus

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from prov_worker.localservice.apierrors import ApiError
from prov_worker.localservice.flows.consents import forest
from prov_worker.localservice.flows.scopes import root, split
from prov_worker.localservice.identities import PROVIDER, Identity
from prov_worker.localservice.logins import SlowDownError
from prov_worker.localservice.routes.common import AuthCaller, ServiceDep, StrictRoute, address_of, errors
from prov_worker.localservice.tokens import LIFETIME_S, resource_server

#: A token holds its scopes, and goes into a header.
_SCOPES_LIMIT_BYTES = 16 * 1024
router = APIRouter(tags=["auth"], route_class=StrictRoute)


class _DescribedBasic(HTTPBasic):
    """Basic authentication in the description alone: the routes read the header, and answer as OAuth wants it."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Leave it to the route."""


_basic = _DescribedBasic(auto_error=False, description="Client id and secret.")


class TokenBody(BaseModel):
    """A token, and those for other resource servers."""

    access_token: str
    scope: str
    resource_server: str
    expires_in: int
    token_type: str
    other_tokens: list[dict[str, Any]]


class OAuthError(BaseModel):
    """RFC 6749, section 5.2."""

    error: str
    error_description: str


class _OAuthProblemError(Exception):
    def __init__(self, status: int, error: str, description: str, wait_s: int = 0) -> None:
        super().__init__(description)
        self.status, self.error, self.description, self.wait_s = status, error, description, wait_s

    def response(self) -> JSONResponse:
        headers = {"WWW-Authenticate": 'Basic realm="client id and secret"'} if self.status == 401 else {}
        if self.status == 429:
            headers["Retry-After"] = str(self.wait_s)
        return JSONResponse(
            {"error": self.error, "error_description": self.description}, status_code=self.status, headers=headers
        )


_OAUTH_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": OAuthError, "description": "Not a request for a token."},
    401: {"model": OAuthError, "description": "Unknown client or wrong secret."},
    429: {"model": OAuthError, "description": "Too many wrong secrets."},
}


def _form_of(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}}


async def _form(request: Request) -> dict[str, str]:
    body = await request.body()
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise _OAuthProblemError(400, "invalid_request", "the body is not a form") from error
    return {name: values[0] for name, values in fields.items()}


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise _OAuthProblemError(401, "invalid_client", "the Authorization header is not Basic") from error
        # RFC 6749, section 2.3.1: both parts are encoded as in a form.
        return unquote_plus(client_id), unquote_plus(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


async def _client(request: Request, form: dict[str, str]) -> Identity:
    service = request.app.state.service
    try:
        identity = await service.logins.authenticate(address_of(request), *_credentials(request, form))
    except SlowDownError as error:
        service.metrics.add("prov_service_logins_total", outcome="refused")
        raise _OAuthProblemError(429, "slow_down", str(error), error.wait_s) from error
    service.metrics.add("prov_service_logins_total", outcome="success" if identity else "refused")
    if identity is None:
        raise _OAuthProblemError(401, "invalid_client", "unknown client or wrong secret")
    assert isinstance(identity, Identity)
    return identity


@router.post(
    "/v2/oauth2/token",
    response_model=TokenBody,
    responses=_OAUTH_ERRORS,
    openapi_extra=_form_of(
        {"grant_type": {"const": "client_credentials"}, "scope": {"type": "string", "minLength": 1}},
        ["grant_type", "scope"],
    ),
    dependencies=[Depends(_basic)],
)
async def token(request: Request) -> Any:
    """Issue tokens for a client: one per resource server that the scopes name."""
    try:
        form = await _form(request)
        identity = await _client(request, form)
        if form.get("grant_type") != "client_credentials":
            raise _OAuthProblemError(400, "unsupported_grant_type", "only client_credentials")
        scopes = list(dict.fromkeys(split(form.get("scope", ""))))
        if not scopes:
            raise _OAuthProblemError(400, "invalid_scope", "no scope")
        if sum(map(len, scopes)) > _SCOPES_LIMIT_BYTES:
            raise _OAuthProblemError(400, "invalid_scope", "too many scopes")
        # What depends on a scope is a consent, and not named by the token.
        by_server: dict[str, list[str]] = {}
        for scope in scopes:
            by_server.setdefault(resource_server(scope), []).append(scope)
        now = time.time()
        service = request.app.state.service
        dependent = [scope for scope in scopes if "[" in scope]
        if dependent:
            await run_in_threadpool(service.storage.flow_store().add_consents, identity.client_id, dependent)
        if service.rehearsal is not None:
            await run_in_threadpool(service.storage.flow_store().note_login, identity.client_id, list(by_server), now)
        signer = request.app.state.service.signer
        made = [
            {
                "access_token": signer.sign(identity, server, now, " ".join(names)),
                "scope": " ".join(dict.fromkeys(map(root, names))),
                "resource_server": server,
                "expires_in": LIFETIME_S,
                "token_type": "Bearer",
            }
            for server, names in by_server.items()
        ]
        return JSONResponse({**made[0], "other_tokens": made[1:]}, headers={"Cache-Control": "no-store"})
    except _OAuthProblemError as problem:
        return problem.response()


class Revoked(BaseModel):
    """What is left of a revoked token."""

    active: bool


@router.post(
    "/v2/oauth2/token/revoke",
    response_model=Revoked,
    responses=_OAUTH_ERRORS,
    openapi_extra=_form_of({"token": {"type": "string", "minLength": 1}}, ["token"]),
    dependencies=[Depends(_basic)],
)
async def revoke(request: Request) -> Any:
    """Make a token void; one that is not valid, or not the client's, is void already (RFC 7009)."""
    try:
        form = await _form(request)
        identity = await _client(request, form)
        if not form.get("token"):
            raise _OAuthProblemError(400, "invalid_request", "no token")
        service = request.app.state.service
        token = service.signer.read(form["token"], time.time())
        if token is not None and token.identity.client_id == identity.client_id:
            await run_in_threadpool(service.storage.revoke, token.token_id, token.expires)
        return Revoked(active=False)
    except _OAuthProblemError as problem:
        return problem.response()


class IdentitySetMember(BaseModel):
    """One identity of a set."""

    sub: str
    username: str
    name: str
    email: str | None
    organization: str | None
    identity_provider: str
    identity_provider_display_name: str


class UserInfo(BaseModel):
    """Who a token belongs to; a daemon obeys start commands of ``identity_set``."""

    sub: str
    preferred_username: str
    name: str
    email: str | None
    identity_provider: str
    last_authentication: int | None
    identity_set: list[IdentitySetMember]


@router.get("/v2/oauth2/userinfo", response_model=UserInfo, responses=errors(401))
def userinfo(caller: AuthCaller) -> Any:
    """Return who a token belongs to."""
    return {
        "sub": caller.client_id,
        "preferred_username": caller.username,
        "name": caller.name,
        "email": None,
        "identity_provider": PROVIDER,
        "last_authentication": None,
        "identity_set": [caller.as_set_member()],
    }


class IdentityBody(BaseModel):
    """An identity as ``whoami`` shows it."""

    id: str
    sub: str
    username: str
    name: str
    email: str | None
    organization: str | None
    identity_provider: str
    identity_type: str
    status: str


#: Quoted, both lists have to fit into what is read of a request's head, up to 12 bytes per character.
_UUIDS = r"^[0-9A-Fa-f, -]*$"


class IdentityList(BaseModel):
    """Identities."""

    identities: list[IdentityBody]


@router.get("/v2/api/identities", response_model=IdentityList, responses=errors(401, 422))
def identities(
    caller: AuthCaller,
    service: ServiceDep,
    ids: Annotated[str, Query(description="Comma-separated UUIDs.", max_length=4000, pattern=_UUIDS)] = "",
    usernames: Annotated[str, Query(description="Comma-separated user names.", max_length=4000)] = "",
) -> Any:
    """Return the caller's own identity, if it is among those asked for."""
    names = {_canonical(each) for each in ids.split(",")} | set(usernames.split(","))
    matches = [caller] if {caller.client_id, caller.username} & names else []
    return {
        "identities": [
            {
                "id": each.client_id,
                "sub": each.client_id,
                "username": each.username,
                "name": each.name,
                "email": None,
                "organization": None,
                "identity_provider": PROVIDER,
                "identity_type": "login",
                "status": "used",
            }
            for each in matches
        ]
    }


@router.get("/v2/api/identities/{identity_id}/consents", responses=errors(401, 403, 422))
def consents(identity_id: uuid.UUID, caller: AuthCaller, service: ServiceDep) -> Any:
    """Return what the caller has consented to."""
    if str(identity_id) != caller.client_id:
        raise ApiError(403, "only one's own consents are shown")
    given = service.storage.flow_store().consents(caller.client_id)
    return {"consents": forest(given, caller, time.time())}


def _canonical(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text
