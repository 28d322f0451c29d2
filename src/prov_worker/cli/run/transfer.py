"""``prov-worker run transfer``: collect crates by Globus Transfer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import InputError
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.run.collect.transfer import State


@examples("prov-worker run transfer SITE_ID:/scratch/me/crates LAPTOP_ID:/data/crates")
@click.command("transfer", cls=renamed.RenamedOptions, renamed={"--local": "--verify-in"})
@click.argument("source", required=False, metavar="SOURCE_COLLECTION:PATH")
@click.argument("target", required=False, metavar="DEST_COLLECTION:PATH")
@click.option("--label", help="Label of the task; what tells the two directories is added to it.")
@click.option("--task", "task_id", type=click.UUID, metavar="ID", help="Wait for this task instead of a new one.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the task is done.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S",
    help="Seconds to wait; the task goes on afterwards.  [default: no limit]",
)  # fmt: skip
@click.option(
    "--verify-in",
    "local",
    type=terminal.PATH,
    metavar="DIR",
    help="Where DEST is on this machine: crates there are compared.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Look into both directories; submit nothing.")
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def command(
    source: str | None,
    target: str | None,
    label: str | None,
    task_id: Any,
    wait: bool,
    timeout: float | None,
    local: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Bring the crates of a directory into another one, by one task of Globus Transfer.

    Files that are there with the same checksum are not sent again. The task goes on when this command is ended: the
    same command finds it again, and so does --task. GLOBUS_COMPUTE_CLIENT_ID and GLOBUS_COMPUTE_CLIENT_SECRET name a
    service account; without them, you are asked to log in.
    """
    from prov_worker.globus.transfer_client import transfer_client
    from prov_worker.run.collect import transfer
    from prov_worker.run.model import Problem

    if task_id is not None and (source or label or dry_run):
        raise click.UsageError("--task goes without collections, --label and --dry-run")
    if local is not None and (dry_run or not wait):
        raise click.UsageError("--verify-in goes without --no-wait and --dry-run")
    resumed = False
    if task_id is not None:
        client, task, where = transfer_client(), str(task_id), f"task {task_id}"
    else:
        if source is None or target is None:
            raise click.UsageError("expected SOURCE_COLLECTION:PATH and DEST_COLLECTION:PATH, or --task")
        sides = transfer.Side.parse(source), transfer.Side.parse(target)
        if sides[0] == sides[1]:
            raise InputError(f"{source}: is the destination itself")
        name, where = transfer.full_label(*sides, label), str(sides[1])
        client = transfer_client()
        if dry_run:
            seen = transfer.preview(client, *sides)
            if as_json:
                terminal.print_json({"target": where, "dry_run": True, **dataclasses.asdict(seen)})
            else:
                click.echo(
                    f"{where}: {plural(len(seen.new), 'entry', 'entries')} would come, {seen.known} are there by name"
                )
            return 0
        running = transfer.running(client, *sides, name)
        resumed = running is not None
        task = running or transfer.submit(client, *sides, name)
        # At once, and on stderr: whatever becomes of this process, the task can be found.
        click.echo(f"task {task} {'is under way' if resumed else 'submitted'}", err=True)

    state = _wait(client, task, timeout) if wait else transfer.state(client, task)
    crates, problems = (None, []) if local is None else transfer.damaged(Path(local))
    if crates == 0 and state.files:
        problems.append(Problem(str(local), "no crate is there; is this where the destination is?"))
    for problem in problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if as_json:
        entries = [{"where": problem.where, "message": problem.message} for problem in problems]
        data = {"target": where, "dry_run": False, "found": resumed, **dataclasses.asdict(state)}
        terminal.print_json({**data, "crates": crates, "problems": entries})
        return 1 if problems else 0
    came = f"{plural(state.sent, 'file')} came ({size(state.sent_bytes)}), {state.skipped} were there"
    click.echo(f"{where}: {state.status}: {came}")
    if local is not None:
        click.echo(f"{local}: {plural(crates or 0, 'crate')} compared, {len(problems)} not whole")
    elif wait:
        click.echo("compare the crates where they are now: prov-worker check DIR")
    else:
        click.echo(f"wait for it: {terminal.program()} run transfer --task {task}")
    return 1 if problems else 0


def _wait(client: Any, task: str, timeout: float | None) -> State:
    from prov_worker.run.collect.transfer import wait

    with terminal.progress("transferring", None) as advance:
        done, details = 0, ""

        def tell(state: State) -> None:
            nonlocal done, details
            if state.status == "ACTIVE" and state.details not in ("", details):
                click.echo(f"task {task}: {terminal.plain(state.details)}", err=True)
                details = state.details
            now = state.sent + state.skipped
            advance(now - done, total=state.files or None, label=f"transferring, {size(state.sent_bytes)}")
            done = now

        return wait(client, task, timeout, tell)
