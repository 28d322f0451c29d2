"""``prov-worker jobs retry``: jobs without a value, again."""

from __future__ import annotations

import click

from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common


@examples("prov-worker jobs retry jobs.jsonl")
@click.command("retry")
@common.store_argument
@common.numbers_argument
@click.option("--unknown", is_flag=True, help="Also those of which nobody knows whether their task exists.")
@common.json_option
def command(store: str, numbers: tuple[int, ...], unknown: bool, as_json: bool) -> int:
    """Send jobs of STORE again that have no value, or those of JOB..., and print their values.

    Exit code 1 if one has none again.
    """
    wanted = common.read(store).chosen(numbers)
    session = common.opened(store)
    try:
        again = session.retry([session[job.id] for job in wanted], unknown=unknown)
        return common.report(common.finish(session, again, "again"), as_json=as_json)
    finally:
        session.close(wait=False)
