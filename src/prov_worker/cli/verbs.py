"""Groups whose verbs are modules, imported when they are used, so that ``--help`` and completion stay quick."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class Verbs(click.Group):
    """A group of verbs, one module each, which holds the verb as ``command``.

    Args:
        verbs: verb and the first line of its help, in the order in which they are of use.
        module: name of a verb's module, with ``{}`` for the verb.
        modules: modules of verbs whose name is another one.
    """

    def __init__(
        self, *args: Any, verbs: Mapping[str, str], module: str, modules: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._verbs, self._module, self._modules = verbs, module, modules or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in their order of use."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, whose module is imported now; None where there is no such verb."""
        if cmd_name not in self._verbs:
            return None
        name = self._modules.get(cmd_name) or self._module.format(cmd_name)
        command = importlib.import_module(f"prov_worker.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._verbs.items()))
