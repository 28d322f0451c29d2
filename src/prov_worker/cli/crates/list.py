"""``prov-worker list``: many crates in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli import terminal
from prov_worker.errors import CrateError
from prov_worker.humanize import duration, plural, size

if TYPE_CHECKING:
    from rich.text import Text


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
    heads = ("started", "function", "task", "status", "wall time", "samples", "CPU %", "peak RSS", "reason")
    terminal.table(heads, map(_cells, rows), right=heads[4:8])
    click.echo(plural(len(rows), "crate"))


def _cells(row: dict[str, Any]) -> tuple[str | Text, ...]:
    busy = row["cpu_percent"]
    return (
        "–" if row["started"] is None else row["started"][:19].replace("T", " "),
        row["function"],
        row["task_id"][:8],
        terminal.status(row["status"]),
        duration(row["seconds"]),
        str(row["samples"]),
        "–" if busy is None else f"{busy:.0f}",
        size(row["peak_rss_bytes"]),
        row["reason"] or "",
    )
