"""The ``prov-worker`` command: one module a verb, each thin; what a verb does lives in the room that it calls.

A verb's module is imported when the verb is used, so that ``prov-worker --help`` stays quick.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from prov_worker import __version__
from prov_worker.errors import ProvWorkerError

#: Verb and the first line of its help, in the order in which they are of use.
VERBS = {
    "demo": "Run a small workload on this machine; every task leaves a crate.",
    "show": "Show a crate on one page: what ran, where, how hard, what failed.",
    "check": "Check crates: own rules and the community's validator.",
    "plot": "Add a plot to crates that have none.",
    "probe": "Show what the hardware probes find on this machine.",
    "recover": "Finish the crates of tasks whose worker, agent or node is gone.",
    "completion": "Print the completion script for a shell.",
}


class _Verbs(click.Group):
    """A group whose verbs are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"prov_worker.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="prov-worker")
def cli() -> None:
    """Provenance for Globus Compute: every task leaves a validated RO-Crate behind."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and turn whatever ends it into an exit code and, for errors, one line on stderr."""
    try:
        code = cli.main(
            args=None if arguments is None else list(arguments), prog_name="prov-worker", standalone_mode=False
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("prov-worker: interrupted\n")
        return 130
    except ProvWorkerError as error:
        sys.stderr.write(f"prov-worker: {error}\n")
        return error.exit_code
    except (BrokenPipeError, SystemExit) as error:
        # The reader (a pager, head) has seen enough; click and rich turn that into an exit of their own, with code 1.
        if isinstance(error, SystemExit) and (error.code != 1 or "_PROV_WORKER_COMPLETE" in os.environ):
            raise
        # Python flushes once more at its end: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
