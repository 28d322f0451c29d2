"""A run that is looked at beforehand, and not started: offline, at the service, and at what it needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.flow.check import check, load
from prov_worker.flow.findings import ERROR, FlowFinding
from prov_worker.flow.providers import is_compute
from prov_worker.flow.remote import reachability, uses
from prov_worker.flow.remote.run import flow_id_of, read_input
from prov_worker.flow.remote.service import FlowsService, refusals
from prov_worker.flow.states import mappings


@dataclass
class Rehearsed:
    """What a look before a run has shown.

    Attributes:
        flow_id: of the flow.
        findings: of the checks that need no service.
        problems: what the service refuses, endpoints and collections that are not online, and paths that are not there.
        endpoints: status of each endpoint by its id; ``unknown`` if it cannot be asked.
        collections: status of each collection by its id; ``unknown`` if it cannot be asked.
        paths: of each path that an action reads or writes, ``COLLECTION:PATH``, what is there.
    """

    flow_id: str
    findings: list[FlowFinding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    endpoints: dict[str, str] = field(default_factory=dict)
    collections: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)

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
    """Look at what would be run, and start nothing: offline, at the service, at its endpoints and collections.

    Args and errors are those of :func:`prov_worker.flow.run`; what speaks against a run is in what is returned.
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
    reached = reachability.look(service, uses.of(loaded, value))
    shown.collections, shown.paths = reached.collections, reached.paths
    shown.problems += reached.problems
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
                endpoint = uses.value_of(holder, key, value)
                if endpoint is not None:
                    endpoints[str(endpoint)] = None
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
