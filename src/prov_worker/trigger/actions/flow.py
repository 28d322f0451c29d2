"""``--flow``: a run of a Globus Flow, started once: its tag tells after a restart whether it was."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.flow import check, load
from prov_worker.flow.findings import ERROR, FlowFinding
from prov_worker.printable import line
from prov_worker.trigger.actions.action import ActionError, Outcome
from prov_worker.trigger.actions.template import Template
from prov_worker.trigger.watcher import Settled

#: Runs that are looked through for one that was started before a crash: the newest come first.
_RUNS = 1000


class FlowAction:
    """Starts a flow.

    Args:
        flow: its id.
        template: of the input.
        schema: of the input, to hold it against before the service does; None if it is not at hand.

    Raises:
        InputError: there are no credentials, or the schema is none.
    """

    def __init__(self, flow: str, template: Template, schema: Path | None = None) -> None:
        from prov_worker.globus.app import globus_app

        self._flow, self._template, self._schema = flow, template, schema
        if schema is not None and (wrong := [finding for finding in self._findings({}) if finding.check == "schema"]):
            raise InputError(f"{schema}: {wrong[0].path}: {wrong[0].message}")
        app = globus_app("Globus Flows")
        from globus_sdk import FlowsClient, SpecificFlowClient

        self._client = SpecificFlowClient(flow, app=app)
        self._flows = FlowsClient(app=app)

    def _findings(self, value: dict[str, Any]) -> list[FlowFinding]:
        """Return what is wrong with the schema, and with an input by it."""
        definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
        return [finding for finding in check(load(definition, self._schema, value)) if finding.level == ERROR]

    def _input(self, folder: Settled, key: str) -> dict[str, Any]:
        value = self._template.render(folder, key)
        if self._schema is not None:
            try:
                errors = [f"{finding.path}: {finding.message}" for finding in self._findings(value)]
            except InputError as error:
                raise ActionError(str(error)) from None
            if errors:
                raise ActionError(f"the input does not follow {self._schema}: {'; '.join(errors)}")
        return value

    def begin(self, key: str, folder: Settled, *, again: bool) -> Outcome:
        """Start a run; its end is not waited for."""
        from globus_sdk import GlobusAPIError, NetworkError

        tag = f"trigger-{key}"
        try:
            run = self._started(tag) if again else None
            if run is None:
                reply = self._client.run_flow(self._input(folder, key), label=line(folder.name)[:64], tags=[tag])
                run = str(reply["run_id"])
        except (GlobusAPIError, NetworkError) as error:
            raise ActionError(_short(error)) from None
        return Outcome("", {"flow": self._flow, "run": run, "url": f"https://app.globus.org/runs/{run}"})

    def _started(self, tag: str) -> str | None:
        """Return the run of a tag, which was started before."""
        runs = self._flows.list_runs(filter_flow_id=self._flow, query_params={"orderby": "start_time DESC"})
        for run in itertools.islice(runs, _RUNS):
            if tag in (run.get("tags") or ()):
                return str(run["run_id"])
        return None

    def outcome(self, key: str) -> Outcome | None:
        """Do nothing: a run is started at once, or not."""
        return Outcome(f"attempt {key} left nothing")

    def release(self) -> None:
        """Do nothing: no process of this machine is under way."""

    def preview(self, folder: Settled) -> str:
        """Return what would be started, after the service has looked at the input."""
        from globus_sdk import GlobusAPIError, NetworkError

        body = self._input(folder, "dry-run")
        try:
            self._client.validate_run(body, label=line(folder.name)[:64])
        except (GlobusAPIError, NetworkError) as error:
            raise ActionError(_short(error)) from None
        return f"flow {self._flow} with an input that the service takes"


def _short(error: Exception) -> str:
    code = getattr(error, "code", None)
    text = getattr(error, "message", None) or str(error)
    status = getattr(error, "http_status", "")
    return line(f"{status} {code or ''} {text}".strip())[:500]
