"""Who may do what with a flow and a run.

Source: https://docs.globus.org/api/flows/ ("Flow roles", "Run roles"). Groups are not known here: nobody is in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.localservice.flows.records import Flow, Run
from prov_worker.localservice.identities import Identity

#: From the least to the most.
FLOW_ROLES: tuple[str, ...] = ("flow_viewer", "flow_starter", "flow_administrator", "flow_owner")
RUN_ROLES: tuple[str, ...] = ("run_monitor", "run_manager", "run_owner")
_FLOW_LISTS = {
    "flow_viewer": "flow_viewers",
    "flow_starter": "flow_starters",
    "flow_administrator": "flow_administrators",
}
_RUN_LISTS = {"run_monitor": "run_monitors", "run_manager": "run_managers"}
_EVERYONE = {"public", "all_authenticated_users"}


def urn(client_id: str) -> str:
    """Return an identity as Flows names it."""
    return f"urn:globus:auth:identity:{client_id}"


def _is_listed(identity: Identity, content: Mapping[str, Any], key: str) -> bool:
    principals = content.get(key)
    return isinstance(principals, list) and bool({urn(identity.client_id), *_EVERYONE} & set(map(str, principals)))


def flow_role(flow: Flow, identity: Identity) -> str | None:
    """Return the most that an identity is for a flow; None for nothing."""
    if flow.owner == identity.client_id:
        return "flow_owner"
    for role in reversed(FLOW_ROLES[:-1]):
        if _is_listed(identity, flow.content, _FLOW_LISTS[role]):
            return role
    return None


def run_role(run: Run, identity: Identity) -> str | None:
    """Return the most that an identity is for a run; None for nothing."""
    if run.owner == identity.client_id:
        return "run_owner"
    for role in reversed(RUN_ROLES[:-1]):
        if _is_listed(identity, run.content, _RUN_LISTS[role]):
            return role
    return None


def at_least(role: str | None, least: str, roles: tuple[str, ...]) -> bool:
    """Return whether a role is another one or more."""
    return role is not None and roles.index(role) >= roles.index(least)
