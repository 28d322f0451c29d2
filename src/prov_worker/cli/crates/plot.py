"""``prov-worker plot``: add a plot to crates that were published without one."""

from __future__ import annotations

import click

from prov_worker.cli import renamed, terminal
from prov_worker.errors import CrateError


@click.command("plot", cls=renamed.RenamedOptions, renamed={"--kind": "--format"})
@click.argument("crates", nargs=-1, type=terminal.PATH, required=True, metavar="CRATE...")
@click.option(
    "--format", "kind", type=click.Choice(["png", "svg"]), default="png", show_default=True, help="png: by matplotlib."
)
def command(crates: tuple[str, ...], kind: str) -> int:
    """Add a plot to each CRATE, or to all crates in a directory, that has none.

    Exit code 1 where a crate cannot have one: it has no samples, or a run crate has sealed it; 2 where one cannot be
    read or written.
    """
    from prov_worker.crate.add_plot import add_plot
    from prov_worker.crate.reader import StepCrate

    found = terminal.crates_at(crates)
    refused = unreadable = 0
    with terminal.progress("plotting", len(found)) as advance:
        for crate in found:
            try:
                StepCrate.open(crate).series()
            except CrateError as error:
                unreadable += 1
                click.echo(f"prov-worker: {terminal.line(error)}", err=True)
                advance()
                continue
            try:
                click.echo(str(add_plot(crate, kind)))
            except CrateError as error:
                refused += 1
                click.echo(f"prov-worker: {terminal.line(error)}", err=True)
            except OSError as error:
                unreadable += 1
                click.echo(
                    f"prov-worker: {terminal.line(crate)}: cannot add a plot: {error.strerror or error}", err=True
                )
            advance()
    return 2 if unreadable else 1 if refused else 0
