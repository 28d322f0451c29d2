"""``prov-worker rerun``: a step again, from its crate."""

from __future__ import annotations

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.rerunning import Choice, options, run_again


@examples("prov-worker rerun crates/8ad801b2", "prov-worker rerun crates/8ad801b2 --yes")
@click.command("rerun")
@click.argument("crate", type=terminal.PATH)
@options
def command(crate: str, choice: Choice) -> int:
    """Run the step of CRATE again, and compare: how it ended, its result, its files, its numbers.

    CRATE is named as for `prov-worker show`, and has to keep its call: setting capture_arguments: packed. What will run
    is shown first. A crate from elsewhere is code from elsewhere. The new crate says what it is based on, and what is
    the same. Exit code 2 if the step cannot be run again.
    """
    from prov_worker.cli.crates.show import crate_named
    from prov_worker.crate.summary_reader import open_step
    from prov_worker.rerun.plan import plan_of

    step, opened = open_step(crate_named(crate, "."))
    return run_again([plan_of(step, opened, here=choice.endpoint is None)], [], choice)
