"""``prov-worker fleet``: endpoints of this host by a file. One module per command."""

from __future__ import annotations

import click

from prov_worker.cli.common.lazy_group import LazyGroup

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "validate": "Render and load every endpoint's configuration by the daemon's own code; start nothing.",
    "up": "Create, configure and start endpoints in one go.",
    "status": "Show processes, heartbeats, queues, blocks, workers, tasks and last errors; wait until online or idle.",
    "logs": "Show an endpoint's log.",
    "stop": "Stop endpoints; they stay stopped.",
    "restart": "Stop endpoints and start them as they are configured now.",
    "watch": "Restart what is down, with back-off and a cap.",
    "unit": "Print a unit of systemd for the watch, confined as far as its endpoints bear it.",
    "remove": "Stop endpoints, and with --delete remove their directories.",
}


@click.group("fleet", cls=LazyGroup, package="prov_worker.cli.fleet", commands=COMMANDS, renamed={"down": "remove"})
def command() -> None:
    """Start, watch, show and stop the endpoints of this host that a file declares.

    The file is $XDG_CONFIG_HOME/prov-worker/fleet.yaml, or what --file or PROV_WORKER_FLEET names. Endpoints that
    belong to another host, or that were not created by prov-worker, are never touched.
    """
