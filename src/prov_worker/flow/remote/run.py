"""Runs: started, looked at beforehand, resumed, and shown."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.flow import source
from prov_worker.flow.check import check, load
from prov_worker.flow.findings import ERROR, FlowFinding
from prov_worker.flow.machine.failures import EvaluationError
from prov_worker.flow.machine.parameters import filled
from prov_worker.flow.providers import is_compute
from prov_worker.flow.remote.deploy import DEPLOYED_FILE, noted_ids
from prov_worker.flow.remote.service import FlowsService, refusals
from prov_worker.flow.states import mappings


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


@dataclass
class Rehearsed:
    """What a look before a run has shown.

    Attributes:
        flow_id: of the flow.
        findings: of the checks that need no service.
        problems: what the service refuses, and endpoints that are not online.
        endpoints: status of each endpoint by its id; ``unknown`` if it cannot be asked.
    """

    flow_id: str
    findings: list[FlowFinding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    endpoints: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether nothing speaks against the run."""
        return not self.problems and not any(finding.level == ERROR for finding in self.findings)


def dry_run(
    flow: str | os.PathLike[str],
    input: str | os.PathLike[str] | Mapping[str, Any],  # noqa: A002 - Flows' own word for it
    *,
    label: str | None = None,
    service: FlowsService | None = None,
) -> Rehearsed:
    """Look at what would be run, and start nothing: offline, at the service, and at its endpoints.

    Args and errors are those of :func:`run`; what speaks against a run is in what is returned.
    """
    value = read_input(input)
    service = service or FlowsService()
    flow_id = flow_id_of(flow, service)
    with refusals(flow_id):
        deployed = service.flows.get_flow(flow_id)
    shown = Rehearsed(flow_id)
    definition = dict(deployed["definition"])
    loaded = load(definition, deployed.get("input_schema") or None, value)
    shown.findings = check(loaded)
    try:
        with refusals(flow_id):
            service.specific(flow_id).validate_run(value, label=label or "")
    except InputError as error:
        shown.problems.append(str(error))
    for endpoint in _endpoints(definition, value):
        status = shown.endpoints[endpoint] = _endpoint_status(service, endpoint)
        if status not in ("online", "unknown"):
            shown.problems.append(f"endpoint {endpoint} is {status}")
    return shown


def _endpoints(definition: Mapping[str, Any], value: Mapping[str, Any]) -> list[str]:
    """Return endpoints of compute actions, as far as constants and the input tell them."""
    endpoints: dict[str, None] = {}
    for state in definition["States"].values():
        parameters = state.get("Parameters")
        if not is_compute(state.get("ActionUrl")) or not isinstance(parameters, Mapping):
            continue
        for holder in (parameters, *mappings(parameters.get("tasks"))):
            for key in ("endpoint_id", "endpoint"):
                template = {name: holder[name] for name in (key, f"{key}.$", f"{key}.=") if name in holder}
                try:
                    endpoints |= dict.fromkeys(map(str, filled(template, value).values()))
                except EvaluationError:  # known once the run gets there
                    continue
    return list(endpoints)


def _endpoint_status(service: FlowsService, endpoint: str) -> str:
    from globus_sdk import GlobusAPIError, GlobusError

    from prov_worker.globus.login import client_for

    try:
        return str(client_for(service.app, None).get_endpoint_status(endpoint)["status"])
    except GlobusAPIError as error:
        return "not there, or not shown to you" if error.http_status in (403, 404) else "unknown"
    except (GlobusError, ProvWorkerError):
        return "unknown"


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
    """

    run: Mapping[str, Any]
    states: list[StateShown]
    scopes: list[str]


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
    return RunStatus(shown, states_of(log), required_scopes(shown))


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


def required_scopes(run: Mapping[str, Any]) -> list[str]:
    """Return scopes for which a run that is inactive waits."""
    if run.get("status") != "INACTIVE":
        return []
    from globus_sdk.gare import to_gare

    problem = to_gare(dict(run["details"])) if isinstance(run.get("details"), Mapping) else None
    return list(problem.authorization_parameters.required_scopes or ()) if problem is not None else []


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
        service.login(str(shown["flow_id"]), required_scopes(shown))
    with refusals(run_id):
        return str(service.specific(str(shown["flow_id"])).resume_run(run_id)["status"])
