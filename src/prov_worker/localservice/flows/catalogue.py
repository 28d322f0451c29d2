"""Flows and runs, acted upon by an identity: what the routes call."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from prov_worker.flow.machine.machine import STATE_LIMIT_BYTES, Entry
from prov_worker.localservice.flows import documents, roles, validation
from prov_worker.localservice.flows.errors import FlowsError
from prov_worker.localservice.flows.records import ACTIVE, FAILED, INACTIVE, Flow, Position, Run
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.sqlite.flows import FlowStore
from prov_worker.localservice.sqlite.rows import dump

#: What an owner may say of a flow, with what it is if nothing is said.
FLOW_DEFAULTS: Mapping[str, Any] = {
    "title": "",
    "definition": {},
    "input_schema": {},
    "subtitle": "",
    "description": "",
    "flow_viewers": [],
    "flow_starters": [],
    "flow_administrators": [],
    "keywords": [],
    "run_managers": [],
    "run_monitors": [],
    "subscription_id": None,
    "authentication_policy_id": None,
}
_LEAST_TITLE, _MOST_LABEL = 1, 64
#: A definition with its schema, and all that is said of a flow.
_FLOW_LIMIT_BYTES = 1024 * 1024
#: Flows of an identity, and its runs under way and all that are kept.
_MOST_FLOWS, _MOST_ACTIVE, _MOST_RUNS = 1000, 500, 20_000


class Catalogue:
    """All flows and runs; every method shows an identity only what it has a role in.

    Args:
        store: what is durable.
        wake: is called when a run can go on.
        forget: is called with a run that was ended from outside.
    """

    def __init__(self, store: FlowStore, wake: Callable[[], None], forget: Callable[[Run], None]) -> None:
        self._store, self._wake, self._forget = store, wake, forget

    # Flows -----------------------------------------------------------------------------------------------------------

    def create(self, identity: Identity, given: Mapping[str, Any]) -> dict[str, Any]:
        """Deploy a flow.

        Raises:
            FlowsError: 422.
        """
        content = _content(FLOW_DEFAULTS, given)
        validation.refuse_wrong(content["definition"], content["input_schema"])
        if sum(flow.owner == identity.client_id for flow in self._store.flows()) >= _MOST_FLOWS:
            raise FlowsError(403, "FLOW_LIMIT_EXCEEDED", f"an identity has {_MOST_FLOWS} flows at most")
        now = time.time()
        flow = Flow(str(uuid.uuid4()), identity.client_id, now, now, content)
        self._store.save_flow(flow)
        return documents.flow_document(flow, identity)

    def update(self, identity: Identity, flow_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Change what is given of a flow; its runs under way go on as they began."""
        flow = self.flow(identity, flow_id, "flow_administrator")
        content = _content(flow.content, given)
        validation.refuse_wrong(content["definition"], content["input_schema"])
        owner = flow.owner
        if "flow_owner" in given and given["flow_owner"] != roles.urn(owner):
            if given["flow_owner"] != roles.urn(identity.client_id):
                raise FlowsError(422, "UNPROCESSABLE_ENTITY", "flow_owner: an administrator may take a flow over alone")
            owner = identity.client_id
        changed = replace(flow, owner=owner, updated=time.time(), content=content)
        self._store.save_flow(changed)
        return documents.flow_document(changed, identity)

    def flow(self, identity: Identity, flow_id: str, least: str = "flow_viewer") -> Flow:
        """Return a flow in which an identity has a role.

        Raises:
            FlowsError: 404 without any role, 403 if it is not enough.
        """
        flow = self._store.flow(flow_id)
        role = None if flow is None else roles.flow_role(flow, identity)
        if flow is None or role is None:
            raise FlowsError(404, "NOT_FOUND", f"No flow exists with the id {flow_id}")
        if not roles.at_least(role, least, roles.FLOW_ROLES):
            permission = {"flow_starter": "RUN", "flow_administrator": "UPDATE", "flow_owner": "DELETE"}[least]
            raise FlowsError(
                403,
                "FORBIDDEN",
                "You do not have the necessary permissions to perform this action on the flow with id value "
                f"{flow_id}. Missing permissions: {permission}.",
            )
        return flow

    def flows(self, identity: Identity, filter_roles: set[str]) -> list[Flow]:
        """Return the flows in which an identity has a role, newest first."""
        seen = [(flow, roles.flow_role(flow, identity)) for flow in self._store.flows()]
        return [flow for flow, role in seen if role is not None and (not filter_roles or role in filter_roles)]

    def delete(self, identity: Identity, flow_id: str) -> dict[str, Any]:
        """Forget a flow; its runs stay."""
        flow = self.flow(identity, flow_id, "flow_owner")
        self._store.delete_flow(flow.id)
        deleted = documents.flow_document(flow, identity)
        return {**deleted, "DELETED": True, "deleted_at": documents.time_text(time.time())}

    # Runs ------------------------------------------------------------------------------------------------------------

    def validate_run(self, identity: Identity, flow_id: str, given: Mapping[str, Any]) -> tuple[Flow, dict[str, Any]]:
        """Return a flow and the content of a run that could be started.

        Raises:
            FlowsError: 400 for the input, 403, 404, 422.
        """
        flow = self.flow(identity, flow_id, "flow_starter")
        value = given.get("body", {})
        if not isinstance(value, dict):
            raise FlowsError(422, "UNPROCESSABLE_ENTITY", "body: expected an object")
        label = given.get("label") or ""
        if not isinstance(label, str) or len(label) > _MOST_LABEL:
            raise FlowsError(422, "UNPROCESSABLE_ENTITY", f"label: expected a text of {_MOST_LABEL} characters at most")
        lists = {key: _texts(given.get(key), key) for key in ("tags", "run_managers", "run_monitors")}
        size = len(dump(value))
        if size > STATE_LIMIT_BYTES:
            reason = f"the input has {size} bytes; at most {STATE_LIMIT_BYTES} are taken"
            raise FlowsError(413, "PAYLOAD_TOO_LARGE", reason)
        if flow.content["input_schema"]:
            validation.refuse_input(flow.content["input_schema"], value)
        content = {
            "label": label,
            "tags": lists["tags"],
            "run_managers": [*lists["run_managers"], *flow.content["run_managers"]],
            "run_monitors": [*lists["run_monitors"], *flow.content["run_monitors"]],
            "flow_title": flow.content["title"],
            "flow_subtitle": flow.content["subtitle"],
            "flow_description": flow.content["description"],
            "flow_keywords": flow.content["keywords"],
            "flow_updated": documents.time_text(flow.updated),
            "definition": flow.content["definition"],
            "input_schema": flow.content["input_schema"],
            "input": value,
        }
        return flow, content

    def start(
        self, identity: Identity, flow_id: str, given: Mapping[str, Any], run_id: str | None = None
    ) -> dict[str, Any]:
        """Start a run; under an id that is given, once."""
        present = self._store.run(run_id) if run_id is not None else None
        if present is not None:
            return documents.run_document(present, identity)
        flow, content = self.validate_run(identity, flow_id, given)
        kept, under_way = self._store.count_runs(identity.client_id)
        if kept >= _MOST_RUNS or under_way >= _MOST_ACTIVE:
            raise FlowsError(429, "TOO_MANY_RUNS", f"{_MOST_ACTIVE} runs under way, or {_MOST_RUNS} in all, are taken")
        now = time.time()
        entry = Entry("FlowStarted", "The Flow Instance started execution", {"input": content["input"]})
        details = {"code": "FlowStarting", "description": "The Flow is starting execution", "details": entry.details}
        start = Position(content["definition"]["StartAt"])
        run = Run(
            run_id or str(uuid.uuid4()),
            flow.id,
            identity.client_id,
            now,
            None,
            ACTIVE,
            content,
            content["input"],
            start,
            details,
        )
        self._store.add_run(run, [entry], now)
        self._wake()
        return documents.run_document(run, identity)

    def flow_of(self, run_id: str) -> str:
        """Return the id of a run's flow; any id if there is no such run, which its caller finds out then."""
        run = self._store.run(run_id)
        return run_id if run is None else run.flow

    def run(self, identity: Identity, run_id: str, least: str = "run_monitor") -> Run:
        """Return a run in which an identity has a role.

        Raises:
            FlowsError: 404 without any role, 403 if it is not enough.
        """
        run = self._store.run(run_id)
        role = None if run is None else roles.run_role(run, identity)
        if run is None or role is None:
            raise FlowsError(404, "NOT_FOUND", f"No run exists with the id {run_id}")
        if not roles.at_least(role, least, roles.RUN_ROLES):
            raise FlowsError(403, "FORBIDDEN", f"You do not have the necessary permissions on the run {run_id}")
        return run

    def runs(self, identity: Identity, flows: set[str], filter_roles: set[str]) -> list[Run]:
        """Return the runs in which an identity has a role, newest first."""
        seen = [(run, roles.run_role(run, identity)) for run in self._store.runs()]
        return [
            run
            for run, role in seen
            if role is not None and (not flows or run.flow in flows) and (not filter_roles or role in filter_roles)
        ]

    def log(
        self, identity: Identity, run_id: str, after: int, limit: int, *, reverse: bool
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return lines of a run's log, and the number behind which more are; None if there are none."""
        run = self.run(identity, run_id)
        lines = self._store.log(run.id, after, limit + 1, reverse=reverse)
        more = lines[limit - 1]["seq"] if len(lines) > limit else None
        return [documents.log_document(line) for line in lines[:limit]], more

    def update_run(self, identity: Identity, run_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Change label, tags, monitors and managers of a run."""
        fields: dict[str, Any] = {
            key: _texts(given[key], key) for key in ("tags", "run_managers", "run_monitors") if key in given
        }
        if "label" in given:
            if not isinstance(given["label"], str) or len(given["label"]) > _MOST_LABEL:
                raise FlowsError(422, "UNPROCESSABLE_ENTITY", "label: expected a short text")
            fields["label"] = given["label"]
        return self._change(identity, run_id, lambda run: (replace(run, content={**run.content, **fields}), []))

    def cancel(self, identity: Identity, run_id: str) -> dict[str, Any]:
        """End a run that is under way."""

        def canceled(run: Run) -> tuple[Run, list[Entry]]:
            if run.ended is not None:
                raise FlowsError(409, "STATE_CONFLICT", f"the run has ended: {run.status}")
            entry = Entry("FlowCanceled", "The Flow Instance was canceled by the user", {})
            details = {"time": documents.time_text(time.time()), **_details(entry)}
            return replace(run, ended=time.time(), status=FAILED, details=details), [entry]

        document = self._change(identity, run_id, canceled)
        run = self._store.run(run_id)
        if run is not None:
            self._forget(run)
        return document

    def resume(self, identity: Identity, run_id: str) -> dict[str, Any]:
        """Let a run go on that waits for a consent."""

        def resumed(run: Run) -> tuple[Run, list[Entry]]:
            if run.status != INACTIVE:
                raise FlowsError(409, "STATE_CONFLICT", f"the run is not INACTIVE: {run.status}")
            entry = Entry("FlowResumed", "The Flow Instance was resumed by the user", {})
            return replace(run, status=ACTIVE, details=_details(entry)), [entry]

        document = self._change(identity, run_id, resumed)
        self._wake()
        return document

    def release(self, identity: Identity, run_id: str) -> dict[str, Any]:
        """Forget a run that has ended."""
        run = self.run(identity, run_id, "run_manager")
        if run.ended is None:
            raise FlowsError(409, "STATE_CONFLICT", f"the run is under way: {run.status}")
        self._store.release_run(run.id)
        return documents.run_document(run, identity)

    def _change(
        self, identity: Identity, run_id: str, change: Callable[[Run], tuple[Run, list[Entry]]]
    ) -> dict[str, Any]:
        """Change a run, again if something else has changed it meanwhile."""
        while True:
            run = self.run(identity, run_id, "run_manager")
            changed, entries = change(run)
            now = time.time()
            if self._store.change_run(run, changed, entries, now, now):
                return documents.run_document(changed, identity)


def _details(entry: Entry) -> dict[str, Any]:
    return {"code": entry.code, "description": entry.description, "details": entry.details}


def _content(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    content = {**before, **{key: value for key, value in given.items() if key in FLOW_DEFAULTS}}
    if not isinstance(content["title"], str) or len(content["title"]) < _LEAST_TITLE:
        raise FlowsError(422, "UNPROCESSABLE_ENTITY", "title: expected a text")
    for key in ("subtitle", "description"):
        if not isinstance(content[key], str):
            raise FlowsError(422, "UNPROCESSABLE_ENTITY", f"{key}: expected a text")
    for key, default in FLOW_DEFAULTS.items():
        if isinstance(default, list):
            content[key] = _texts(content[key], key)
    size = len(dump(content))
    if size > _FLOW_LIMIT_BYTES:
        raise FlowsError(413, "PAYLOAD_TOO_LARGE", f"the flow has {size} bytes; at most {_FLOW_LIMIT_BYTES} are taken")
    return content


def _texts(value: Any, key: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(member, str) for member in value):
        raise FlowsError(422, "UNPROCESSABLE_ENTITY", f"{key}: expected a list of texts")
    return value
