"""Routes of Globus Timers. As globus-sdk and globus-cli use them."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from prov_worker.localservice.apierrors import NO_TOKEN, NO_TOKEN_HEADERS
from prov_worker.localservice.flows import scopes
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.routes.common import ServiceDep, StrictRoute, errors, valid_token
from prov_worker.localservice.routes.flows import Body, Credentials
from prov_worker.localservice.timers.errors import TimersError
from prov_worker.localservice.timers.timers import Timers

router = APIRouter(tags=["timers"], route_class=StrictRoute)


def _timers(service: ServiceDep) -> Timers:
    assert service.rehearsal is not None
    return service.rehearsal.timers


def _caller(service: ServiceDep, credentials: Credentials) -> Identity:
    token = valid_token(service, credentials.credentials if credentials else "")
    if token.resource_server != scopes.TIMERS_SERVER:
        error = TimersError(401, "UNAUTHORIZED", NO_TOKEN)
        error.headers = NO_TOKEN_HEADERS
        raise error
    return token.identity


TimersDep = Annotated[Timers, Depends(_timers)]
Caller = Annotated[Identity, Depends(_caller)]


@router.post("/v2/timer", status_code=201, responses=errors(400, 401, 403, 404, 422))
def create_timer(body: Body, caller: Caller, timers: TimersDep) -> Any:
    """Make a timer."""
    return {"timer": timers.create(caller, body.get("timer"))}


@router.post("/jobs/", status_code=201, responses=errors(400, 401, 403, 404, 422))
def create_job(body: Body, caller: Caller, timers: TimersDep) -> Any:
    """Make a timer, as the first interface does."""
    return timers.create_job(caller, body)


@router.get("/jobs/", responses=errors(401))
def list_timers(caller: Caller, timers: TimersDep, order: str = "") -> Any:
    """List the timers of the caller."""
    shown = timers.timers(caller)
    return {"jobs": shown[::-1] if order.lower().endswith(" desc") else shown, "page_next": None}


@router.get("/jobs/{timer_id}", responses=errors(401, 404, 422))
def show_timer(timer_id: uuid.UUID, caller: Caller, timers: TimersDep) -> Any:
    """Show a timer, with what it has begun."""
    return timers.shown(caller, timers.timer(caller, str(timer_id)))


@router.patch("/jobs/{timer_id}", responses=errors(400, 401, 404, 422))
def update_timer(timer_id: uuid.UUID, body: Body, caller: Caller, timers: TimersDep) -> Any:
    """Change the name of a timer."""
    return timers.update(caller, str(timer_id), body)


@router.delete("/jobs/{timer_id}", responses=errors(401, 404, 422))
def delete_timer(timer_id: uuid.UUID, caller: Caller, timers: TimersDep) -> Any:
    """Forget a timer."""
    return timers.delete(caller, str(timer_id))


@router.post("/jobs/{timer_id}/pause", responses=errors(401, 404, 409, 422))
def pause_timer(timer_id: uuid.UUID, caller: Caller, timers: TimersDep) -> Any:
    """Let a timer begin nothing until it is resumed."""
    timers.pause(caller, str(timer_id))
    return {"message": f"Successfully paused job {timer_id}."}


@router.post("/jobs/{timer_id}/resume", responses=errors(401, 404, 409, 422))
def resume_timer(timer_id: uuid.UUID, caller: Caller, timers: TimersDep) -> Any:
    """Let a timer go on."""
    timers.resume(caller, str(timer_id))
    return {"message": f"Successfully resumed job {timer_id}."}
