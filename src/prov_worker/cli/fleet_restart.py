"""``prov-worker fleet restart``."""

from __future__ import annotations

import click

from prov_worker.cli import fleet_common, terminal


@click.command("restart")
@fleet_common.names_argument
@fleet_common.file_option
@fleet_common.drain_option
@fleet_common.timeout_option
@fleet_common.json_option
def command(names: tuple[str, ...], file: str | None, drain: bool, timeout_s: float | None, as_json: bool) -> int:
    """Stop the endpoints of this host, or NAME..., and start them as they are configured now.

    Also those that were stopped, or that the watch does not restart any more. Exit code 1 where one does not run.
    """
    from prov_worker.fleet import operate

    fleet_common.drain_needed(drain, timeout_s)
    fleet, state = fleet_common.opened(file)
    with terminal.progress("restarting", len(fleet.chosen(names))) as advance:
        outcomes = operate.restart(fleet, state, names, drain=drain, timeout_s=timeout_s, done=lambda _: advance())
    return fleet_common.report(outcomes, state, as_json=as_json)
