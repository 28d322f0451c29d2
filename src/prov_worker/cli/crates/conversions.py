"""What ``pack`` and ``unpack`` say at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.humanize import plural

if TYPE_CHECKING:
    from prov_worker.crate.packs.conversion import Converted


def report(result: Converted, done: str, *, as_json: bool) -> int:
    """Say what was converted; return the exit code.

    Args:
        result: the outcome.
        done: what was done to crates.
        as_json: for a program.
    """
    if as_json:
        terminal.print_json(
            {
                "crates": result.crates,
                "known": result.known,
                "removed": result.removed,
                "packs": [str(path) for path in result.made],
                "repaired": [str(pack) for pack in result.repaired],
                "problems": [{"where": error.where, "problem": error.reason} for error in result.problems],
            }
        )
    else:
        for pack in result.repaired:
            click.echo(f"repaired: {pack}")
        for path in result.made:
            click.echo(str(path))
        before = f", {result.known} were there already" if result.known else ""
        click.echo(f"{plural(result.crates, 'crate')} {done}{before}")
    for error in result.problems:
        terminal.complain(error)
    return 1 if result.problems else 0
