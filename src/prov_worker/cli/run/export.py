"""``prov-worker run export``: hand a run on to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import selects
from prov_worker.humanize import size
from prov_worker.run.export import EXPORTERS

if TYPE_CHECKING:
    from prov_worker.run.selection import Selection


def _table() -> str:
    width = max(len(name) for name in EXPORTERS.names())
    return "\b\nFormats:\n" + "\n".join(f"  {name:<{width}}  {target.summary}" for name, target in EXPORTERS.items())


@examples(
    "prov-worker run export RUN.crate --format prov-json -o prov.json",
    "prov-worker run export RUN.crate --format parquet -o tables",
)
@click.command(
    "export", cls=renamed.RenamedOptions, renamed={"--to": "--format", "--force": "--overwrite"}, epilog=_table()
)
@click.argument("run", type=terminal.PATH, metavar="RUN")
@click.option(
    "--format",
    "format_name",
    required=True,
    type=click.Choice(EXPORTERS.names()),
    metavar="FORMAT",
    help="Format of the file, see below.",
)
@click.option(
    "-o",
    "--output",
    type=terminal.PATH,
    metavar="FILE",
    help="File to write; the default is RUN with the format's suffix.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--raw", is_flag=True, help="CSV for programs: text as it is, also if a spreadsheet would run it.")
@selects()
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def command(
    run: str,
    format_name: str,
    output: str | None,
    overwrite: bool,
    raw: bool,
    as_json: bool,
    selection: Selection,
) -> int:
    """Write RUN (a run crate, or a directory of step crates) in another form.

    Crates that cannot be read are named, and the exit code is 1. A file
    that exists is replaced only with --overwrite.
    """
    from prov_worker.files import refuse_overwrite
    from prov_worker.run.api import open_run

    target_format = EXPORTERS[format_name]
    if raw and not target_format.raw:
        raise click.UsageError("--raw goes with --format csv")
    more: dict[str, Any] = {"raw": raw} if target_format.raw else {}
    opened = open_run(run, selection)
    target = Path(output) if output else Path(f"{Path(run).absolute().name}.{target_format.suffix}")
    refuse_overwrite(target, overwrite=overwrite)
    with terminal.progress("exporting", None) as advance:
        count = target_format.write(opened, target, advance=advance, **more)
    for problem in opened.problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if as_json:
        problems = [{"where": problem.where, "message": problem.message} for problem in opened.problems]
        terminal.print_json(
            {"file": str(target), "format": format_name, target_format.counts: count, "problems": problems}
        )
    else:
        click.echo(f"{target}: {count:,} {target_format.counts}; {size(target.stat().st_size)}")
    return 1 if opened.problems else 0
