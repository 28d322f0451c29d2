"""``prov-worker flow record``."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples


@examples(
    "prov-worker flow record 1f0d2c3b-8d0e-4a55-9f0e-6a7b8c9d0e1f -o record",
    "prov-worker run assemble crates --workflow record -o RUN.crate",
)
@click.command("record")
@click.argument("run", metavar="RUN")
@click.option("-o", "--output", type=terminal.PATH, required=True, metavar="DIR", help="Directory of the record.")
@click.option("--json", "as_json", is_flag=True, help="The files, as JSON.")
def command(run: str, output: str, as_json: bool) -> int:
    """Write log, definition, schema and input of a run into DIR: the service forgets them after 90 days.

    `run assemble --workflow DIR` puts them into the run crate, and knows each task's step by them.
    """
    from prov_worker.flow import record

    written = record(run, output)
    if as_json:
        terminal.print_json({"run": run, "files": [str(path) for path in written.values()]})
    else:
        click.echo(f"{output}: {', '.join(written)} of run {run}")
    return 0
