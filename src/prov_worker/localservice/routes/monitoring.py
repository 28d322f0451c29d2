"""Routes for monitors: version, health, metrics."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.core import GaugeMetricFamily, Metric
from pydantic import BaseModel

from prov_worker import __version__
from prov_worker.localservice.routes.common import ServiceDep
from prov_worker.localservice.service import Service

router = APIRouter(tags=["monitoring"])


class Version(BaseModel):
    """The service's version, and the oldest of its clients that it takes."""

    api: str
    min_ep_version: str
    min_sdk_version: str


class Health(BaseModel):
    """Whether the service can work."""

    status: Literal["ok", "degraded"]
    broker: Literal["up", "down"]
    accounts: Literal["up", "down"]
    storage: Literal["up", "down"]
    dispatcher: Literal["up", "stalled"]
    reason: str
    version: str
    uptime_s: float


@router.get("/v2/version", response_model=Version)
def version() -> Any:
    """Return versions; no token is needed."""
    return {"api": f"1.0.0-local+prov-worker.{__version__}", "min_ep_version": "4.0.0", "min_sdk_version": "4.0.0"}


@router.get("/health", response_model=Health, responses={503: {"model": Health, "description": "Something is away."}})
async def health(service: ServiceDep) -> Any:
    """Return 200 if broker and state can be reached and tasks and results go out, else 503; needs no token."""
    # Not in the threads of other requests, which may all be waiting for the broker.
    storage = await anyio.to_thread.run_sync(_reads, service, limiter=service.monitors)
    stalled = service.stalled
    good = storage and service.broker.up and service.accounts.ready and not stalled
    content = {
        "status": "ok" if good else "degraded",
        "broker": "up" if service.broker.up else "down",
        "accounts": "up" if service.accounts.ready else "down",
        "storage": "up" if storage else "down",
        "dispatcher": "stalled" if stalled else "up",
        "reason": stalled or ("" if service.broker.up else service.broker.last_error),
        "version": __version__,
        "uptime_s": round(time.time() - service.started, 3),
    }
    return JSONResponse(content, status_code=200 if good else 503)


def _reads(service: Service) -> bool:
    try:
        service.storage.ping()
    except sqlite3.Error:
        return False
    return True


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(service: ServiceDep) -> PlainTextResponse:
    """Return Prometheus metrics: sums over all identities, without any id; no token is needed."""
    return PlainTextResponse(service.metrics.render(_gauges(service)), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _gauges(service: Service) -> Iterator[Metric]:
    now = time.time()
    tasks = GaugeMetricFamily("prov_service_tasks", "Tasks kept, by state.", labels=["state"])
    for state, number in service.storage.task_counts().items():
        tasks.add_metric([state], number)
    endpoints = service.storage.all_endpoints()
    online = sum(each.pulse.online(now) for each in endpoints)
    core = GaugeMetricFamily("prov_service_endpoints", "Core endpoints.", labels=["status"])
    core.add_metric(["online"], online)
    core.add_metric(["offline"], len(endpoints) - online)
    info = GaugeMetricFamily("prov_service_info", "Version of the service.", labels=["version"])
    info.add_metric([__version__], 1)
    yield from (tasks, core, info)
    for name, text, value in (
        ("broker_up", "Whether the broker is connected.", service.broker.up),
        ("state_bytes", "Size of the durable state on disk.", service.storage.size_bytes()),
        ("start_time_seconds", "Start of the process, seconds since the epoch.", service.started),
    ):
        yield GaugeMetricFamily(f"prov_service_{name}", text, value=value)
