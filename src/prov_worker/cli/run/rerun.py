"""``prov-worker run rerun``: the steps of a run again, or those that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.rerunning import Choice, options, run_again
from prov_worker.cli.common.selection import selects
from prov_worker.errors import CrateError

if TYPE_CHECKING:
    from prov_worker.rerun.plan import Plan
    from prov_worker.run.selection import Selection


@examples("prov-worker run rerun RUN.crate --failed")
@click.command("rerun")
@click.argument("run", type=terminal.PATH)
@click.option("--failed", is_flag=True, help="Tasks whose latest attempt failed.")
@selects(without=("endpoint",))
@options
def command(run: str, failed: bool, choice: Choice, selection: Selection) -> int:
    """Run steps of RUN again, one after the other, and compare each: as `prov-worker rerun` does.

    RUN is a run crate or a directory of step crates. Steps that cannot be run again are named, and the exit code is 1;
    without any step it is 2.
    """
    from prov_worker.rerun.plan import plan_of
    from prov_worker.run.api import open_run

    record = open_run(run, selection)
    plans: list[Plan] = []
    refused: list[CrateError] = []
    some = False
    for step, crate in record.opened():
        if failed and not (step.failed and step.latest):
            continue
        some = True
        try:
            plans.append(plan_of(step, crate, here=choice.endpoint is None))
        except CrateError as error:
            refused.append(error)
    if not some:
        raise record.nothing(chosen=failed)
    refused += [CrateError(problem.where, problem.message) for problem in record.problems]
    return run_again(plans, refused, choice)
