"""``prov-worker flow deploy``."""

from __future__ import annotations

import sys

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import InputError

_ROLES = {
    "starter": "flow_starters",
    "viewer": "flow_viewers",
    "administrator": "flow_administrators",
    "run_monitor": "run_monitors",
    "run_manager": "run_managers",
}


@examples(
    "prov-worker flow deploy --dry-run definition.json schema.json",
    "prov-worker flow deploy --title 'Fit and bring back' --yes definition.json schema.json",
)
@click.command("deploy")
@click.argument("definition", type=terminal.PATH, metavar="DEF")
@click.argument("schema", type=terminal.PATH, required=False, metavar="[SCHEMA]")
@click.option("--flow", "flow_id", metavar="ID", help="Flow to change.  [default: the one that DEF was deployed as]")
@click.option("--title", help="Title of the flow.  [default: Comment of DEF]")
@click.option("--starter", multiple=True, metavar="URN", help="Who may run it; may be repeated.")
@click.option("--viewer", multiple=True, metavar="URN", help="Who may see it; may be repeated.")
@click.option("--administrator", multiple=True, metavar="URN", help="Who may change it; may be repeated.")
@click.option("--run-monitor", multiple=True, metavar="URN", help="Who may see its runs; may be repeated.")
@click.option("--run-manager", multiple=True, metavar="URN", help="Who may cancel its runs; may be repeated.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-n", "--dry-run", is_flag=True, help="Show the difference alone; exit code 1 if there is one.")
@click.option("--json", "as_json", is_flag=True, help="What differed and was done, as JSON; does not ask.")
def command(
    definition: str,
    schema: str | None,
    flow_id: str | None,
    title: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **principals: tuple[str, ...],
) -> int:
    """Deploy a definition, with its input SCHEMA, after showing how it differs from what is deployed.

    Nothing is written if nothing differs. The id of a new flow is noted in deployed.json beside DEF.
    """
    from prov_worker.flow import deploy, load
    from prov_worker.flow.remote.deploy import apply
    from prov_worker.flow.remote.service import FlowsService

    flow = load(definition, schema)
    roles = {_ROLES[name]: values for name, values in principals.items() if values}
    service = FlowsService()
    plan = deploy(flow, flow_id, title=title, roles=roles, dry_run=True, service=service)
    if plan.changes and not dry_run:
        if not as_json:
            _show(plan.flow_id, [line for change in plan.changes for line in change.lines()])
        if not (yes or as_json):
            if not sys.stdin.isatty():
                raise InputError("nothing was deployed: nobody can be asked here; say --yes")
            click.confirm("Deploy this?", abort=True)
        apply(plan, flow, service)
    elif plan.changes and not as_json:
        _show(plan.flow_id, [line for change in plan.changes for line in change.lines()])
    if as_json:
        names = [change.name for change in plan.changes]
        terminal.print_json({"flow": plan.flow_id, "service": plan.service, "changed": names, "written": plan.written})
    elif not plan.changes:
        click.echo(f"{plan.flow_id}: nothing to do: the service has the same")
    elif plan.written:
        click.echo(f"{plan.flow_id}: deployed at {plan.service}")
    return 1 if dry_run and plan.changes else 0


def _show(flow_id: str | None, lines: list[str]) -> None:
    if flow_id is None:
        click.echo("a new flow")
        return
    out = terminal.console()
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for text in lines:
        colour = colours.get(text[:1])
        out.print(terminal.styled((text, colour) if colour else text), soft_wrap=True)
