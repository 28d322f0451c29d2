"""``prov-worker fleet watch``: the process that looks after endpoints."""

from __future__ import annotations

import signal
import threading

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.fleet import common


@examples("prov-worker fleet watch --once")
@click.command("watch")
@common.file_option
@click.option("--once", is_flag=True, help="Look once, act, and end: for cron.")
@click.option(
    "--stop-endpoints",
    is_flag=True,
    help="Stop the endpoints when it is asked to end: for service managers and batch jobs.",
)
def command(file: str | None, once: bool, stop_endpoints: bool) -> int:
    """Restart the endpoints of this host that are down: with back-off, a cap, and a line for each decision.

    One watch at a time for a file and a host. SIGTERM ends it; endpoints are left alone, unless --stop-endpoints.
    """
    from prov_worker.fleet.watch import Watcher

    if once and stop_endpoints:
        raise click.UsageError("--stop-endpoints: --once ends by itself")
    fleet, state = common.opened(file)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, lambda *_: ended.set())

    def show(line: str) -> None:
        click.echo(line)

    Watcher(fleet, state, show, ended).run(once=once, stop_endpoints=stop_endpoints)
    return 0
