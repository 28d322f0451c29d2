"""``prov-worker jobs cancel``: take jobs back."""

from __future__ import annotations

import click

from prov_worker.cli import terminal
from prov_worker.cli.jobs import common
from prov_worker.errors import InputError


@click.command("cancel")
@common.store_argument
@common.numbers_argument
@click.option("--all", "everything", is_flag=True, help="All jobs of the store.")
@common.json_option
def command(store: str, numbers: tuple[int, ...], everything: bool, as_json: bool) -> int:
    """Take back what of JOB... has not been sent; drop the results of what is with the endpoint.

    No task can be cancelled at an endpoint: what runs there runs to its end. Exit code 1 if a job could not be taken
    back.
    """
    if not numbers and not everything:
        raise InputError("name jobs, or --all")
    wanted = common.read(store).chosen(numbers)
    with common.opened(store, send=False) as session:
        rows = []
        for job in wanted:
            outcome = session[job.id].cancel()
            rows.append({"id": job.id, "cancelled": bool(outcome), "outcome": outcome.value})
        session.close(wait=False)
    if as_json:
        terminal.print_json(rows)
    else:
        for row in rows:
            click.echo(f"job {row['id']}: {row['outcome']}")
    return 0 if all(row["cancelled"] for row in rows) else 1
