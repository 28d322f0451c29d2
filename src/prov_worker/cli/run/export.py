"""``prov-worker run export``: hand a run on to other programs."""

from __future__ import annotations

from pathlib import Path

import click

from prov_worker.cli import terminal

#: Format and suffix of the file that is written where none is named.
SUFFIXES = {
    "prov-json": "prov.json",
    "prov-n": "provn",
    "turtle": "ttl",
    "prov-svg": "prov.svg",
    "flowcept": "flowcept.jsonl",
    "csv": "series.csv",
    "parquet": "series.parquet",
}


@click.command("export")
@click.argument("run", type=terminal.PATH, metavar="RUN")
@click.option("--to", required=True, type=click.Choice(list(SUFFIXES)), help="Format.")
@click.option(
    "-o",
    "--output",
    type=terminal.PATH,
    metavar="FILE",
    help="File to write; the default is RUN with the format's suffix.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--task", "tasks", multiple=True, metavar="ID", help="Only these tasks; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Summary, as JSON.")
def command(run: str, to: str, output: str | None, force: bool, tasks: tuple[str, ...], as_json: bool) -> int:
    """Write RUN (a run crate, or a directory of step crates) in another form.

    prov-json, prov-n, turtle and prov-svg are W3C PROV; flowcept is a buffer file that FlowCept reads; csv and parquet
    hold the samples of all series. Crates that cannot be read are named, and the exit code is 1. A file that is there
    is replaced only with --force.
    """
    from prov_worker.files import refuse_overwrite
    from prov_worker.run.api import open_run

    opened = open_run(run)
    target = Path(output) if output else Path(f"{Path(run).absolute().name}.{SUFFIXES[to]}")
    refuse_overwrite(target, force=force)
    wanted = set(tasks) or None
    with terminal.progress("exporting", None) as advance:
        if to in ("csv", "parquet"):
            from prov_worker.run.export.samples import write_series

            count, what = write_series(opened, target, to, wanted, advance), "samples"
        elif to == "flowcept":
            from prov_worker.run.export.flowcept import write_flowcept

            count, what = write_flowcept(opened, target, wanted, advance), "records"
        else:
            from prov_worker.run.export.prov import export

            count, what = export(opened, to, target, wanted, advance), "records"
    for problem in opened.problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if as_json:
        problems = [{"where": one.where, "message": one.message} for one in opened.problems]
        terminal.print_json({"file": str(target), "format": to, what: count, "problems": problems})
    else:
        click.echo(f"{target}: {count:,} {what}; {terminal.size(target.stat().st_size)}")
    return 1 if opened.problems else 0
