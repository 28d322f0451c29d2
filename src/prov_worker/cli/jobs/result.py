"""``prov-worker jobs result``: values of jobs."""

from __future__ import annotations

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common


@examples("prov-worker jobs result jobs.jsonl", "prov-worker jobs result --json jobs.jsonl 3")
@click.command("result")
@common.store_argument
@common.numbers_argument
@common.json_option
@common.crates_option
def command(store: str, numbers: tuple[int, ...], as_json: bool, crates: str | None) -> int:
    """Wait for the jobs of STORE, or JOB..., and print their values.

    What waits to be sent is sent. With --crates, jobs of which nobody knows which task they are, are matched by
    what the crates of these tasks say of their arguments. Exit code 1 if a job has no value.
    """
    from prov_worker.jobs import State

    ledger = common.read(store)
    asks = crates is not None and any(job.state is State.UNKNOWN for job in ledger.chosen(numbers))
    if not asks and all(job.ended for job in ledger.chosen(numbers)):  # nothing has to be asked
        return common.report(ledger.chosen(numbers), as_json=as_json)
    session = common.opened(store, crates=crates)
    try:
        chosen = [session[job.id] for job in ledger.chosen(numbers)]
        return common.report(common.finish(session, chosen, "results"), as_json=as_json)
    finally:
        session.close(wait=False)
