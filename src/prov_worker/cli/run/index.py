"""``prov-worker run index``: read step crates once, into Parquet tables."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.humanize import plural


@examples("prov-worker run index crates")
@click.command("index")
@click.argument("directories", nargs=-1, type=terminal.PATH, required=True, metavar="DIR...")
@click.option(
    "-o", "--output", type=terminal.PATH, metavar="INDEX", help="Directory of the index; the default is DIR.index."
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that read.")
@click.option(
    "--parsl",
    "parsl_config",
    type=terminal.PATH,
    metavar="CONFIG",
    help="Read on Parsl's workers: a Python file that sets config.",
)
@click.option("--prune", is_flag=True, help="Take out the rows of crates that are gone.")
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def command(
    directories: tuple[str, ...], output: str | None, jobs: int, parsl_config: str | None, prune: bool, as_json: bool
) -> int:
    """Bring the index of the crates in each DIR up to date: only new and changed crates are read.

    The index holds tables tasks, arguments and files in Parquet, partitioned by day and endpoint. Crates that cannot
    be read are named, and the exit code is 1.
    """
    from prov_worker.run.index.build import index
    from prov_worker.run.index.mapping import map_processes, map_serial

    if parsl_config and jobs > 1:
        raise click.UsageError("--jobs and --parsl exclude each other.")
    with ExitStack() as stack:
        mapper = map_serial if jobs == 1 else map_processes(jobs)
        if parsl_config:
            from prov_worker.globus.parsl_map import over_parsl

            mapper = stack.enter_context(over_parsl(parsl_config))
        advance = stack.enter_context(terminal.progress("reading crates", None))
        previous = [0]

        def show(done: int, total: int) -> None:
            advance(done - previous[0], total=total)
            previous[0] = done

        target = Path(output) if output else None
        result = index(
            [Path(directory) for directory in directories], target, mapper=mapper, prune=prune, progress=show
        )
    for part in result.repaired:
        click.echo(f"prov-worker: {terminal.line(part)}: was gone or damaged; its crates were read again", err=True)
    for problem in result.problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if as_json:
        terminal.print_json(
            {
                "index": str(result.index),
                "read": result.read,
                "unchanged": result.unchanged,
                "removed": result.removed,
                "total": result.total,
                "duplicates": result.duplicates,
                "repaired": [str(path) for path in result.repaired],
                "problems": [{"where": problem.where, "message": problem.message} for problem in result.problems],
            }
        )
    elif not result.index.exists():
        click.echo("no step crate could be read; nothing was written")
    else:
        removed = f", {result.removed} taken out" if result.removed else ""
        attempts = plural(result.total, "attempt")
        click.echo(f"{result.index}: {attempts}; {result.read} read, {result.unchanged} known{removed}")
        if result.duplicates:
            copies = plural(result.duplicates, "crate is", "crates are")
            click.echo(f"{copies} there more than once, byte for byte, and counted once")
        if result.problems:
            click.echo(f"{plural(len(result.problems), 'problem')}, named above")
    return 1 if result.problems else 0
