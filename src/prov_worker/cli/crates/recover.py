"""``prov-worker recover``: finish what a crash left open."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import InputError


@examples("prov-worker recover /scratch/me/crates")
@click.command("recover", cls=renamed.RenamedOptions, renamed={"--force": "--take-over"})
@click.argument("directory", type=terminal.PATH)
@click.option(
    "--take-over",
    is_flag=True,
    help="Also records whose worker may still live on another node or in another container.",
)
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def command(directory: str, take_over: bool, as_json: bool) -> int:
    """Finish the crates of tasks in DIRECTORY whose worker, agent or node is gone.

    Running it twice does no harm. Exit code 1 if a record or a pack cannot be read.
    """
    from prov_worker.agent.recover import recover
    from prov_worker.humanize import plural
    from prov_worker.spool.paths import spool_dir

    crate_dir = Path(directory)
    if crate_dir.exists() and not crate_dir.is_dir():
        raise InputError(f"{crate_dir}: is a file; expected a directory with crates")
    for path in (crate_dir, Path(spool_dir(str(crate_dir)))):
        if path.exists():
            terminal.need_rights(path, write=True)
    with terminal.counted("finishing crates") as show:
        report = recover(crate_dir, take_over=take_over, progress=show)
    if as_json:
        terminal.print_json(dataclasses.asdict(report))
    else:
        whole = f"{plural(len(report.packs), 'pack')} with {plural(report.packed_crates, 'crate')}"
        repaired = f", repaired {whole}" if report.packs else ""
        click.echo(f"{crate_dir}: finished {plural(report.finished, 'crate')}{repaired}")
        for line in report.removed:
            click.echo(f"removed, a killed writer had not finished it: {line}")
        for line in report.packs:
            click.echo(f"repaired, it was left open or cut: {line}")
        for line in report.skipped:
            click.echo(f"skipped: {line}")
        for line in report.problems:
            click.echo(f"problem: {line}", err=True)
    return 1 if report.problems else 0
