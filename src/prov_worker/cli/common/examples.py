"""Examples below a command's options in its ``--help``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

_Command = TypeVar("_Command", bound=click.Command)
HEADING = "Examples:"


def examples(*lines: str) -> Callable[[_Command], _Command]:
    """Return a decorator that adds lines of a shell to the help of a command.

    Args:
        lines: the commands as a user types them; one line each, at most 88 characters.
    """

    def add(command: _Command) -> _Command:
        # The mark keeps click from filling the lines as if they were a paragraph.
        text = "\b\n" + "\n".join([HEADING, *(f"  {line}" for line in lines)])
        command.epilog = f"{command.epilog}\n\n{text}" if command.epilog else text
        return command

    return add
