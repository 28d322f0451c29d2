"""Write the man pages of ``prov-worker`` and of all of its commands, by click-man, into a directory.

``.venv-docs/bin/python scripts/man_pages.py DIRECTORY``, as ``make man`` calls it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click_man.core import write_man_pages

from prov_worker import __version__
from prov_worker.cli.main import cli


def load(group: click.Group) -> None:
    """Import the commands of a group and of those in it: click-man asks a group for those that it has loaded."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        group.commands[name] = command
        if isinstance(command, click.Group):
            load(command)


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    load(cli)
    write_man_pages("prov-worker", cli, version=__version__, target_dir=str(directory))
    print(f"man -M {directory.parent}" if directory.name == "man1" else directory, file=sys.stdout)
