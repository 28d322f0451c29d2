"""``prov-worker jobs map``: one call per row of a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common
from prov_worker.errors import InputError
from prov_worker.humanize import plural


@examples("prov-worker jobs map fit.py:fit items.csv --key sample --site polaris --store fits.jsonl")
@click.command("map")
@click.argument("place", metavar="FILE:FUNCTION")
@click.argument("items", type=terminal.PATH, metavar="ITEMS.csv")
@click.option("--key", metavar="COLUMN", help="Column that names a row.  [default: the row's values do]")
@click.option("--name", metavar="TEXT", help="Name of the batch.  [default: the function's]")
@click.option("--unknown", is_flag=True, help="Also send those again of which nobody knows whether their task exists.")
@common.submission_options
def command(
    place: str,
    items: str,
    key: str | None,
    name: str | None,
    unknown: bool,
    submission: common.Submission,
    as_json: bool,
) -> int:
    """Call FUNCTION of the Python file FILE with each row of a table, its columns as named arguments.

    Values are read as JSON, what is not JSON is text. Run again with the same store, it calls only what has no value
    yet; rows of other values are other calls. Exit code 1 if a row has no value.
    """
    from prov_worker.jobs import Call

    function = common.function_of(place)
    rows = _rows(Path(items))
    if key is not None and key not in rows[0]:
        raise InputError(f"{items}: {key}: no such column")
    calls = [Call(**{column: common.value(text) for column, text in row.items()}) for row in rows]
    options: dict[str, Any] = {
        "name": name,
        "ranks": submission.ranks,
        "nodes": submission.nodes,
        "fail": "never",
        "unknown": unknown,
    }
    if key is not None:
        names = {id(call): row[key] for call, row in zip(calls, rows, strict=True)}
        options["key"] = lambda call: names[id(call)]
    with submission.opened() as session:
        batch = session.batch(function, calls, **options)
        common.finish(session, batch.jobs, batch.name)
        return common.report(batch.jobs, as_json=as_json, keys=key is not None)


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table with a head; each has a value in each column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            rows = list(reader)
            heads = reader.fieldnames or []
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a table: {error}") from None
    if not rows:
        raise InputError(f"{path}: has no rows below its head")
    for head in heads:
        if not head.isidentifier() or heads.count(head) > 1:
            raise InputError(
                f"{path}: {head!r}: the head of a column is the name of an argument, and stands there once"
            )
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise InputError(f"{path}: row {number}: has not {plural(len(heads), 'value')}")
    return rows
