"""``prov-worker fleet stop``."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common
from prov_worker.errors import InputError


@examples("prov-worker fleet stop polaris-debug")
@click.command("stop")
@common.names_argument
@common.file_option
@common.drain_option
@common.timeout_option
@click.option("--watch", "end_watch", is_flag=True, help="End the watch too, also on another host.")
@common.json_option
def command(
    names: tuple[str, ...], file: str | None, drain: bool, timeout_s: float | None, end_watch: bool, as_json: bool
) -> int:
    """Stop the endpoints of this host, or NAME...; the watch leaves them alone until `fleet up` or `restart`.

    Tasks that arrive later wait at the web service. Exit code 1 if one was not stopped.
    """
    from prov_worker.fleet import commands, presence

    common.drain_needed(drain, timeout_s)
    fleet, state = common.opened(file)
    with terminal.progress("stopping", len(fleet.chosen(names))) as advance:
        outcomes = commands.stop(fleet, state, names, drain=drain, timeout_s=timeout_s, done=lambda _: advance())
    if end_watch and (watch := presence.end(state.directory)) is not None:
        raise InputError(f"{fleet.path}: the watch on {watch.host} (process {watch.pid}) does not end")
    return common.report(outcomes, state, as_json=as_json)
