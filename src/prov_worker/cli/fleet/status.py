"""``prov-worker fleet status``: one row per endpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common
from prov_worker.humanize import duration

if TYPE_CHECKING:
    from prov_worker.fleet.status import Status


@examples("prov-worker fleet status --online")
@click.command("status")
@common.names_argument
@common.file_option
@click.option("--online", is_flag=True, help="Wait until the web service calls each endpoint online.")
@click.option("--drained", is_flag=True, help="Wait until no task runs or waits.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    metavar="S",
    help="With --online or --drained: seconds to wait.  [default: 120]",
)
@common.json_option
def command(
    names: tuple[str, ...], file: str | None, online: bool, drained: bool, timeout_s: float | None, as_json: bool
) -> int:
    """Show the endpoints of the file, or NAME...: process, heartbeat, queue, blocks, workers, tasks, last error.

    All of it is read on this host; --online asks the web service too. Exit code 1 if an endpoint of this host that
    should run does not, if what is waited for does not come in time, or if the state cannot be read.
    """
    from prov_worker.fleet import waiting

    if timeout_s is not None and not (online or drained):
        raise click.UsageError("--timeout: is the limit of --online and --drained")
    fleet, state = common.opened(file)
    report = waiting.look(fleet, state, names, online=online, drained=drained, limit_s=timeout_s)
    if report.problem is not None:
        click.echo(report.problem, err=True)
    if as_json:
        terminal.print_json([status.to_json() for status in report.statuses])
    else:
        _print(report.statuses, online=online)
    common.name_foreign_orphans(report.foreign)
    bad = any(status.condition in ("down", "unresponsive", "foreign", "unknown") for status in report.statuses)
    return 1 if bad or report.problem or not report.as_wanted else 0


def _print(statuses: Sequence[Status], *, online: bool) -> None:
    headings = ["endpoint", "site", "state", "pid", "up", "heartbeat", "queue", "running", "blocks", "workers", "done",
                "failed"]  # fmt: skip
    rows = [
        [
            status.name,
            status.site,
            _state(status),
            _number(status.pid),
            duration(status.up_s),
            duration(status.heartbeat_s),
            _number(status.queued),
            _number(status.running),
            "–" if status.blocks is None else f"{status.blocks['running']}+{status.blocks['pending']}",
            "–" if status.workers is None else _busy(status.workers),
            _number(status.completed if status.condition != "elsewhere" else None),
            _number(status.failed if status.condition != "elsewhere" else None),
        ]
        for status in statuses
    ]
    if online:
        headings.insert(3, "service")
        for row, status in zip(rows, statuses, strict=True):
            row.insert(3, status.service or "–")
    terminal.table(headings, rows, frame=False)
    for status in statuses:
        if status.restarts:
            click.echo(f"{status.name}: restarts by the watch: {status.restarts}")
        if status.next_at is not None:
            click.echo(f"{status.name}: may be restarted in {duration(status.next_at - time.time())}")
        for text in filter(
            None, (status.note, status.last_error and f"last error: {status.last_error}", *status.unread)
        ):
            click.echo(terminal.plain(f"{status.name}: {text}"))
        for orphan in status.orphans:
            remedy = f"the watch ends it, or prov-worker fleet restart {status.name}"
            click.echo(terminal.plain(f"{status.name}: its engine is gone: {orphan}; {remedy}"))


def _state(status: Status) -> str:
    """Return the condition, and the host of one that runs where a batch system chose."""
    if status.condition == "elsewhere":
        return f"on {status.host}"
    return f"{status.condition} on {status.host}" if status.elsewhere else status.condition


def _busy(workers: Mapping[str, int]) -> str:
    return f"{workers['all'] - workers['idle']}/{workers['all']}"


def _number(value: int | None) -> str:
    return "–" if value is None else str(value)
