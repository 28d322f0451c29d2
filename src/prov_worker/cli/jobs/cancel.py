"""``prov-worker jobs cancel``: take jobs back."""

from __future__ import annotations

from typing import Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common
from prov_worker.errors import InputError


@examples("prov-worker jobs cancel jobs.jsonl 3", "prov-worker jobs cancel --all jobs.jsonl")
@click.command("cancel")
@common.store_argument
@common.numbers_argument
@click.option("--all", "everything", is_flag=True, help="All jobs of the store.")
@common.json_option
def command(store: str, numbers: tuple[int, ...], everything: bool, as_json: bool) -> int:
    """Take back what of JOB... has not been sent; have the rest ended at the endpoint, and drop its results.

    Only prov-worker's own engines end a task; elsewhere it runs to its end. Exit code 1 if a job is not cancelled for
    certain after 10 s.
    """
    if not numbers and not everything:
        raise InputError("name jobs, or --all")
    wanted = common.read(store).chosen(numbers)
    with common.opened(store, send=False) as session:
        outcomes = session.cancel_all(session[job.id] for job in wanted)
        rows: list[dict[str, Any]] = [
            {"id": job.id, "cancelled": bool(outcome), "outcome": outcome.value}
            for job, outcome in zip(wanted, outcomes, strict=True)
        ]
        session.close(wait=False)
    if as_json:
        terminal.print_json(rows)
    else:
        for row in rows:
            click.echo(f"job {row['id']}: {row['outcome']}")
    return 0 if all(row["cancelled"] for row in rows) else 1
