"""``prov-worker fleet restart``."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common


@examples("prov-worker fleet restart polaris-debug")
@click.command("restart")
@common.names_argument
@common.file_option
@click.option(
    "--stale",
    is_flag=True,
    help="Leave those alone that run with the present software, configuration and credentials.",
)
@common.drain_option
@common.timeout_option
@common.json_option
def command(
    names: tuple[str, ...], file: str | None, stale: bool, drain: bool, timeout_s: float | None, as_json: bool
) -> int:
    """Stop the endpoints of this host, or NAME..., and start them as they are configured now.

    Also those that were stopped, or that the watch does not restart any more. A watch that is at work does it. Exit
    code 1 if one does not run.
    """
    from prov_worker.fleet import commands, orphans

    common.drain_needed(drain, timeout_s)
    fleet, state = common.opened(file)
    with terminal.progress("restarting", len(fleet.chosen(names))) as advance:
        outcomes = commands.restart(
            fleet, state, names, stale=stale, drain=drain, timeout_s=timeout_s, done=lambda _: advance()
        )
    common.name_foreign_orphans(orphans.foreign(fleet))
    return common.report(outcomes, state, as_json=as_json)
