"""The ASGI application."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from prov_worker import __version__
from prov_worker.localservice import answers, apierrors
from prov_worker.localservice.counting import Counting
from prov_worker.localservice.gate import Gate
from prov_worker.localservice.routes import (
    auth,
    choices,
    endpoints,
    flows,
    functions,
    monitoring,
    runs,
    status,
    tasks,
    timers,
    transfer_operations,
    transfer_tasks,
)
from prov_worker.localservice.service import Service

_log = logging.getLogger(__name__)
_DESCRIPTION = (
    "The routes of Globus Compute and Globus Auth that the stock endpoint daemon and the stock SDK use, "
    "for a local test endpoint."
)


def create_app(service: Service) -> FastAPI:
    """Return the application; it starts the service with its first event and stops it with its last."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.start)
        try:
            yield
        finally:
            await run_in_threadpool(service.stop)

    app = FastAPI(
        title="prov-worker local service",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    routers = [auth.router, endpoints.router, functions.router, tasks.router, monitoring.router, status.router]
    if service.rehearsal is not None:
        routers += [flows.router, runs.router, choices.router]
        routers += [transfer_tasks.router, transfer_operations.router, timers.router]
    for router in routers:
        app.include_router(router)
    app.state.routes = [route for router in routers for route in router.routes]
    app.add_exception_handler(apierrors.ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(sqlite3.Error, _no_state)
    app.add_exception_handler(Exception, _unexpected)
    app.add_middleware(Gate, service=service, routes=app.state.routes)
    app.add_middleware(Counting, metrics=service.metrics)
    return app


def _answer(
    request: Request,
    status_code: int,
    reason: str,
    code: str | None = None,
    headers: Any = None,
    detail: Any = None,
) -> Response:
    content = answers.body_for(request.scope["path"])(status_code, reason, code, detail)
    return JSONResponse(content, status_code=status_code, headers=headers)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, apierrors.ApiError)
    return _answer(request, error.status, error.reason, error.code, error.headers, getattr(error, "detail", None))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # Where and what, never the value: it may be a secret in the wrong place.
    where = ".".join(str(part) for part in first["loc"])[:200].encode("utf-8", "replace").decode()
    return _answer(request, 422, f"{where}: {first['msg']}"[:500])


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = error.detail if isinstance(error.detail, str) else "error"
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # The framework names those of the first route of this path alone.
        headers["Allow"] = ", ".join(_methods(request))
        reason = f"{request.method[:20]} is not among {headers['Allow']}"
    return _answer(request, error.status_code, reason, headers=headers)


def _methods(request: Request) -> list[str]:
    """Return methods that a path has."""
    return sorted(
        method
        for route in request.app.state.routes
        if route.path_regex.match(request.scope["path"])
        for method in route.methods
    )


async def _no_state(request: Request, error: Exception) -> Response:
    """Return a full disk, mostly: nothing has been accepted, and the caller may try again."""
    _log.error("%s %s: %s", request.method, getattr(request.scope.get("route"), "path", "?"), error)
    return _answer(request, 503, "the service cannot keep its state now; try again", headers={"Retry-After": "10"})


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s", request.method, getattr(request.scope.get("route"), "path", "?"), exc_info=error)
    return _answer(request, 500, "an error of the service's own; its log tells more")
