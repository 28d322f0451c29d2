"""What an identity has consented to, as Globus Auth shows it: trees of scopes (``globus_sdk.scopes.consents``)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from prov_worker.localservice.flows.documents import time_text
from prov_worker.localservice.flows.scopes import dependencies, root
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.tokens import resource_server


def forest(scopes: Iterable[str], identity: Identity, now: float) -> list[dict[str, Any]]:
    """Return the consents of an identity, each with the path of ids that leads to it.

    Args:
        scopes: as they were asked for, with those that depend on them.
        identity: whose they are.
        now: seconds since the epoch, which stand for when they were used last.
    """
    consents: dict[tuple[str, ...], dict[str, Any]] = {}
    waiting: list[tuple[tuple[str, ...], str, str]] = [((), identity.client_id, scope) for scope in scopes]
    while waiting:
        path, client, scope = waiting.pop(0)
        names = (*path, root(scope))
        if names not in consents:
            number = len(consents) + 1
            parent: list[int] = consents[path]["dependency_path"] if path else []
            consents[names] = {
                "id": number,
                "client": client,
                "scope": str(uuid.uuid5(uuid.NAMESPACE_URL, root(scope))),
                "scope_name": root(scope),
                "effective_identity": identity.client_id,
                "dependency_path": [*parent, number],
                "created": time_text(now),
                "updated": time_text(now),
                "last_used": time_text(now),
                "status": "approved",
                "allows_refresh": False,
                "auto_approved": False,
                "atomically_revocable": scope.startswith("*"),
            }
        server = str(uuid.uuid5(uuid.NAMESPACE_URL, resource_server(scope)))
        waiting += [(names, server, dependency) for dependency in dependencies(scope)]
    return list(consents.values())
