"""``prov-worker run query``: ask an index."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker import printable
from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import DURATION, SIZE, WHERE, filter_options, tasks_of
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.run.index.query import Answer
    from prov_worker.run.selection import Filters
    from prov_worker.stream.live import LiveAnswer, LiveFilters

_TABLE_ROWS = 50


@examples(
    "prov-worker run query crates --status failed --error memory",
    "prov-worker run query crates --min-duration 10m --sort -peak_rss_bytes --limit 5",
    'prov-worker run query crates --sql "SELECT function, count(*), sum(cpu_s) FROM tasks GROUP BY 1"',
    "prov-worker run query --live sqlite:live.sqlite --running",
)
@click.command("query")
@click.argument("index", type=terminal.PATH, metavar="INDEX", required=False)
@click.option("--live", metavar="URL", help="Ask the database of a stream instead: sqlite:PATH or postgresql://…")
@click.option("--running", is_flag=True, help="With --live: attempts that run.")
@filter_options()
@WHERE
@click.option("--min-duration", type=DURATION, metavar="TIME", help="Ran at least so long: 90, 250ms, 1.5m, 2h.")
@click.option("--max-duration", type=DURATION, metavar="TIME", help="Ran at most so long.")
@click.option("--min-cpu", type=DURATION, metavar="TIME", help="Used at least so much CPU time.")
@click.option("--max-cpu", type=DURATION, metavar="TIME", help="Used at most so much CPU time.")
@click.option("--min-rss", type=SIZE, metavar="SIZE", help="Peak memory of at least: 500MB, 1.5GiB, 2G.")
@click.option("--max-rss", type=SIZE, metavar="SIZE", help="Peak memory of at most.")
@click.option("--min-gpu", type=float, metavar="PERCENT", help="A GPU was used at least so much.")
@click.option("--max-gpu", type=float, metavar="PERCENT", help="No GPU was used more.")
@click.option("--gpu/--gpu-idle", default=None, help="Used a GPU / had one and used none.")
@click.option("--columns", metavar="NAMES", help="Columns to show, separated by commas; 'all' for all.")
@click.option(
    "--sort",
    multiple=True,
    metavar="COLUMN",
    help="Sort by these columns, separated by commas; -COLUMN for descending.",
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help=f"At most N rows; a table shows {_TABLE_ROWS}.")
@click.option(
    "--sql", metavar="QUERY", help="One SELECT in DuckDB's SQL over tasks, arguments and files, in place of filters."
)
@click.option("--json", "as_json", is_flag=True, help="Rows, as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Rows, as CSV; text that a spreadsheet would run is quoted.")
@click.option("--raw", is_flag=True, help="With --csv, for programs: text as it is.")
def command(
    index: str | None,
    live: str | None,
    running: bool,
    columns: str | None,
    sort: tuple[str, ...],
    limit: int | None,
    raw: bool,
    where: str | None,
    **options: Any,
) -> int:
    """Ask the index at INDEX, or the one of the run or directory INDEX, for attempts."""
    from prov_worker.run.index.query import DEFAULT_COLUMNS, Index
    from prov_worker.run.selection import Filters
    from prov_worker.stream.live import DEFAULT_COLUMNS as LIVE_COLUMNS
    from prov_worker.stream.live import LiveDatabase

    sql, as_json, as_csv = options.pop("sql"), options.pop("as_json"), options.pop("as_csv")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    if raw and not as_csv:
        raise click.UsageError("--raw goes with --csv.")
    filters = Filters(
        **{name: options[name] for name in ("status", "function", "host", "endpoint", "task", "user", "run_name")},
        **{name: options[name] for name in ("since", "until", "gpu", "error", "latest")},
        tasks=tasks_of(options["group"]),
        min_wall_s=options["min_duration"],
        max_wall_s=options["max_duration"],
        min_cpu_s=options["min_cpu"],
        max_cpu_s=options["max_cpu"],
        min_rss_bytes=options["min_rss"],
        max_rss_bytes=options["max_rss"],
        min_gpu_percent=options["min_gpu"],
        max_gpu_percent=options["max_gpu"],
    )
    if (index is None) == (live is None):
        raise click.UsageError("Name an INDEX, or a URL by --live.")
    if running and (live is None or filters.status is not None):
        raise click.UsageError("--running goes with --live, and without --status.")
    if where is not None and live is not None:
        raise click.UsageError("--where does not go with --live: ask by --sql.")
    if sql is not None and (
        filters != Filters() or where is not None or columns or sort or running or limit is not None
    ):
        raise click.UsageError("--sql stands alone: say it all in the query.")
    plain = as_json or as_csv
    names = [name.strip() for name in (columns or "").split(",") if name.strip()]
    if names == ["all"] or (plain and not names):
        names = []
    elif not names:
        names = list(DEFAULT_COLUMNS) if live is None else []
    most = limit if limit is not None or plain else _TABLE_ROWS + 1
    order = [name.strip() for keys in sort for name in keys.split(",") if name.strip()]
    with contextlib.ExitStack() as stack:
        answer: Answer | LiveAnswer
        if live is not None:
            database = stack.enter_context(LiveDatabase(live))
            shown_names = names or ([] if plain or columns else LIVE_COLUMNS)
            wanted = _live_filters(filters, running=running)
            answer = database.sql(sql) if sql is not None else database.ask(wanted, shown_names, order, most)
        else:
            opened = stack.enter_context(Index(Path(str(index))))
            answer = opened.sql(sql) if sql is not None else opened.ask(filters, names, order, most, where)
        if as_json:
            terminal.print_json([dict(zip(answer.columns, map(_plain, row), strict=True)) for row in answer.rows])
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            shown: Callable[[Any], Any] = (lambda value: value) if raw else printable.cell
            writer.writerow(map(shown, answer.columns))
            writer.writerows(["" if cell is None else shown(_plain(cell)) for cell in row] for row in answer.rows)
        else:
            _print(answer, None if limit is not None else _TABLE_ROWS)
    return 0


def _live_filters(filters: Filters, *, running: bool) -> LiveFilters:
    """Return what is asked of a live database.

    Raises:
        UsageError: by something that it does not have.
    """
    from prov_worker.stream.live import LiveFilters

    absent = {
        "--user": filters.user, "--run-name": filters.run_name, "--min-gpu": filters.min_gpu_percent is not None,
        "--max-gpu": filters.max_gpu_percent is not None, "--gpu": filters.gpu is not None, "--latest": filters.latest,
    }  # fmt: skip
    for name, is_given in absent.items():
        if is_given:
            raise click.UsageError(f"{name} does not go with --live: only crates say it.")
    return LiveFilters(
        status="running" if running else filters.status,
        names=(
            (("function",), filters.function),
            (("host",), filters.host),
            (("endpoint_id", "endpoint_name"), filters.endpoint),
            (("task_id",), [text if set(text) & {"*", "?"} else f"{text}*" for text in filters.task]),
        ),
        bounds={
            "wall_s": (filters.min_wall_s, filters.max_wall_s),
            "cpu_s": (filters.min_cpu_s, filters.max_cpu_s),
            "peak_rss_bytes": (filters.min_rss_bytes, filters.max_rss_bytes),
        },
        since=filters.since,
        until=filters.until,
        error=filters.error,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is not None else f"{value.isoformat()}+00:00"
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _print(answer: Answer | LiveAnswer, most: int | None) -> None:
    rows = list(islice(answer.rows, None if most is None else most + 1))
    if not rows:
        click.echo("no row")
        return
    shown = rows[:most]
    cells = ([_cell(name, value) for name, value in zip(answer.columns, row, strict=True)] for row in shown)
    terminal.table(answer.columns, cells, wrap=("error", "notes"), frame=False)
    if len(rows) > len(shown):
        click.echo(f"{plural(len(shown), 'row')} shown, there are more: --limit N")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if name.endswith("_bytes") and isinstance(value, (int, float)):
        return size(value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)
