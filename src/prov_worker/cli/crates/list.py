"""``prov-worker list``: many crates in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import selects
from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import utc
from prov_worker.errors import CrateError, blaming
from prov_worker.humanize import duration, plural, size

if TYPE_CHECKING:
    from rich.text import Text

    from prov_worker.crate.summary import RunStep
    from prov_worker.run.selection import Selection


@examples(
    "prov-worker list crates --run-name scan-7 --status failed",
    'prov-worker list crates --since 2026-11-20 --where "peak_rss_bytes > 2e9"',
)
@click.command("list")
@click.argument("crates", nargs=-1, type=terminal.PATH, required=True, metavar="CRATE...")
@selects()
@click.option("--diagnoses", is_flag=True, help="Also the tasks of `prov-worker diagnose`.")
@click.option("--json", "as_json", is_flag=True, help="The table, as JSON.")
def command(crates: tuple[str, ...], diagnoses: bool, as_json: bool, selection: Selection) -> int:
    """List each CRATE, or all crates in a directory or a zip file, in a table: one row per attempt, by start.

    Tasks of `prov-worker diagnose` are left out and counted, unless their run is named or --diagnoses is given. Exit
    code 1 if a crate cannot be read; the others are listed.
    """
    from prov_worker.crate.sources.comparison import distinct_sources
    from prov_worker.crate.summary_reader import open_step

    rows: list[dict[str, Any]] = []
    damaged = left_out = 0
    diagnoses = diagnoses or selection.names_run(v.DIAGNOSIS_RUN)

    def refuse(where: str, error: CrateError) -> None:
        nonlocal damaged
        damaged += 1
        terminal.complain(error)

    for source in distinct_sources(terminal.candidates_at(crates), refuse):
        try:
            with blaming(source.where):
                step = open_step(source, strict=False)[0]
                if not selection.takes(step):
                    continue
                if diagnoses or step.annotations.get(v.RUN_ANNOTATION) != v.DIAGNOSIS_RUN:
                    rows.append(_row(step))
                else:
                    left_out += 1
        except CrateError as error:
            refuse(source.where, error)
    # Times of one form: as text they sort as they do as times. A task without a start comes last.
    rows.sort(key=lambda row: (row["started"] is None, row["started"]))
    if as_json:
        terminal.print_json(rows)
    else:
        _print_table(rows, left_out)
    return 1 if damaged else 0


def _row(step: RunStep) -> dict[str, Any]:
    return {
        "function": step.function,
        "task_id": step.task_id,
        "started": None if step.start_ns is None else utc(step.start_ns),
        "host": step.host,
        **step.figures(),
        "crate": step.crate,
    }


#: What a narrow terminal does without, these first; `show` and --json have all.
_SPARE = ("samples", "CPU %", "peak RSS", "wall time")


def _print_table(rows: list[dict[str, Any]], left_out: int) -> None:
    heads = ("started", "function", "task", "status", "wall time", "samples", "CPU %", "peak RSS", "reason")
    if rows:
        terminal.table(heads, map(_cells, rows), right=heads[4:8], wrap=("function", "reason"), spare=_SPARE)
    note = f"; {left_out} of `prov-worker diagnose` left out (--diagnoses)" if left_out else ""
    click.echo(plural(len(rows), "crate") + note)


def _cells(row: dict[str, Any]) -> tuple[str | Text, ...]:
    busy = row["cpu_percent"]
    return (
        "–" if row["started"] is None else row["started"][:19].replace("T", " "),
        row["function"],
        row["task_id"][:8],
        terminal.status(row["status"]),
        duration(row["seconds"]),
        "–" if row["samples"] is None else str(row["samples"]),
        "–" if busy is None else f"{busy:.0f}",
        size(row["peak_rss_bytes"]),
        terminal.one_line(row["reason"] or ""),
    )
