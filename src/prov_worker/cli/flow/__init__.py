"""``prov-worker flow``: Globus Flows. One module per command."""

from __future__ import annotations

import click

from prov_worker.cli.common.lazy_group import LazyGroup

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "make": "Make a definition, an input schema and an input template of steps by name.",
    "check": "Check a definition, its input schema and an input, without the service.",
    "deploy": "Deploy a definition, after showing how it differs from what is deployed.",
    "run": "Start a run, or look at what would be run.",
    "status": "Show a run and its states.",
    "record": "Bring log, definition and input of a run back.",
}


@click.group("flow", cls=LazyGroup, package="prov_worker.cli.flow", commands=COMMANDS)
def command() -> None:
    """Make definitions of Globus Flows, check them without the service, deploy and run them."""
