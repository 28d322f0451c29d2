"""``prov-worker fleet status``: one row an endpoint."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from prov_worker import humanize
from prov_worker.cli import terminal
from prov_worker.cli.fleet import common
from prov_worker.errors import InputError

if TYPE_CHECKING:
    from prov_worker.fleet.status import Status


@click.command("status")
@common.names_argument
@common.file_option
@common.json_option
def command(names: tuple[str, ...], file: str | None, as_json: bool) -> int:
    """Show the endpoints of the file, or NAME...: process, heartbeat, queue, blocks, workers, tasks, last error.

    All of it is read on this host, without the web service. Exit code 1 where an endpoint of this host that should run
    does not, or what is remembered of them cannot be read.
    """
    from prov_worker.fleet import status
    from prov_worker.fleet.state import Record
    from prov_worker.fleet.task_counts import Tally

    fleet, state = common.opened(file)
    trouble, tally = None, Tally()
    try:
        records = state.load()
        trouble = state.damaged
    except InputError as error:
        records, trouble = {name: Record(wanted="unknown") for name in fleet.names}, str(error)
    if trouble is not None:
        click.echo(trouble, err=True)
    found = [status.of(spec, records, tally) for spec in fleet.chosen(names)]
    if as_json:
        terminal.print_json([one.to_json() for one in found])
    else:
        _print(found)
    return 1 if trouble or any(one.condition in ("down", "unresponsive", "foreign", "unknown") for one in found) else 0


def _print(found: list[Status]) -> None:
    heads = (
        "endpoint",
        "site",
        "state",
        "pid",
        "up",
        "heartbeat",
        "queue",
        "running",
        "blocks",
        "workers",
        "done",
        "failed",
    )
    rows = (
        [
            one.name,
            one.site,
            one.condition if one.condition != "elsewhere" else f"on {one.host}",
            _number(one.pid),
            humanize.duration(one.up_s),
            humanize.duration(one.heartbeat_s),
            _number(one.queued),
            _number(one.running),
            "–" if one.blocks is None else f"{one.blocks['running']}+{one.blocks['pending']}",
            "–" if one.workers is None else f"{one.workers['all'] - one.workers['idle']}/{one.workers['all']}",
            _number(one.completed if one.condition != "elsewhere" else None),
            _number(one.failed if one.condition != "elsewhere" else None),
        ]
        for one in found
    )
    terminal.table(heads, rows, frame=False)
    for one in found:
        if one.restarts:
            click.echo(f"{one.name}: restarts by the watch: {one.restarts}")
        if one.next_at is not None:
            click.echo(f"{one.name}: may be restarted in {humanize.duration(one.next_at - time.time())}")
        for text in filter(None, (one.note, one.last_error and f"last error: {one.last_error}", *one.unread)):
            click.echo(terminal.plain(f"{one.name}: {text}"))


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)
