"""Groups whose commands are modules, imported when they are used, so that ``--help`` and completion stay quick."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from prov_worker.cli.common.renamed import warn_renamed
from prov_worker.humanize import nearest


class LazyGroup(click.Group):
    """A group of commands, one module each, which holds the command as ``command``.

    Args:
        package: package of the modules.
        commands: module, relative to the package, and the first line of its command's help, in the order in which they
            are of use. The last part of the module is the command's name, with dashes for underscores.
        renamed: old names of commands, which work for one release with a warning, and their new names.
    """

    def __init__(
        self,
        *args: Any,
        package: str,
        commands: Mapping[str, str],
        renamed: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._renamed = renamed or {}
        self._modules = {_name(module): f"{package}.{module}" for module in commands}
        self._help = {_name(module): text for module, text in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in their order of use."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return the command; None if there is no such command."""
        if cmd_name in self._renamed:
            old, cmd_name = cmd_name, self._renamed[cmd_name]
            warn_renamed(f"{self.name} {old}", f"{self.name} {cmd_name}")
        if cmd_name not in self._modules:
            return None
        command = importlib.import_module(self._modules[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names; an unknown one is refused with the one most like it.

        Raises:
            click.UsageError: there is no such command.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = nearest(str(args[0]), self._modules, likeness=0.5)
            raise click.UsageError(error.message.rstrip(".") + (f"; {hint}" if hint else ""), ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._help.items()))


def _name(module: str) -> str:
    return module.rpartition(".")[2].replace("_", "-")
