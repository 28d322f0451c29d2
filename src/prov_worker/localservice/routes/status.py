"""The status page."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.concurrency import run_in_threadpool

from prov_worker.crate.sources import Source
from prov_worker.errors import CrateError
from prov_worker.localservice import cratepage, statuspage
from prov_worker.localservice.apierrors import ApiError
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.logins import SlowDownError
from prov_worker.localservice.pages import HEADERS
from prov_worker.localservice.routes.common import ServiceDep, address_of, errors, page
from prov_worker.localservice.service import Service

router = APIRouter(tags=["status"])
_basic = HTTPBasic(auto_error=False, description="Client id and secret.")
#: The answers are of two types, which the framework's own description of a route cannot say.
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}},
    401: {
        "description": "No login.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
    },
    429: {
        "description": "Too many wrong secrets.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
    },
}


async def login_of(request: Request, service: Service, login: HTTPBasicCredentials | None) -> Identity | None:
    """Return the identity that logs in; None if none does, or the secret is wrong.

    Raises:
        ApiError: 429.
    """
    try:
        return await service.logins.authenticate(address_of(request), login.username, login.password) if login else None
    except SlowDownError as error:
        raise ApiError(429, str(error), headers={"Retry-After": str(error.wait_s)}) from error


def need_login() -> ApiError:
    """Return the answer to whom has not logged in."""
    return ApiError(
        401,
        "log in with a client id as user name and its secret as password; `prov-worker service env` prints both",
        headers={"WWW-Authenticate": 'Basic realm="Client id and secret of the local service", charset="UTF-8"'},
    )


async def _identity_of(
    request: Request, service: ServiceDep, login: Annotated[HTTPBasicCredentials | None, Depends(_basic)]
) -> Identity:
    """Return the identity that logs in.

    Raises:
        ApiError: 401, 429.
    """
    identity = await login_of(request, service, login)
    if identity is None:
        raise need_login()
    return identity


IdentityDep = Annotated[Identity, Depends(_identity_of)]


@router.get("/live", responses=errors(401, 429))
async def live(service: ServiceDep, identity: IdentityDep) -> dict[str, list[Any]]:
    """Return what agents say of the identity's tasks, as `prov-worker top` asks (:mod:`prov_worker.spool.live`)."""
    remarks, problems = await run_in_threadpool(service.live_remarks, identity.client_id)
    agents = [{"document": remark.document, "by": remark.by, "state": remark.state} for _, remark in remarks]
    return {"agents": agents, "problems": problems}


@router.get("/", response_class=HTMLResponse, responses=_ANSWERS)
async def status_page(service: ServiceDep, identity: IdentityDep) -> HTMLResponse:
    """Show what the identity that logs in has: endpoints, tasks, throughput; for a person with a browser."""
    nonce = secrets.token_urlsafe(16)
    status = await run_in_threadpool(statuspage.gather, service, identity, time.time())
    policy = f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; form-action 'none'"
    return page(statuspage.render(status, nonce), policy)


@router.get("/crates/{task}", response_class=HTMLResponse, responses={**_ANSWERS, **errors(404)})
async def crate_page(task: uuid.UUID, service: ServiceDep, identity: IdentityDep) -> HTMLResponse:
    """Show the crate of a task of the identity that logs in; for a person with a browser."""
    nonce = secrets.token_urlsafe(16)
    try:
        source = await run_in_threadpool(_crate, service, identity, task)
        text = await run_in_threadpool(cratepage.render, source, str(task), nonce)
    except CrateError as error:
        raise ApiError(404, str(error)) from error
    return page(text, f"style-src 'nonce-{nonce}'; form-action 'none'")


@router.get("/crates/{task}/{name:path}", response_class=StreamingResponse, responses=errors(401, 404, 429))
async def crate_file(task: uuid.UUID, name: str, service: ServiceDep, identity: IdentityDep) -> StreamingResponse:
    """Send a file of such a crate."""
    try:
        source = await run_in_threadpool(_crate, service, identity, task)
        content = await run_in_threadpool(cratepage.content, source, name)
    except CrateError as error:
        raise ApiError(404, str(error)) from error
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    headers = {**HEADERS, "Content-Security-Policy": policy}
    return StreamingResponse(content, media_type=cratepage.media_type(name), headers=headers)


def _crate(service: Service, identity: Identity, task: uuid.UUID) -> Source:
    """Return the crate of a task of an identity; those of others are not there.

    Raises:
        ApiError: 404.
    """
    name = str(task)
    source = None
    if name in service.storage.tasks([name], identity.client_id):
        source = cratepage.find(service.config.crate_dirs, name)
    if source is None:
        raise ApiError(404, f"there is no crate of a task {name} of yours")
    return source
