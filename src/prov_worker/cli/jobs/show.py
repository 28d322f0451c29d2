"""``prov-worker jobs show``: jobs with all their attempts."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common
from prov_worker.humanize import duration


@examples("prov-worker jobs show --crates crates jobs.jsonl 3")
@click.command("show")
@common.store_argument
@common.numbers_argument
@common.crates_option
@common.json_option
def command(store: str, numbers: tuple[int, ...], crates: str | None, as_json: bool) -> int:
    """Show the jobs of STORE, or JOB..., with each attempt: its task, how it ended, and why."""
    ledger = common.read(store, crates)
    jobs = ledger.chosen(numbers)
    if as_json:
        terminal.print_json([job.to_json() for job in jobs])
        return 0
    click.echo(f"endpoint {ledger.head['endpoint']}, task group {ledger.head['group']}")
    for job in jobs:
        row = job.to_json()
        item = f", item {job.key} of {job.batch}" if job.batch else ""
        click.echo(terminal.line(f"job {job.id} ({job.name}){item}: {job.state}, submitted {row['submitted']}"))
        if job.cancel_wanted and not job.ended:
            click.echo("  cancelled while it was with the endpoint: its result will be dropped")
        for attempt in job.attempts:
            took = "" if attempt.run_s is None else f", ran {duration(attempt.run_s)}"
            task = attempt.task_id or "no task is known"
            click.echo(f"  attempt {attempt.number}: {attempt.state}, task {task}{took}")
            if attempt.error:
                click.echo(terminal.plain("    " + attempt.error.strip().replace("\n", "\n    ")))
        if row["crate"]:
            click.echo(f"  crate: {terminal.plain(terminal.near(row['crate']))}")
    return 0
