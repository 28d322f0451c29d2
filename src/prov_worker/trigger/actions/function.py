"""``--function``: a task of Globus Compute, submitted once: the id of its task group follows from the attempt."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from prov_worker.printable import line
from prov_worker.trigger.actions.action import ActionError, Outcome
from prov_worker.trigger.actions.template import Template
from prov_worker.trigger.watcher import Settled

_NAMESPACE = uuid.UUID("8a4d1c5e-6f1b-5a0e-9a57-0d8b3a6f2c11")


class FunctionAction:
    """Submits a function with keyword arguments: those of a template, else ``path``.

    Args:
        function: its id.
        endpoint: id of the endpoint.
        template: of the keyword arguments.
    """

    def __init__(self, function: str, endpoint: str, template: Template | None = None) -> None:
        from prov_worker.globus.submit import Submitter

        self._function, self._endpoint, self._template = function, endpoint, template
        self._submitter = Submitter(function, endpoint)

    def _arguments(self, folder: Settled, key: str) -> Mapping[str, Any]:
        return {"path": str(folder.path)} if self._template is None else self._template.render(folder, key)

    def begin(self, key: str, folder: Settled, *, again: bool) -> Outcome:
        """Submit the task; its end is not waited for."""
        group = str(uuid.uuid5(_NAMESPACE, key))
        arguments = self._arguments(folder, key)
        try:
            tasks = self._submitter.tasks(group) if again else []
            tasks = tasks or self._submitter.submit(group, arguments)
        except Exception as error:  # the SDK's own kinds, and those of what it is made of
            raise ActionError(line(f"{type(error).__name__}: {error}")[:500]) from None
        return Outcome("", {"function": self._function, "endpoint": self._endpoint, "group": group, "tasks": tasks})

    def outcome(self, key: str) -> Outcome | None:
        """Do nothing: a task is submitted at once, or not."""
        return Outcome(f"attempt {key} left nothing")

    def release(self) -> None:
        """Do nothing: no process of this machine is under way."""

    def preview(self, folder: Settled) -> str:
        """Return what would be submitted."""
        return f"function {self._function} on {self._endpoint} with {line(dict(self._arguments(folder, 'dry-run')))}"
