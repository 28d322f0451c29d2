"""``prov-worker plot``: add a plot to crates that were published without one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import CrateError, InputError, blaming
from prov_worker.files import atomic_write, refuse_overwrite

if TYPE_CHECKING:
    from prov_worker.crate.reader import StepCrate


@examples("prov-worker plot --format svg --output plots crates")
@click.command("plot", cls=renamed.RenamedOptions, renamed={"--kind": "--format"})
@click.argument("crates", nargs=-1, type=terminal.PATH, required=True, metavar="CRATE...")
@click.option(
    "--format", "kind", type=click.Choice(["png", "svg"]), default="png", show_default=True, help="png: by matplotlib."
)
@click.option(
    "-o",
    "--output",
    type=terminal.PATH,
    metavar="DIR",
    help="Write the plots there, named by their crates, and change no crate.",
)
@click.option("--overwrite", is_flag=True, help="Replace plots in DIR that are there.")
def command(crates: tuple[str, ...], kind: str, output: str | None, overwrite: bool) -> int:
    """Add a plot to each CRATE, or to all crates in a directory, that has none.

    Crates in zip files, and those that a run crate has sealed, are not changed: with --output their plots are written
    beside them.

    Exit code 1 if a crate cannot have a plot: it has no samples, or it cannot be changed; 2 if one cannot be read or
    written.
    """
    from prov_worker.crate.reader import StepCrate
    from prov_worker.crate.sources import each_source

    directory = None if output is None else Path(output)
    if directory is not None and not directory.is_dir():
        raise InputError(f"{directory}: no such directory")
    counts = Counter[str]()

    def refuse(where: str, error: object) -> None:
        counts["unreadable"] += 1
        terminal.complain(error)

    candidates = terminal.candidates_at(crates)
    with terminal.progress("plotting", len(candidates)) as advance:
        for candidate in candidates:
            for source in each_source(candidate, refuse, lenient=True):
                try:
                    step = StepCrate.open(source)
                    step.series()
                except CrateError as error:
                    refuse(source.where, error)
                    continue
                try:
                    with blaming(source.where):
                        plot = _plot(step, kind, directory, overwrite)
                    click.echo(str(plot))
                except (CrateError, InputError) as error:
                    counts["refused"] += 1
                    terminal.complain(error)
                except OSError as error:
                    refuse(source.where, f"{source.where}: cannot add a plot: {error.strerror or error}")
            advance()
    return 2 if counts["unreadable"] else 1 if counts["refused"] else 0


def _plot(step: StepCrate, kind: str, directory: Path | None, overwrite: bool) -> Path:
    """Add a plot to a crate, or write it into a directory; return its path."""
    from prov_worker.crate.add_plot import add_plot, draw

    if directory is None:
        return add_plot(step.source, kind)
    target = directory / f"{step.source.key}.{kind}"
    refuse_overwrite(target, overwrite=overwrite)
    with atomic_write(target) as path:
        path.write_bytes(draw(step, kind))
    return target
