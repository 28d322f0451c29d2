"""``prov-worker jobs``: jobs and batches in a store. One module per command."""

from __future__ import annotations

import click

from prov_worker.cli.common.lazy_group import LazyGroup

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "submit": "Have a function of a file called at an endpoint, and print its value.",
    "map": "Call a function with each row of a table; again, only what failed.",
    "list": "List the jobs of a store.",
    "show": "Show jobs with all their attempts.",
    "result": "Wait for jobs and print their values.",
    "cancel": "Take jobs back that have not been sent; drop the results of others.",
    "retry": "Send jobs again that have no value.",
}


@click.group("jobs", cls=LazyGroup, package="prov_worker.cli.jobs", commands=COMMANDS)
def command() -> None:
    """Submit jobs that survive the program: a store in a file says what was sent and what came of it.

    A store belongs to one endpoint, and one program uses it at a time; list and show read it meanwhile.
    """
