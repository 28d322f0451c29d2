"""``prov-worker flow status``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples

if TYPE_CHECKING:
    from prov_worker.flow import RunStatus
    from prov_worker.flow.remote.service import FlowsService

#: Between two looks at a run, from and to.
_FIRST_S, _LONGEST_S = 1.0, 30.0
_CHARACTERS = 500


@examples("prov-worker flow status --wait 1f0d2c3b-8d0e-4a55-9f0e-6a7b8c9d0e1f")
@click.command("status")
@click.argument("run", metavar="RUN")
@click.option("--wait", is_flag=True, help="Wait for the end.")
@click.option("--json", "as_json", is_flag=True, help="Run and states, as JSON.")
def command(run: str, wait: bool, as_json: bool) -> int:
    """Show a run and its states; exit code 1 if it failed, or waits for a login."""
    from prov_worker.flow import status
    from prov_worker.flow.remote.service import FlowsService

    service = FlowsService()
    if wait:
        return wait_for_end(run, service, as_json=as_json)
    return _show(status(run, service), as_json=as_json)


def wait_for_end(run: str, service: FlowsService, *, as_json: bool) -> int:
    """Wait for the end of a run, show it, and return the exit code."""
    from prov_worker.flow import status

    pause_s = _FIRST_S
    while (shown := status(run, service)).run["status"] == "ACTIVE":
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _LONGEST_S)
    return _show(shown, as_json=as_json)


def _show(shown: RunStatus, *, as_json: bool) -> int:
    run = shown.run
    if as_json:
        states = [
            {"name": state.name, "type": state.kind, "start": state.started, "end": state.ended, "failed": state.failed}
            for state in shown.states
        ]
        terminal.print_json({"run": dict(run), "states": states, "required_scopes": shown.scopes,
                             "required_session": dict(shown.session), "pages": shown.pages})  # fmt: skip
        return 0 if run["status"] in ("ACTIVE", "SUCCEEDED") else 1
    label = f" {terminal.line(run['label'])}" if run.get("label") else ""
    click.echo(f"{run['run_id']}: {run['status']}{label}")
    for state in shown.states:
        end = "under way" if state.ended is None else "failed" if state.failed else "done"
        click.echo(f"  {state.started[:19]}  {end:9}  {terminal.line(state.name)} ({state.kind})")
    details = run.get("details")
    inner = details.get("details") if isinstance(details, dict) else None
    if run["status"] == "FAILED" and isinstance(inner, dict):
        reason = inner.get("cause") or json.dumps(inner)
        click.echo(f"  {terminal.line(inner.get('error') or '')}: {terminal.line(reason)[:_CHARACTERS]}")
    for scope in shown.scopes:
        click.echo(f"  lacks the scope {terminal.line(scope)}")
    for key, value in shown.session.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        click.echo(f"  needs a login with {key.removeprefix('session_').replace('_', ' ')}: {terminal.line(text)}")
    for page in shown.pages:
        click.echo(f"  waits for a person: {terminal.line(page)}")
    if run["status"] == "INACTIVE":
        click.echo(f"  log in, and it goes on: prov-worker flow run --login --resume {run['run_id']}")
    return 0 if run["status"] in ("ACTIVE", "SUCCEEDED") else 1
