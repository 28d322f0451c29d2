"""``prov-worker fleet``: endpoints of this host by a file. One module a verb (``cli/fleet_<verb>.py``)."""

from __future__ import annotations

import importlib

import click

#: Verb and the first line of its help, in the order in which they are of use.
VERBS = {
    "validate": "Render and load every endpoint's configuration by the daemon's own code; start nothing.",
    "up": "Make, configure and start endpoints in one go.",
    "status": "Show processes, heartbeats, queues, blocks, workers, tasks and last errors.",
    "logs": "Show an endpoint's log.",
    "stop": "Stop endpoints; they stay stopped.",
    "restart": "Stop endpoints and start them as they are configured now.",
    "watch": "Start again what is down, with back-off and a cap.",
    "down": "Stop endpoints, and remove their directories where asked to.",
}


class _Verbs(click.Group):
    """A group whose verbs are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"prov_worker.cli.fleet_{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group("fleet", cls=_Verbs)
def command() -> None:
    """Endpoints of this host that a file names: start, watch, show and stop them as a set.

    The file is $XDG_CONFIG_HOME/prov-worker/fleet.yaml, or what --file or PROV_FLEET names. Endpoints that belong to
    another host, or that were not made by prov-worker, are never touched.
    """
