"""A flow is deployed: compared with what the service has, and written if there is a difference."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker import files
from prov_worker.errors import InputError
from prov_worker.flow.check import check
from prov_worker.flow.findings import ERROR
from prov_worker.flow.remote.service import FlowsService, refusals
from prov_worker.flow.states import Flow

#: Beside a definition: ids of the flows that it was deployed as, by the service's address.
DEPLOYED_FILE = "deployed.json"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Change:
    """A field of a flow that differs from what is deployed.

    Attributes:
        name: of the field, as Flows calls it.
        before: what is deployed; None for a new flow.
        after: what is to be.
    """

    name: str
    before: Any
    after: Any

    def lines(self) -> list[str]:
        """Return the difference as a unified diff of JSON."""
        before, after = (_text(value).splitlines() for value in (self.before, self.after))
        return list(difflib.unified_diff(before, after, f"deployed/{self.name}", self.name, lineterm=""))


@dataclass
class Plan:
    """What deploying would do.

    Attributes:
        flow_id: of the flow; None if it is not deployed yet.
        service: address of the service.
        changes: what differs; empty if there is nothing to do.
        written: whether it was done.
    """

    flow_id: str | None
    service: str
    changes: list[Change] = field(default_factory=list)
    written: bool = False


def deploy(
    flow: Flow,
    flow_id: str | None = None,
    *,
    title: str | None = None,
    roles: Mapping[str, Sequence[str]] | None = None,
    dry_run: bool = False,
    service: FlowsService | None = None,
) -> Plan:
    """Deploy a flow, unless the service has the same already.

    Args:
        flow: definition and schema.
        flow_id: of a flow to change; None for the one that this definition was deployed as, or for a new one.
        title: of the flow; None for what it has, or for the definition's comment.
        roles: principals by field: ``flow_starters``, ``flow_viewers``, ``flow_administrators``, ``run_managers``,
            ``run_monitors``; those that are not named stay as they are.
        dry_run: whether to compare only.
        service: the service; None for one with the credentials of Globus Compute.

    Raises:
        InputError: the definition has an error, there is no such flow, or the service refuses it.
        ProvWorkerError: the service cannot be reached.
    """
    errors = [finding for finding in check(flow) if finding.level == ERROR]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0].file}: {errors[0].path}: {errors[0].message}{more}: not deployed")
    service = service or FlowsService()
    flow_id = flow_id or deployed_id(flow, service.url)
    wanted: dict[str, Any] = {
        "definition": flow.definition.value,
        "input_schema": {} if flow.schema is None else flow.schema.value,
        **{key: list(values) for key, values in (roles or {}).items()},
    }
    if title is not None:
        wanted["title"] = title
    if flow_id is None:
        wanted.setdefault("title", _title(flow))
        plan = Plan(None, service.url, [Change(key, None, value) for key, value in wanted.items()])
    else:
        with refusals(flow_id):
            present = service.flows.get_flow(flow_id)
        changes = [Change(key, present.get(key), value) for key, value in wanted.items() if present.get(key) != value]
        plan = Plan(flow_id, service.url, changes)
    if plan.changes and not dry_run:
        apply(plan, flow, service)
    return plan


def apply(plan: Plan, flow: Flow, service: FlowsService) -> None:
    """Do what a plan says, and note the id beside the definition.

    Raises:
        InputError, ProvWorkerError: see :func:`deploy`.
    """
    fields = {change.name: change.after for change in plan.changes}
    with refusals(plan.flow_id or "the flow"):
        if plan.flow_id is None:
            plan.flow_id = str(service.flows.create_flow(**fields)["id"])
        else:
            service.flows.update_flow(plan.flow_id, **fields)
    plan.written = True
    _note(flow, service.url, plan.flow_id)


def deployed_id(flow: Flow, url: str) -> str | None:
    """Return the id of the flow that a definition was deployed as at a service; None if it is not known."""
    place = _place(flow)
    return None if place is None else noted_ids(place).get(url)


def noted_ids(place: Path) -> dict[str, str]:
    """Return ids of flows by service, from the file beside a definition; empty if there is none.

    Raises:
        InputError: it cannot be read.
    """
    try:
        value = json.loads(files.read_regular(place, _MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{place}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(value, dict) or not all(isinstance(member, str) for member in value.values()):
        raise InputError(f"{place}: expected ids of flows by addresses of services")
    return value


def _place(flow: Flow) -> Path | None:
    """Return the file beside a definition; None if the definition did not come from a file."""
    path = Path(flow.definition.name)
    return path.with_name(DEPLOYED_FILE) if path.is_file() else None


def _note(flow: Flow, url: str, flow_id: str) -> None:
    place = _place(flow)
    if place is None:
        return
    noted = noted_ids(place)
    if noted.get(url) == flow_id:
        return
    try:
        files.write_files({os.fspath(place): _text({**noted, url: flow_id}) + "\n"})
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{place}: flow {flow_id} is deployed, but its id cannot be noted: {reason}") from error


def _title(flow: Flow) -> str:
    comment = flow.definition.value.get("Comment")
    return comment if isinstance(comment, str) and comment else Path(flow.definition.name).stem


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
