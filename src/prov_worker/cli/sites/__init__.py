"""``prov-worker sites``: templates of endpoints for known machines. One module per command."""

from __future__ import annotations

import click

from prov_worker.cli.common.lazy_group import LazyGroup

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "list": "List the sites that there are templates for.",
    "show": "Show the options of SITE, their defaults, and where these come from.",
    "schema": "Print the JSON schema of the options of SITE.",
    "render": "Print what the daemon would load for SITE, by Globus Compute's own code.",
    "install": "Write the directory of an endpoint NAME on SITE.",
    "check": "Check whether this host has what an endpoint on SITE needs, before the first start.",
    "recipe": "Print the steps from nothing to a first task on SITE, as commands.",
    "worker_init": "Print a `worker_init` that switches recording on if the endpoint belongs to the facility.",
}


@click.group("sites", cls=LazyGroup, package="prov_worker.cli.sites", commands=COMMANDS)
def command() -> None:
    """Show, render, check and install templates of endpoints for known machines."""
