"""``prov-worker jobs list``: one row per job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.jobs import common

if TYPE_CHECKING:
    from prov_worker.jobs import Ledger


class StateName(click.ParamType):
    """A state of jobs, which the shell completes."""

    name = "state"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return states that begin so."""
        from prov_worker.jobs import State

        return [CompletionItem(str(state)) for state in State if str(state).startswith(incomplete)]


@examples("prov-worker jobs list fits.jsonl --state failed")
@click.command("list")
@click.argument("store", type=terminal.PATH, metavar="[STORE]", default="jobs.jsonl")
@click.option(
    "--state",
    "states",
    type=StateName(),
    multiple=True,
    metavar="STATE",
    help="Only jobs in this state; may be repeated.",
)
@click.option("--look", is_flag=True, help="Ask the endpoint which jobs run; no program may have the store open.")
@common.crates_option
@common.json_option
def command(store: str, states: tuple[str, ...], look: bool, crates: str | None, as_json: bool) -> int:
    """List the jobs of STORE, or of jobs.jsonl; a program may have it open."""
    from prov_worker.errors import InputError
    from prov_worker.jobs import State

    for state in states:
        if state not in [str(each) for each in State]:
            raise InputError(f"--state: {state!r}: not one of {', '.join(map(str, State))}")
    if look:
        with common.opened(store, send=False, crates=crates) as session:
            session.look()
            session.close(wait=False)
            ledger: Ledger = session.ledger
    else:
        ledger = common.read(store, crates)
    jobs = [job for job in ledger.jobs.values() if not states or str(job.state) in states]
    if as_json:
        terminal.print_json([job.to_json() for job in jobs])
        return 0
    common.print_jobs(jobs)
    click.echo(", ".join(f"{count} {state}" for state, count in ledger.counts().items()) or "no jobs")
    return 0
