"""Command lines of ``prov-worker`` as documents have them, taken apart by the commands' own parsers."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator

import click

from prov_worker.cli.main import cli


def verbs(group: click.Group, path: str = "prov-worker") -> Iterator[tuple[str, click.Command]]:
    """Yield each command that is no group, with the words that lead to it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


VERBS = dict(verbs(cli))


def parse(line: str) -> str:
    """Have the parser of its command take a line of a shell, and return the words that lead to the command.

    Raises:
        click.ClickException: an option or an argument that the command does not take, or one that is missing.
        LookupError: there is no such command.
    """
    line = re.sub(r".*\$\((?:.* )?(prov-worker .*)\).*", r"\1", line)
    parts = shlex.shlex(line, posix=True, punctuation_chars="|>")
    parts.whitespace_split = True
    arguments = list(itertools.takewhile(lambda word: word.strip("|>"), parts))
    leading = [path for path in VERBS if f"{' '.join(arguments)} ".startswith(f"{path} ")]
    if not leading:
        raise LookupError(line)
    path = max(leading, key=len)
    VERBS[path].make_context(path, arguments[len(path.split()) :], parent=click.Context(cli)).close()
    return path
