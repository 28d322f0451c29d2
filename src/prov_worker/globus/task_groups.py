"""Task groups of the web service: which tasks a client submitted together."""

from __future__ import annotations

from typing import Any

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.globus.login import client_for


def tasks_of_group(group: str) -> set[str]:
    """Ask the web service for the ids of a group's tasks, with the user's credentials.

    Args:
        group: UUID.

    Raises:
        InputError: there is no such group, or it is somebody else's.
        ProvWorkerError: nobody can be asked.
    """
    from globus_sdk import GlobusAPIError, GlobusError

    try:
        client = client_for(None, None)
    except InputError as error:
        raise ProvWorkerError(str(error)) from error
    try:
        return tasks_in(client, group)
    except GlobusAPIError as error:
        if error.http_status in (403, 404):
            raise InputError(f"group {group}: the web service knows no such task group of yours") from None
        raise ProvWorkerError(f"the web service failed: {error.http_status} {error.message}") from None
    except GlobusError as error:
        raise ProvWorkerError(f"the web service cannot be reached: {type(error).__name__}: {error}") from None


def tasks_in(client: Any, group: object) -> set[str]:
    """Return the ids of a group's tasks.

    Args:
        client: a ``globus_compute_sdk.Client``.
        group: UUID.

    Raises:
        GlobusError: the service cannot be asked, or there is no such group.
    """
    answer = client._compute_web_client.v2.get_task_group(group)
    return {str(task["id"]) for task in answer.data.get("tasks") or ()}
