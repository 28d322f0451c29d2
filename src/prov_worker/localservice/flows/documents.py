"""Flows, runs and log lines as the service gives them, in the form of ``globus_sdk.testing``'s examples."""

from __future__ import annotations

import datetime
from typing import Any

from prov_worker.localservice.flows.records import Flow, Run
from prov_worker.localservice.flows.roles import flow_role, run_role, urn
from prov_worker.localservice.flows.scopes import flow_scope
from prov_worker.localservice.identities import Identity


def time_text(seconds: float | None) -> str | None:
    """Return a time as Flows writes it; None for none."""
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="microseconds")


def flow_document(flow: Flow, identity: Identity) -> dict[str, Any]:
    """Return a flow as an identity sees it."""
    content = flow.content
    return {
        "id": flow.id,
        **content,
        "globus_auth_scope": flow_scope(flow.id),
        "globus_auth_username": f"{flow.id}@clients.auth.globus.org",
        "principal_urn": urn(flow.id),
        "flow_url": f"https://flows.globus.org/flows/{flow.id}",
        "action_url": f"https://flows.globus.org/flows/{flow.id}",
        "created_at": time_text(flow.created),
        "updated_at": time_text(flow.updated),
        "created_by": urn(flow.owner),
        "flow_owner": urn(flow.owner),
        "user_role": flow_role(flow, identity),
        "visible_to": content["flow_viewers"],
        "runnable_by": content["flow_starters"],
        "administered_by": content["flow_administrators"],
        "synchronous": False,
        "log_supported": True,
        "types": ["Action"],
        "api_version": "1.0",
    }


def run_document(run: Run, identity: Identity) -> dict[str, Any]:
    """Return a run as an identity sees it."""
    content = run.content
    return {
        "run_id": run.id,
        "action_id": run.id,
        "flow_id": run.flow,
        "flow_title": content["flow_title"],
        "flow_last_updated": content["flow_updated"],
        "status": run.status,
        "display_status": run.status,
        "details": run.details,
        "label": content["label"],
        "tags": content["tags"],
        "run_managers": content["run_managers"],
        "run_monitors": content["run_monitors"],
        "manage_by": content["run_managers"],
        "monitor_by": content["run_monitors"],
        "run_owner": urn(run.owner),
        "created_by": urn(run.owner),
        "user_role": run_role(run, identity),
        "start_time": time_text(run.started),
        "completion_time": time_text(run.ended),
    }


def log_document(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of a log."""
    return {
        "time": time_text(line["time"]),
        "code": line["code"],
        "description": line["description"],
        "details": line["details"],
    }


def described_flow(run: Run) -> dict[str, Any]:
    """Return what a run tells of its flow."""
    content = run.content
    return {
        "id": run.flow,
        "title": content["flow_title"],
        "subtitle": content["flow_subtitle"],
        "description": content["flow_description"],
        "keywords": content["flow_keywords"],
        "globus_auth_scope": flow_scope(run.flow),
        "updated_at": content["flow_updated"],
    }


def ordered(shown: list[dict[str, Any]], orderby: str | None) -> list[dict[str, Any]]:
    """Return documents in an order such as ``start_time DESC``; in theirs if it names no field of them."""
    key, _, direction = (orderby or "").partition(" ")
    if not shown or not all(isinstance(document.get(key), str) for document in shown):
        return shown
    return sorted(shown, key=lambda document: str(document[key]), reverse=direction.strip().upper() == "DESC")
