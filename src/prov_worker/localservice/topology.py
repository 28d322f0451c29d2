"""Queue and exchange names, and the ``queue_info`` mappings that carry them.

Every name holds its owner: a broker's permissions can then tell one identity's queues from another's.

====================================  =====================================  ===========================
queue or exchange                     declared as                            direction
====================================  =====================================  ===========================
``results`` (topic)                   durable, binding ``#``                 user endpoint to service
``heartbeats`` (topic)                durable, binding ``#``                 endpoints to service
``<owner>.<core>.commands``           durable                                service to core endpoint
``<owner>.<user endpoint>.tasks``     durable                                service to user endpoint
``taskgroup.<owner>.<group>``         durable                                service to SDK
====================================  =====================================  ===========================

Publishers and consumers on the other side declare nothing: a name is declared before it is handed out.
"""

from __future__ import annotations

from typing import Any

RESULTS = "results"
HEARTBEATS = "heartbeats"


def commands_queue(owner: str, core: str) -> str:
    """Return where a core endpoint finds its commands."""
    return f"{owner}.{core}.commands"


def tasks_queue(owner: str, user_endpoint: str) -> str:
    """Return where a user endpoint finds its tasks."""
    return f"{owner}.{user_endpoint}.tasks"


def group_prefix(owner: str) -> str:
    """Return what the SDK puts before the id of a task group."""
    return f"taskgroup.{owner}."


def group_queue(owner: str, group: str) -> str:
    """Return where the SDK finds the results of a task group."""
    return group_prefix(owner) + group


def routing_key(owner: str, endpoint: str, exchange: str) -> str:
    """Return what an endpoint publishes with."""
    return f"{owner}.{endpoint}.{exchange}"


def sender(key: str) -> tuple[str, str] | None:
    """Return (owner, endpoint) of a routing key; None for one that is not ours."""
    owner, _, rest = key.partition(".")
    endpoint, _, exchange = rest.partition(".")
    return (owner, endpoint) if owner and endpoint and exchange in (RESULTS, HEARTBEATS) else None


def publish_info(url: str, owner: str, endpoint: str, exchange: str) -> dict[str, Any]:
    """Return what an endpoint needs to publish results or heartbeats."""
    return {
        "connection_url": url,
        "exchange": exchange,
        "queue": exchange,
        "queue_publish_kwargs": {
            "exchange": exchange,
            "routing_key": routing_key(owner, endpoint, exchange),
            "mandatory": True,
            "properties": {"delivery_mode": 2},
        },
    }


def registration_info(url: str, owner: str, core: str) -> dict[str, Any]:
    """Answer to the registration of a core endpoint."""
    return {
        "endpoint_id": core,
        "command_queue_info": {"connection_url": url, "queue": commands_queue(owner, core)},
        "heartbeat_queue_info": publish_info(url, owner, core, HEARTBEATS),
    }


def credentials(url: str, owner: str, user_endpoint: str) -> dict[str, Any]:
    """Return ``amqp_creds`` of a start command."""
    return {
        "endpoint_id": user_endpoint,
        "task_queue_info": {"connection_url": url, "exchange": "tasks", "queue": tasks_queue(owner, user_endpoint)},
        "result_queue_info": publish_info(url, owner, user_endpoint, RESULTS),
        "heartbeat_queue_info": publish_info(url, owner, user_endpoint, HEARTBEATS),
    }
