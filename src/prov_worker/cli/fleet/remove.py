"""``prov-worker fleet remove``."""

from __future__ import annotations

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common


@examples("prov-worker fleet remove polaris-debug")
@click.command("remove", cls=renamed.RenamedOptions, renamed={"--force": "--discard-unsent"})
@common.names_argument
@common.file_option
@common.drain_option
@common.timeout_option
@click.option("--delete", is_flag=True, help="Then remove the directories that the fleet created; crates stay.")
@click.option(
    "--discard-unsent", is_flag=True, help="With --delete: also with unsent results, or a damaged prov_worker.json."
)
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be stopped and removed; change nothing.")
@common.json_option
def command(
    names: tuple[str, ...],
    file: str | None,
    drain: bool,
    timeout_s: float | None,
    delete: bool,
    discard_unsent: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Stop the endpoints of this host, or NAME..., and with --delete remove what the fleet created.

    The web service keeps its record of an endpoint: `globus-compute-endpoint delete` before `remove --delete`
    removes that too. Exit code 1 if something is not as it was asked for.
    """
    from prov_worker.fleet import commands
    from prov_worker.fleet import delete as deletion

    common.drain_needed(drain, timeout_s)
    if discard_unsent and not delete:
        raise click.UsageError("--discard-unsent: goes with --delete")
    fleet, state = common.opened(file)
    outcomes = []
    if dry_run:
        if not delete:
            outcomes = deletion.would_stop(fleet, state, names)
    else:
        with terminal.progress("stopping", len(fleet.chosen(names))) as advance:
            outcomes = commands.stop(
                fleet, state, names, drain=drain, timeout_s=timeout_s, force=discard_unsent, done=lambda _: advance()
            )
    if delete:
        bad = [outcome for outcome in outcomes if not outcome.good]
        left = [spec.name for spec in fleet.chosen(names) if spec.name not in {outcome.name for outcome in bad}]
        deleted = deletion.delete(
            fleet, state, names, skip={outcome.name for outcome in bad}, force=discard_unsent, dry_run=dry_run
        )
        outcomes = [*bad, *(outcome for outcome in deleted if outcome.name in left)]
    return common.report(outcomes, state, as_json=as_json)
