"""The endpoint that ran a task: the one that its user knows, and the one that was started for that user.

An endpoint that is submitted to starts a *user endpoint* per user and configuration, with an id of its own that changes
with the configuration, and with a name of both ids: ``uep.<endpoint>.<user endpoint>`` (Globus Compute documentation,
"Multi-User Compute Endpoints": its log and its folders).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from prov_worker.crate.entities import entity
from prov_worker.crate.json_text import one_line, urn
from prov_worker.model import TaskRecord

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_USER_ENDPOINT = re.compile(rf"uep\.({_UUID})\.({_UUID})\Z", re.IGNORECASE)
USER_ENDPOINT = "#worker-user-endpoint"


class Endpoint(NamedTuple):
    """Ids of an endpoint.

    Attributes:
        id: the one that tasks are submitted to; None if not known.
        name: None if it has no other than its ids.
        user_id: of the user endpoint; None if the endpoint ran the task itself, or that is not known.
    """

    id: str | None
    name: str | None
    user_id: str | None


@lru_cache(maxsize=64)
def endpoint_of(endpoint_id: str | None, name: str | None) -> Endpoint:
    """Return the endpoint of a worker that was given an id and a name, either of which may be a user endpoint's."""
    match = _USER_ENDPOINT.match(name or "")
    if match is None or (endpoint_id is not None and endpoint_id.lower() not in (match[1].lower(), match[2].lower())):
        return Endpoint(endpoint_id, name, None)
    return Endpoint(match[1], None, match[2])


def endpoint_of_record(record: TaskRecord) -> Endpoint:
    """Return the endpoint of a task."""
    return endpoint_of(str(record.endpoint_id) if record.endpoint_id else None, record.endpoint_name or None)


@lru_cache(maxsize=64)
def endpoint_entity(endpoint: Endpoint) -> str | None:
    """Return the endpoint as a Service; None if nothing is known of it."""
    if not endpoint.id and not endpoint.name:
        return None
    properties = {
        "name": one_line(endpoint.name or endpoint.id),
        "identifier": urn(endpoint.id) if endpoint.id else None,
        "description": "Globus Compute endpoint that ran the task",
        "serviceType": "Globus Compute endpoint",
    }
    return entity("#endpoint", "Service", properties)
