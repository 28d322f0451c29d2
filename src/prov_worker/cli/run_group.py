"""``prov-worker run``: many step crates as one run. One module a verb (``cli/run_<verb>.py``), imported when used."""

from __future__ import annotations

import importlib
import signal
import threading
from functools import partial

import click

#: Verb and the first line of its help, in the order in which they are of use.
VERBS = {
    "collect": "Bring crates home from where endpoints leave them, each whole and compared.",
    "transfer": "Bring crates home by Globus Transfer, from one collection to another.",
    "assemble": "Make one sealed run crate of many step crates.",
    "verify": "Find whatever changed in a run crate since it was sealed.",
    "index": "Read step crates once, into Parquet tables to ask.",
    "query": "Ask an index: which tasks failed, where, how long, how large.",
    "report": "Write one self-contained HTML page about a run.",
    "export": "Hand a run on: W3C PROV, FlowCept, CSV, Parquet.",
}


class _Verbs(click.Group):
    """A group whose verbs are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"prov_worker.cli.run_{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group("run", cls=_Verbs)
@click.pass_context
def command(context: click.Context) -> None:
    """From step crates to a run: collect, transfer, assemble, verify, index, query, report, export."""
    if threading.current_thread() is threading.main_thread():
        # A scheduler's end of a job, or of a connection: what is in the making is cleared away, as after Ctrl-C.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)
                context.call_on_close(partial(signal.signal, number, signal.SIG_DFL))


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)
