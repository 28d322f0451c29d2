"""``prov-worker fleet up``: from a file to running endpoints."""

from __future__ import annotations

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common


@examples("prov-worker fleet up --dry-run", "prov-worker fleet up polaris-debug")
@click.command("up", cls=renamed.RenamedOptions, renamed={"--force": "--take-over"})
@common.names_argument
@common.file_option
@click.option("-n", "--dry-run", is_flag=True, help="Show what would change, with a diff; change nothing.")
@click.option(
    "--take-over",
    is_flag=True,
    help="Also overwrite files that were edited or damaged, and take over endpoints of another fleet file.",
)
@common.json_option
def command(names: tuple[str, ...], file: str | None, dry_run: bool, take_over: bool, as_json: bool) -> int:
    """Make, configure and start the endpoints of this host, or NAME...; those that run so already are left unchanged.

    All configurations are validated before anything is changed. Exit code 1 if an endpoint does not run.
    """
    from prov_worker.fleet import commands, orphans

    fleet, state = common.opened(file)
    with terminal.progress("starting", len(fleet.chosen(names))) as advance:
        outcomes = commands.up(fleet, state, names, dry_run=dry_run, force=take_over, done=lambda _: advance())
    common.name_foreign_orphans(orphans.foreign(fleet))
    return common.report(outcomes, state, as_json=as_json, diff=dry_run)
