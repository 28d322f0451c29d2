"""Options and commands that have a new name: the old one works for one release, with a warning."""

from __future__ import annotations

from typing import Any

import click

from prov_worker.variables import renamed_message


class RenamedOptions(click.Command):
    """A command that takes old names of its options too.

    Args:
        renamed: old name to new name, both with their dashes.
    """

    def __init__(self, *args: Any, renamed: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.renamed = renamed

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replace old names, and warn once per name; what follows ``--`` is not an option."""
        end = args.index("--") if "--" in args else len(args)
        options = [self._replace(argument) for argument in args[:end]]
        return super().parse_args(ctx, options + args[end:])

    def _replace(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        if name not in self.renamed:
            return argument
        new = self.renamed[name]
        warn_renamed(name, new)
        return f"{new}{equals}{value}"


def warn_renamed(old: str, new: str) -> None:
    """Tell the user the new name of an option or a command."""
    click.echo(renamed_message(old, new), err=True)
