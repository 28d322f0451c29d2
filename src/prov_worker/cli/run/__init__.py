"""``prov-worker run``: many step crates as one run. One module per command."""

from __future__ import annotations

import signal
import threading
from functools import partial

import click

from prov_worker.cli.common.lazy_group import LazyGroup

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "collect": "Collect crates from where endpoints leave them, and compare each with its source.",
    "transfer": "Collect crates by Globus Transfer, from one collection to another.",
    "assemble": "Make one sealed run crate of many step crates.",
    "verify": "Find whatever changed in a run crate since it was sealed.",
    "index": "Read step crates once, into Parquet tables for queries.",
    "query": "Query an index of tasks: which failed, where, how long, how large.",
    "report": "Write one self-contained HTML page about a run.",
    "rerun": "Run steps of a run again, such as those that failed, and compare each.",
    "compare": "Compare two runs: the same calls, what they took, what they ran in.",
    "deposit": "Deposit a run crate in a repository: InvenioRDM, WorkflowHub, Dataverse.",
    "export": "Export a run: W3C PROV, OpenLineage, FlowCept, CSV, Parquet.",
}


@click.group("run", cls=LazyGroup, package="prov_worker.cli.run", commands=COMMANDS)
@click.pass_context
def command(context: click.Context) -> None:
    """Make a run of step crates: collect, transfer, assemble, verify, index, query, report, rerun, compare, export."""
    if threading.current_thread() is threading.main_thread():
        # A scheduler's end of a job, or of a connection: what is in the making is cleared away, as after Ctrl-C.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)
                context.call_on_close(partial(signal.signal, number, signal.SIG_DFL))


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)
