"""``prov-worker prune``: remove crates that are no longer needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import selects
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.run.selection import Selection


@examples(
    "prov-worker prune crates --older-than 30d",
    "prov-worker prune crates --older-than 30d --archive old.zip --yes",
)
@click.command("prune")
@click.argument("directory", type=terminal.PATH)
@click.option("--older-than", required=True, metavar="AGE", help="Tasks that ended longer ago: 12h, 30d, 2w.")
@selects()
@click.option(
    "--sealed-in",
    multiple=True,
    type=terminal.PATH,
    metavar="RUN",
    help="A run crate; tasks that are sealed in it may go. May be given several times.",
)
@click.option("--unsealed", is_flag=True, help="Tasks that are sealed nowhere may go too.")
@click.option("--archive", type=terminal.PATH, metavar="FILE", help="Copy the crates into this pack before they go.")
@click.option("--yes", is_flag=True, help="Do it.  [default: show what would go]")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def command(
    directory: str,
    older_than: str,
    sealed_in: tuple[str, ...],
    unsealed: bool,
    archive: str | None,
    yes: bool,
    as_json: bool,
    selection: Selection,
) -> int:
    """Remove old crates from DIRECTORY, and old journals of finished tasks; show what would go unless --yes is given.

    A crate goes if it is sealed in a run crate, is archived, or with --unsealed. What is being written stays.
    Exit code 1 if something cannot be read or removed.
    """
    from prov_worker.run.prune import Options, parse_age, plan, prune

    options = Options(
        parse_age(older_than),
        accepts=None if selection.is_all else selection.takes,
        sealed_in=[Path(run) for run in sealed_in],
        unsealed=unsealed,
        archive=None if archive is None else Path(archive),
    )
    path = Path(directory)
    with terminal.counted("looking at crates") as show:
        chosen = plan(path, options, show)
    problems = list(chosen.problems)
    if yes:
        with terminal.counted("removing crates") as show:
            problems += prune(path, chosen, options, show)
    if as_json:
        terminal.print_json(
            {
                "done": yes,
                "crates": [source.where for source in chosen.crates],
                "journals": [str(journal) for journal in chosen.journals],
                "free_bytes": chosen.free_bytes,
                "free_inodes": chosen.free_inodes,
                "kept_unsealed": chosen.kept_unsealed,
                "growing": [str(pack) for pack in chosen.growing],
                "problems": [{"where": problem.where, "message": problem.message} for problem in problems],
            }
        )
    else:
        verb = "removed" if yes else "would go"
        journals = f" and {plural(len(chosen.journals), 'finished journal')}" if chosen.journals else ""
        space = f"{size(chosen.free_bytes)} in {plural(chosen.free_inodes, 'inode')}"
        click.echo(f"{plural(len(chosen.crates), 'crate')}{journals} {verb}: {space}")
        if chosen.kept_unsealed:
            kept = plural(chosen.kept_unsealed, "crate")
            click.echo(f"{kept} kept: sealed nowhere (--sealed-in, --archive, --unsealed)")
        for pack in chosen.growing:
            click.echo(f"kept, it is being written: {pack}")
        if not yes and (chosen.crates or chosen.journals):
            click.echo("nothing was changed; do it with --yes")
    for problem in problems:
        terminal.complain(f"{problem.where}: {problem.message}")
    return 1 if problems else 0
