"""Submit a function once: a task group whose id is chosen before tells later whether it was submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.errors import InputError


class Submitter:
    """Submits a function to an endpoint.

    Args:
        function: id of the function.
        endpoint: id of the endpoint.

    Raises:
        InputError: globus_compute_sdk is missing.
    """

    def __init__(self, function: str, endpoint: str) -> None:
        try:
            from globus_compute_sdk import Client
        except ImportError as error:
            raise InputError(f"Globus Compute needs the extra 'endpoint' of prov-worker: {error}") from None
        self._function, self._endpoint = function, endpoint
        self._client = Client(do_version_check=False)

    def submit(self, group: str, kwargs: Mapping[str, Any]) -> list[str]:
        """Submit one task in a group; return the ids of the group's tasks."""
        batch = self._client.create_batch(task_group_id=group)
        batch.add(self._function, (), dict(kwargs))
        reply: Any = self._client.batch_run(self._endpoint, batch)
        return [task for tasks in reply["tasks"].values() for task in tasks]

    def tasks(self, group: str) -> list[str]:
        """Return the ids of a group's tasks; empty if nothing was submitted."""
        from globus_sdk import GlobusAPIError

        try:
            reply = self._client._compute_web_client.v2.get_task_group(group)
        except GlobusAPIError as error:
            if error.http_status in (403, 404):
                return []
            raise
        return [str(task["id"]) for task in reply.data.get("tasks", ())]
