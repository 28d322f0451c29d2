"""``prov-worker run report``: one HTML page about a run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import renamed, terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import selects
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.run.selection import Selection


@examples("prov-worker run report RUN.crate -o report.html")
@click.command("report", cls=renamed.RenamedOptions, renamed={"--force": "--overwrite"})
@click.argument("run", type=terminal.PATH, metavar="RUN")
@click.option(
    "-o",
    "--output",
    type=terminal.PATH,
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="The page to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that exists and is not such a page.")
@click.option("--title", help="Headline; the default is the run's name.")
@selects()
@click.option("--json", "as_json", is_flag=True, help="The figures of the summary, as JSON.")
def command(run: str, output: str, overwrite: bool, title: str | None, as_json: bool, selection: Selection) -> int:
    """Write one self-contained page about RUN: a run crate, or a directory of step crates.

    It needs no network and no server: open it in a browser, send it, print it. Crates that cannot be read are named,
    on the page too, and the exit code is 1. An earlier page is replaced;
    any other file only with --overwrite.
    """
    from prov_worker.files import refuse_overwrite
    from prov_worker.run.api import open_run
    from prov_worker.run.report.page import write_report
    from prov_worker.run.report.templates import OWN_MARK

    target = Path(output)
    refuse_overwrite(target, overwrite=overwrite, own=OWN_MARK)
    with terminal.progress("reading", None) as advance:
        data, summary = write_report(open_run(run, selection), target, title=title, advance=advance)
    for problem in data.problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if as_json:
        terminal.print_json({"report": str(target), "summary": asdict(summary), "problems": data.problems})
    else:
        failed = f", {summary.failed_tasks:,} failed" if summary.failed_tasks else ""
        tasks, attempts = plural(summary.tasks, "task"), plural(summary.attempts, "attempt")
        click.echo(f"{target}: {tasks} in {attempts}{failed}; {size(target.stat().st_size)}")
    return 1 if data.problems else 0
