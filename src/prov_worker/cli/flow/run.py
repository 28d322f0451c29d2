"""``prov-worker flow run``."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples


@examples(
    "prov-worker flow run --dry-run --input input.json",
    "prov-worker flow run --input input.json --label run-0042 --wait",
)
@click.command("run")
@click.argument("flow", required=False, metavar="[FLOW]")
@click.option("--input", "input_", type=terminal.PATH, metavar="FILE", help="Input of the run, JSON or YAML.")
@click.option("--label", metavar="TEXT", help="Label of the run, 64 characters at most.")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="A tag of the run; may be repeated.")
@click.option("-n", "--dry-run", is_flag=True, help="Check input, permission, endpoints and paths; start nothing.")
@click.option("--login", is_flag=True, help="Log in again first, for a scope that is missing.")
@click.option(
    "--data-access", "collections", multiple=True, metavar="ID", help="Mapped collection to consent to, with --login."
)
@click.option("--resume", "resumed", metavar="RUN", help="Let a run go on that waits for a login.")
@click.option("--wait", is_flag=True, help="Wait for the end; exit code 1 if the run fails.")
@click.option("--json", "as_json", is_flag=True, help="The run, as JSON.")
def command(
    flow: str | None,
    input_: str | None,
    label: str | None,
    tags: tuple[str, ...],
    dry_run: bool,
    login: bool,
    collections: tuple[str, ...],
    resumed: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Start a run of FLOW: the id of a flow, or a definition that was deployed from here."""
    from prov_worker.flow import resume, run
    from prov_worker.flow.remote.run import flow_id_of
    from prov_worker.flow.remote.service import FlowsService

    if collections and not login:
        raise click.UsageError("--data-access goes with --login")
    if resumed is not None:
        if flow is not None or input_ is not None or dry_run:
            raise click.UsageError("--resume goes without FLOW, --input and --dry-run: the run has its own")
        service = FlowsService()
        resume(resumed, login=login, service=service)
        run_id = resumed
    else:
        if flow is None or input_ is None:
            raise click.UsageError("FLOW and --input are needed, or --resume")
        service = FlowsService()
        if login:
            service.login(flow_id_of(flow, service), collections=collections)
        if dry_run:
            return _look(flow, input_, label, service, as_json=as_json)
        run_id = run(flow, input_, label=label, tags=tags, service=service)
    if wait:
        from prov_worker.cli.flow.status import wait_for_end

        return wait_for_end(run_id, service, as_json=as_json)
    if as_json:
        terminal.print_json({"run": run_id})
    else:
        click.echo(run_id)
    return 0


def _look(flow: str, input_: str, label: str | None, service: object, *, as_json: bool) -> int:
    from prov_worker.cli.flow.check import show
    from prov_worker.flow import dry_run
    from prov_worker.flow.remote.service import FlowsService

    assert isinstance(service, FlowsService)
    looked = dry_run(flow, input_, label=label, service=service)
    if as_json:
        terminal.print_json(
            {
                "flow": looked.flow_id,
                "findings": [finding.as_json() for finding in looked.findings],
                "problems": looked.problems,
                "endpoints": looked.endpoints,
                "collections": looked.collections,
                "paths": looked.paths,
            }
        )
    else:
        show([finding for finding in looked.findings if finding.level != "note"])
        for endpoint, state in looked.endpoints.items():
            click.echo(f"endpoint {endpoint}: {state}")
        for collection, state in looked.collections.items():
            click.echo(f"collection {terminal.line(collection)}: {state}")
        for path, state in looked.paths.items():
            click.echo(f"path {path}: {state}")
        for problem in looked.problems:
            click.echo(terminal.line(problem))
        click.echo(f"{looked.flow_id}: {'it would run' if looked.good else 'it would fail'}; nothing was started")
    return 0 if looked.good else 1
