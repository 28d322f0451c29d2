"""Scopes of Globus Flows and of flows, and what a token must have of them.

Sources: https://docs.globus.org/api/flows/, and ``globus_sdk.scopes``.
"""

from __future__ import annotations

import uuid

from prov_worker.localservice.flows.errors import FlowsError
from prov_worker.localservice.tokens import FLOWS_ID

TRANSFER_SCOPE = "urn:globus:auth:scope:transfer.api.globus.org:all"
TIMERS_SERVER = "524230d7-ea86-4a52-8312-86065a9e0417"
TIMERS_SCOPE = f"https://auth.globus.org/scopes/{TIMERS_SERVER}/timer"
_PREFIX = "https://auth.globus.org/scopes/"


def flows_scope(name: str) -> str:
    """Return a scope of the service, such as ``manage_flows``."""
    return f"{_PREFIX}{FLOWS_ID}/{name}"


def flow_scope(flow_id: str) -> str:
    """Return the scope to run a flow."""
    return f"{_PREFIX}{flow_id}/flow_{flow_id.replace('-', '_')}_user"


def data_access(collection_id: str) -> str:
    """Return the scope of a consent that a mapped collection asks for."""
    return f"{_PREFIX}{collection_id}/data_access"


def policy_of(collection_id: str) -> str:
    """Return the id of the authentication policy of a collection that has high assurance."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"policy:{collection_id}"))


def split(text: str) -> list[str]:
    """Return the scopes of a request: parted by spaces, but not by those in brackets, if dependent scopes are."""
    scopes, depth, current = [], 0, ""
    for character in text:
        if character.isspace() and depth == 0:
            scopes.append(current)
            current = ""
            continue
        depth += (character == "[") - (character == "]")
        current += character
    return [scope for scope in (*scopes, current) if scope]


def root(scope: str) -> str:
    """Return a scope without those that depend on it."""
    return scope.lstrip("*").split("[")[0]


def dependencies(scope: str) -> list[str]:
    """Return the scopes that depend on one, each with those that depend on it."""
    _, bracket, rest = scope.partition("[")
    return split(rest.rpartition("]")[0]) if bracket else []


def check(scopes: str, wanted: tuple[str, ...]) -> None:
    """Refuse a token without one of the scopes.

    Raises:
        FlowsError: 403, with what is missing.
    """
    if not {root(scope) for scope in split(scopes)} & set(wanted):
        raise FlowsError(403, "MISSING_SCOPE", f"This action requires the following scope: {wanted[0]}")
