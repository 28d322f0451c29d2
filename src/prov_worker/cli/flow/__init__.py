"""``prov-worker flow``: Globus Flows. One module per command."""

from __future__ import annotations

import click

from prov_worker.cli.lazy_group import LazyGroup

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "make": "Make a definition, an input schema and an input template of steps by name.",
    "check": "Check a definition, its input schema and an input, without the service.",
}


@click.group("flow", cls=LazyGroup, package="prov_worker.cli.flow", commands=COMMANDS)
def command() -> None:
    """Globus Flows: definitions made, and checked without the service."""
