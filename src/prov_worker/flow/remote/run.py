"""Runs: started, resumed, and shown."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.flow import source
from prov_worker.flow.remote.deploy import DEPLOYED_FILE, noted_ids
from prov_worker.flow.remote.service import FlowsService, refusals


def flow_id_of(flow: str | os.PathLike[str], service: FlowsService) -> str:
    """Return the id of a flow: given as it is, or as a definition that was deployed from here.

    Raises:
        InputError: it is neither.
    """
    text = os.fspath(flow)
    try:
        return str(uuid.UUID(text))
    except ValueError:
        pass
    path = Path(text)
    if not path.is_file():
        raise InputError(f"{text}: neither the id of a flow nor a definition")
    flow_id = noted_ids(path.with_name(DEPLOYED_FILE)).get(service.url)
    if flow_id is None:
        raise InputError(f"{text}: not deployed at {service.url} from here; prov-worker flow deploy does")
    return flow_id


def read_input(value: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return an input of a run: a mapping, or a JSON or YAML file of one.

    Raises:
        InputError: names file, line and column.
    """
    if isinstance(value, Mapping):
        return dict(value)
    document = source.read(Path(value))
    if not isinstance(document.value, dict):
        raise InputError(f"{document.name}: the input of a flow is an object")
    return document.value


def run(
    flow: str | os.PathLike[str],
    input: str | os.PathLike[str] | Mapping[str, Any],  # noqa: A002 - Flows' own word for it
    *,
    label: str | None = None,
    tags: Sequence[str] = (),
    service: FlowsService | None = None,
) -> str:
    """Start a run; its end is not waited for.

    Args:
        flow: id of a flow, or a definition that was deployed from here.
        input: of the run, or a file with it.
        label: of the run, 64 characters at most (https://docs.globus.org/api/flows/).
        tags: of the run.
        service: the service; None for one with the credentials of Globus Compute.

    Returns:
        The run's id.

    Raises:
        InputError: there is no such flow, or the service refuses input or caller.
        ProvWorkerError: the service cannot be reached.
    """
    value = read_input(input)
    service = service or FlowsService()
    flow_id = flow_id_of(flow, service)
    with refusals(flow_id):
        return str(service.specific(flow_id).run_flow(value, label=label or "", tags=list(tags))["run_id"])


@dataclass(frozen=True)
class StateShown:
    """A state of a run that was begun.

    Attributes:
        name: of the state.
        kind: its type.
        started: as the service gives it.
        ended: None while it has not.
        failed: whether it failed.
    """

    name: str
    kind: str
    started: str
    ended: str | None = None
    failed: bool = False


@dataclass(frozen=True)
class RunStatus:
    """A run as it is now.

    Attributes:
        run: as the service gives it.
        states: that were begun, in their order.
        scopes: that it lacks; empty if it lacks none.
        session: what else a login must have, as ``authorization_parameters`` name it: a policy, an identity, a domain.
        pages: addresses at which it waits for a person.
    """

    run: Mapping[str, Any]
    states: list[StateShown]
    scopes: list[str]
    session: Mapping[str, Any] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)


def status(run_id: str, service: FlowsService | None = None) -> RunStatus:
    """Return how a run is.

    Raises:
        InputError: there is no such run.
        ProvWorkerError: the service cannot be reached.
    """
    service = service or FlowsService()
    with refusals(run_id):
        shown = service.flows.get_run(run_id).data
        log = list(service.flows.paginated.get_run_logs(run_id, limit=100).items())
    states = states_of(log)
    pages = pages_of(log, states, service.url) if shown.get("status") == "ACTIVE" else []
    return RunStatus(shown, states, required_scopes(shown), required_session(shown), pages)


def states_of(log: Sequence[Mapping[str, Any]]) -> list[StateShown]:
    """Return the states that a log tells of."""
    states: list[StateShown] = []
    for entry in log:
        details = entry.get("details") or {}
        name, kind, code = details.get("state_name"), details.get("state_type"), str(entry.get("code"))
        if not isinstance(name, str) or not isinstance(kind, str):
            continue
        if code.endswith("Started"):
            states.append(StateShown(name, kind, str(entry.get("time"))))
            continue
        for number, state in reversed(list(enumerate(states))):
            if state.name == name and state.ended is None:
                ended = str(entry.get("time"))
                states[number] = StateShown(name, kind, state.started, ended, code.endswith("Failed"))
                break
    return states


def pages_of(log: Sequence[Mapping[str, Any]], states: Sequence[StateShown], service: str) -> list[str]:
    """Return the addresses at which states that are under way wait for a person.

    Args:
        log: of the run.
        states: of the run.
        service: its address: a rehearsal has the pages itself.
    """
    waiting = {state.name for state in states if state.ended is None}
    suffixes = []
    for entry in log:
        details = entry.get("details") or {}
        value = details.get("input")
        page = value.get("landing_page") if isinstance(value, Mapping) else None
        suffix = page.get("url_suffix") if isinstance(page, Mapping) else None
        if details.get("state_name") in waiting and isinstance(suffix, str):
            suffixes.append(suffix)
    host = "https://actions.globus.org" if service.endswith("globus.org") else service
    return [f"{host}/weboption/landing_page/{suffix}" for suffix in suffixes[-len(waiting) :]]


def required_scopes(run: Mapping[str, Any]) -> list[str]:
    """Return scopes for which a run that is inactive waits."""
    needed = _needed(run)
    return list(needed.required_scopes or ()) if needed is not None else []


def required_session(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else the login must have for which a run that is inactive waits."""
    needed = _needed(run)
    return {} if needed is None else {key: value for key, value in needed.to_dict().items() if key != "required_scopes"}


def _needed(run: Mapping[str, Any]) -> Any:
    """Return what a run that is inactive waits for (``globus_sdk.gare.GlobusAuthorizationParameters``), or None."""
    if run.get("status") != "INACTIVE" or not isinstance(run.get("details"), Mapping):
        return None
    from globus_sdk.gare import to_gare

    problem = to_gare(dict(run["details"]))
    return None if problem is None else problem.authorization_parameters


def resume(run_id: str, *, login: bool = False, service: FlowsService | None = None) -> str:
    """Let a run go on that waits for a consent; returns its status.

    Args:
        run_id: of the run.
        login: whether to log in first, with the scopes that it lacks.
        service: the service; None for one with the credentials of Globus Compute.

    Raises:
        InputError: there is no such run, or it does not wait.
    """
    service = service or FlowsService()
    with refusals(run_id):
        shown = service.flows.get_run(run_id).data
    if login:
        service.login(str(shown["flow_id"]), required_scopes(shown), session=required_session(shown))
    with refusals(run_id):
        return str(service.specific(str(shown["flow_id"])).resume_run(run_id)["status"])
