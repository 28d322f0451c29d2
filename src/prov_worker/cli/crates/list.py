"""``prov-worker list``: many crates in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from prov_worker import humanize
from prov_worker.cli import terminal
from prov_worker.errors import CrateError


@click.command("list")
@click.argument("crates", nargs=-1, type=terminal.PATH, required=True, metavar="CRATE...")
@click.option("--json", "as_json", is_flag=True, help="The table, as JSON.")
def command(crates: tuple[str, ...], as_json: bool) -> int:
    """List each CRATE, or all crates in a directory, in a table: one row a task, in the order of their starts.

    Exit code 1 where a crate cannot be read; the others are listed.
    """
    rows, damaged = [], 0
    for path in terminal.crates_at(crates):
        try:
            rows.append(_row(path))
        except CrateError as error:
            damaged += 1
            click.echo(f"prov-worker: {terminal.line(error)}", err=True)
    # Times of one form: as text they sort as they do as times. A task without a start comes last.
    rows.sort(key=lambda row: (row["started"] is None, row["started"]))
    if as_json:
        terminal.print_json(rows)
    else:
        _print_table(rows)
    return 1 if damaged else 0


def _row(path: Path) -> dict[str, Any]:
    from prov_worker.cli.crates.summary import summarise
    from prov_worker.crate.reader import StepCrate

    crate = StepCrate.open(path)
    return {
        "function": crate.function_name,
        "task_id": crate.task_id,
        "started": None if crate.start is None else crate.start.isoformat(timespec="milliseconds"),
        "host": crate.host,
        **summarise(crate),
        "crate": str(path),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("started", "function", "task", "status", "wall time", "samples", "CPU %", "peak RSS", "reason")
    for column in table.columns[4:8]:
        column.justify = "right"
    for row in rows:
        colour = {"completed": "green", "failed": "red"}.get(row["status"], "yellow")
        busy = row["cpu_percent"]
        table.add_row(
            "–" if row["started"] is None else row["started"][:19].replace("T", " "),
            terminal.plain(row["function"]),
            terminal.plain(row["task_id"][:8]),
            terminal.styled((row["status"], colour)),
            humanize.duration(row["seconds"]),
            str(row["samples"]),
            "–" if busy is None else f"{busy:.0f}",
            humanize.size(row["peak_rss_bytes"]),
            terminal.plain(row["reason"] or ""),
        )
    out = terminal.console()
    out.print(table)
    out.print(f"{len(rows)} crates" if len(rows) != 1 else "1 crate")
