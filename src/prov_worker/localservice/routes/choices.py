"""Pages on which a person chooses how a run of a flow goes on."""

from __future__ import annotations

import secrets
from functools import cache
from importlib import resources
from typing import Annotated, Any

import jinja2
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.concurrency import run_in_threadpool

from prov_worker.localservice.apierrors import ApiError
from prov_worker.localservice.flows.actions.person import PersonProvider, is_for
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.routes.common import ServiceDep, errors, page
from prov_worker.localservice.routes.status import login_of, need_login
from prov_worker.localservice.sqlite.choices import OPTION, PAGE

#: What its addresses begin with: they ask for no token, but for a login if not everybody may choose.
PREFIX = "/weboption"
router = APIRouter(tags=["choices"], prefix=PREFIX)
_basic = HTTPBasic(auto_error=False, description="Client id and secret, if not everybody may choose.")
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}},
    **errors(401, 403, 404, 429),
}
Login = Annotated[HTTPBasicCredentials | None, Depends(_basic)]


def _people(service: ServiceDep) -> PersonProvider:
    assert service.rehearsal is not None
    return service.rehearsal.people


PeopleDep = Annotated[PersonProvider, Depends(_people)]


@router.get("/landing_page/{suffix}", response_class=HTMLResponse, responses=_ANSWERS)
async def landing_page(
    suffix: str, request: Request, service: ServiceDep, people: PeopleDep, login: Login
) -> HTMLResponse:
    """Show the options of an action, to choose one."""
    content = await _offered(people, PAGE, suffix)
    identity = await login_of(request, service, login)
    _check(content["landing_page"], identity)
    return _rendered(shown=content["landing_page"], options=content["options"], prefix=PREFIX)


@router.get("/option/{suffix}", response_class=HTMLResponse, responses=_ANSWERS)
@router.post("/option/{suffix}", response_class=HTMLResponse, responses=_ANSWERS)
async def option(suffix: str, request: Request, service: ServiceDep, people: PeopleDep, login: Login) -> HTMLResponse:
    """Choose an option: any access does, as it does at Globus."""
    content = await _offered(people, OPTION, suffix)
    chosen = next(option for option in content["options"] if option["url_suffix"] == suffix)
    _check(chosen, await login_of(request, service, login))
    if not await run_in_threadpool(people.choose, suffix):
        raise _gone(suffix)
    return _rendered(
        shown={"page_title": chosen["name"], "header_text": chosen["completed_message"]}, options=[], prefix=""
    )


async def _offered(people: PersonProvider, kind: str, suffix: str) -> dict[str, Any]:
    offered = await run_in_threadpool(people.store.offered, kind, suffix)
    if offered is None:
        raise _gone(suffix)
    return offered[1]


def _gone(suffix: str) -> ApiError:
    return ApiError(404, f"{suffix}: nothing is to be chosen here, or no longer", "NOT_FOUND")


def _check(holder: dict[str, Any], identity: Identity | None) -> None:
    if is_for(holder, identity):
        return
    if identity is None:
        raise need_login()
    raise ApiError(403, "this choice is another identity's", "FORBIDDEN")


def _rendered(**values: Any) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    return page(_template().render(nonce=nonce, **values), f"style-src 'nonce-{nonce}'; form-action 'self'")


@cache
def _template() -> jinja2.Template:
    assets = resources.files("prov_worker.localservice").joinpath("assets")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(assets.joinpath("choicepage.html.j2").read_text(encoding="utf-8"))
