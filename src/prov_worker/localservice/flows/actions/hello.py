"""The action that only answers: https://docs.globus.org/api/flows/hosted-action-providers/."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prov_worker.localservice.flows.actions.provider import Request, Status, UnableError


class HelloProvider:
    """Says hello, after a while if that is asked for."""

    def prepare(self, request: Request) -> dict[str, Any]:
        """See :class:`Provider`."""
        sleep = request.body.get("sleep_time", request.body.get("sleep", 0))
        if isinstance(sleep, bool) or not isinstance(sleep, (int, float)) or sleep < 0:
            raise UnableError(f"sleep_time: {sleep!r}: expected a number of seconds")
        return {"until": time.time() + sleep}

    def look(self, request: Request, note: Mapping[str, Any]) -> Status | None:
        """See :class:`Provider`."""
        if time.time() < note["until"]:
            return None
        return Status(True, {"Hello": "World", "hello": request.body.get("echo_string")}, request.id)

    def cancel(self, request: Request) -> None:
        """Do nothing: nothing is under way."""
