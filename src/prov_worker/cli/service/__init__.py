"""``prov-worker service``: the local Globus Compute web service. One module per command."""

from __future__ import annotations

import click

from prov_worker.cli.common.lazy_group import LazyGroup

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "run": "Serve until SIGTERM; the broker may come and go meanwhile.",
    "env": "Print one line of exports for stock scripts and daemons.",
    "identity": "Add a new identity to a file, with a secret that is drawn.",
    "status": "Ask a running service how it is.",
}


@click.group("service", cls=LazyGroup, package="prov_worker.cli.service", commands=COMMANDS)
def command() -> None:
    """Run a local Globus Compute web service for stock clients and endpoints.

    Endpoints and scripts need no account and no internet: the service answers in place of the hosted one. Every option
    can be given as a variable too: PROV_SERVICE_PORT for --port, and so on.
    """
