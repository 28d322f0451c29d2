"""Action providers that Globus hosts: their addresses, the keys that they need, and the types of these.

Sources: https://docs.globus.org/api/transfer/action-providers/, https://docs.globus.org/api/flows/hosted-action-providers/,
https://globus-compute.readthedocs.io/en/latest/actionprovider.html. Only what these pages name as needed is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_TRANSFER_HOST = "transfer.actions.globus.org"
_COMPUTE_HOST = "compute.actions.globus.org"
_HOSTED = ("actions.globus.org", "actions.automate.globus.org")
#: Where Globus Compute's provider was before 2023.
_OLD_COMPUTE = re.compile(r"(?:automate|dev)\.funcx\.org\Z|api\.funcx\.org\Z")


class Provider(NamedTuple):
    """An action provider.

    Attributes:
        name: what it does.
        needs: groups of keys; one of each group must be there.
        types: types of its keys.
        instead: what a retired one was replaced by; empty if it is in use.
        compute: version of Globus Compute's provider; 0 if it is another.
    """

    name: str
    needs: tuple[tuple[str, ...], ...]
    types: Mapping[str, frozenset[str]] = {}
    instead: str = ""
    compute: int = 0


_TEXT, _LIST = frozenset(("string",)), frozenset(("array",))
_OBJECT, _BOOLEAN = frozenset(("object",)), frozenset(("boolean",))
_TASKS = {"tasks": _LIST, "endpoint": _TEXT, "function": _TEXT, "kwargs": _OBJECT, "payload": _OBJECT}
_V3_TASKS = {
    "endpoint_id": _TEXT,
    "tasks": _LIST,
    "tasks[].function_id": _TEXT,
    "tasks[].args": _LIST,
    "tasks[].kwargs": _OBJECT,
    "task_group_id": _TEXT,
    "user_endpoint_config": _OBJECT,
    "resource_specification": _OBJECT,
}
_ITEM = {"source_path": _TEXT, "destination_path": _TEXT, "recursive": _BOOLEAN}


def _items(key: str) -> dict[str, frozenset[str]]:
    return {key: _LIST, **{f"{key}[].{name}": types for name, types in _ITEM.items()}}


_NEW_TRANSFER = {
    "transfer": Provider(
        "Transfer",
        (("source_endpoint",), ("destination_endpoint",), ("DATA",)),
        {"source_endpoint": _TEXT, "destination_endpoint": _TEXT, **_items("DATA")},
    ),
    "delete": Provider("Delete", (("endpoint",), ("DATA",)), {"endpoint": _TEXT, "DATA": _LIST}),
    "mkdir": Provider("Make directory", (("endpoint_id",), ("path",)), {"endpoint_id": _TEXT, "path": _TEXT}),
    "ls": Provider("List directory", (("endpoint_id",),), {"endpoint_id": _TEXT, "path": _TEXT}),
    "stat": Provider("Stat", (("endpoint_id",), ("path",)), {"endpoint_id": _TEXT, "path": _TEXT}),
    "manage_permission": Provider("Manage permission", (("operation",), ("endpoint_id",)), {"endpoint_id": _TEXT}),
    "collection_info": Provider("Collection info", (("endpoint_id",),), {"endpoint_id": _TEXT}),
    "create_guest_collection": Provider("Create guest collection", ()),
    "create_gcp_guest_collection": Provider("Create GCP guest collection", ()),
    "create_gcsv5_guest_collection": Provider("Create GCSv5 guest collection", ()),
}
_OLD_TRANSFER = {
    "transfer": Provider(
        "Transfer",
        (("source_endpoint_id",), ("destination_endpoint_id",), ("transfer_items",)),
        {"source_endpoint_id": _TEXT, "destination_endpoint_id": _TEXT, **_items("transfer_items")},
        f"https://{_TRANSFER_HOST}/transfer",
    ),
    "delete": Provider("Delete", (("endpoint_id",),), instead=f"https://{_TRANSFER_HOST}/delete"),
    "mkdir": Provider("Make directory", (("endpoint_id",), ("path",)), instead=f"https://{_TRANSFER_HOST}/mkdir"),
    "ls": Provider("List directory", (("endpoint_id",),), instead=f"https://{_TRANSFER_HOST}/ls"),
    "set_permission": Provider(
        "Set permission", (("operation",), ("endpoint_id",)), instead=f"https://{_TRANSFER_HOST}/manage_permission"
    ),
    "collection_info": Provider(
        "Collection info", (("endpoint_id",),), instead=f"https://{_TRANSFER_HOST}/collection_info"
    ),
}
_OTHERS = {
    "hello_world": Provider("Hello World", ()),
    "search/ingest": Provider("Search: ingest", (("search_index",), ("subject",), ("content",), ("visible_to",))),
    "search/delete": Provider("Search: delete", (("search_index",), ("subject",))),
    "notification/notify": Provider("Notification", (("send_credentials",),)),
    "weboption/wait_for_option": Provider("Wait for a person", (("options",),), {"options": _LIST}),
    "expression_eval": Provider("Expression evaluation", ()),
    "datacite/mint/basic_auth": Provider("DataCite", (("Doi",), ("username",), ("password",))),
    "datacite/mint/doi": Provider("DataCite", ()),
}
_COMPUTE_V2 = Provider("Globus Compute, version 2", (("tasks", "endpoint"), ("tasks", "function")), _TASKS, compute=2)
_COMPUTE_V3 = Provider("Globus Compute, version 3", (("endpoint_id",), ("tasks",)), _V3_TASKS, compute=3)
_FUNCX = Provider("funcX", (("tasks", "endpoint"),), _TASKS, f"https://{_COMPUTE_HOST}/v3", compute=2)
#: Keys of one provider that are called otherwise by another that does the same.
OTHER_NAMES = {
    "source_endpoint": "source_endpoint_id",
    "destination_endpoint": "destination_endpoint_id",
    "DATA": "transfer_items",
    "endpoint": "endpoint_id",
    "function_id": "function",
} | {
    "source_endpoint_id": "source_endpoint",
    "destination_endpoint_id": "destination_endpoint",
    "transfer_items": "DATA",
    "endpoint_id": "endpoint",
}


def provider_of(url: Any) -> Provider | None:
    """Return the provider at an address; None if it is none that Globus is known to host."""
    catalogue, route = _place(url)
    return catalogue.get(route)


def suggestions(url: Any) -> list[str]:
    """Return the addresses that Globus' host of this address is known to have; empty if the host is another."""
    catalogue, _ = _place(url)
    if not catalogue:
        return []
    host = urlsplit(url).netloc
    return [f"https://{host}/{route}".rstrip("/") for route in catalogue]


def is_compute(url: Any) -> bool:
    """Return whether an address is one of Globus Compute's providers."""
    provider = provider_of(url)
    return provider is not None and provider.compute > 0


def is_person(url: Any) -> bool:
    """Return whether the provider at an address waits for a person."""
    return provider_of(url) is _OTHERS["weboption/wait_for_option"]


def _place(url: Any) -> tuple[Mapping[str, Provider], str]:
    if not isinstance(url, str):
        return {}, ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return {}, ""
    route = parts.path.strip("/")
    if host == _TRANSFER_HOST:
        return _NEW_TRANSFER, route
    if host == _COMPUTE_HOST:
        return {"": _COMPUTE_V2, "v2": _COMPUTE_V2, "fxap": _COMPUTE_V2, "v3": _COMPUTE_V3}, route
    if _OLD_COMPUTE.match(host):
        return {route: _FUNCX}, route
    if host in _HOSTED:
        return {**_OTHERS, **{f"transfer/{name}": provider for name, provider in _OLD_TRANSFER.items()}}, route
    return {}, route
