"""The ``prov-worker`` command, and what becomes of its errors.

A command's module is imported when the command is used, so that ``prov-worker --help`` stays quick.
"""

from __future__ import annotations

import codecs
import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

import click

from prov_worker import __version__
from prov_worker.cli.common.lazy_group import LazyGroup
from prov_worker.cli.common.terminal import line
from prov_worker.errors import ProvWorkerError

#: Modules of commands and the first line of their help, in the order in which they are of use.
COMMANDS = {
    "demo": "Run a small workload on this machine; every task leaves a crate.",
    "crates.list": "List crates in a table: one row per task.",
    "live.top": "Show what runs now: tasks, nodes, and what ended last.",
    "crates.show": "Show a crate on one page: what ran, where, what it used, what failed.",
    "crates.rerun": "Run a step again from its crate, and compare the two.",
    "crates.check": "Check crates by built-in rules and by roc-validator.",
    "crates.plot": "Add a plot to crates that have none.",
    "crates.pack": "Put crates into packs: zip files of many crates, which save inodes.",
    "crates.unpack": "Make directories of the crates in packs.",
    "crates.prune": "Remove crates that are no longer needed: old ones, of tasks that are sealed or archived.",
    "probe": "Show what the hardware probes find on this machine.",
    "crates.recover": "Finish the crates of tasks whose worker, agent or node is gone.",
    "live.stream": "Send events of tasks to queues and databases, while the tasks run.",
    "run": "Make one run of many crates: collect, transfer, assemble, verify, index, query, report, export.",
    "flow": "Make definitions of Globus Flows, check them without the service, deploy and run them.",
    "trigger": "Start a flow, a function or a command for each folder that has come to rest.",
    "jobs": "Submit jobs and batches that survive the program: submit, map, list, show, cancel, retry.",
    "diagnose": "Find what is wrong with an endpoint, by tasks that look, and what to do.",
    "sites": "Show, render, check and install templates of endpoints for known machines.",
    "fleet": "Start, watch, show and stop the endpoints of this host that a file declares.",
    "service": "Run a local Globus Compute web service for stock clients and endpoints.",
    "completion": "Print the completion script for a shell.",
}
#: Set by the shells' completion scripts.
_COMPLETE = "_PROV_WORKER_COMPLETE"


@click.group(
    cls=LazyGroup,
    package="prov_worker.cli",
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="prov-worker")
def cli() -> None:
    """Record provenance for Globus Compute: every task leaves a validated RO-Crate behind."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and turn whatever ends it into an exit code and, for errors, one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ENCODE_ALL)
    if _COMPLETE in os.environ:
        importlib.import_module("prov_worker.cli.completion")
    try:
        code = cli.main(
            args=None if arguments is None else list(arguments), prog_name="prov-worker", standalone_mode=False
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        # A group without a verb, from click 8.2 on: its help is the message.
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(f"{error.format_message()}\n")
            return error.exit_code
        # click would print the usage first: three lines before the one that says what is wrong
        path = error.ctx.command_path if error.ctx else _command_path(sys.argv[1:] if arguments is None else arguments)
        message = error.format_message()
        if isinstance(error, click.MissingParameter):
            message = " ".join(message.split())  # click names the choices on lines of their own
        sys.stderr.write(f"{path}: {line(message)} (see '{path} --help')\n")
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("prov-worker: interrupted\n")
        return 130
    except ProvWorkerError as error:
        sys.stderr.write(f"prov-worker: {line(error)}\n")
        return error.exit_code
    except UnicodeEncodeError as error:
        # A path with a lone surrogate where text in UTF-8 must be written, such as in a crate.
        sys.stderr.write(f"prov-worker: {line(repr(error.object))}: a name that is not a text in {error.encoding}\n")
        return 2
    except (BrokenPipeError, SystemExit) as error:
        # The reader (a pager, head) has seen enough; click and rich turn that into an exit of their own, with code 1.
        if isinstance(error, SystemExit) and (error.code != 1 or _COMPLETE in os.environ):
            raise
        # Python flushes once more at its end: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        # The machine refused: no right to a file, a full disk, a file system that is gone.
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"prov-worker: {line(where)}{error.strerror or line(error)}\n")
        if error.errno == errno.ENOSPC and not error.filename:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2


def _command_path(arguments: Sequence[str]) -> str:
    """Return the command that arguments name, for an error that click raises without saying where."""
    path: list[str] = ["prov-worker"]
    command: click.Command | None = cli
    context = click.Context(cli)
    for word in arguments:
        command = command.get_command(context, word) if isinstance(command, click.Group) else None
        if command is None:
            break
        path.append(word)
    return " ".join(path)


#: Name of the error handler below.
_ENCODE_ALL = "prov_worker.encode_all"


def _encode_all(error: UnicodeError) -> tuple[bytes, int]:
    """Write anything: bytes of file names as they are, what the terminal's encoding lacks as a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return b"".join(bytes([ord(c) - 0xDC00]) if "\udc80" <= c <= "\udcff" else b"?" for c in part), error.end


codecs.register_error(_ENCODE_ALL, _encode_all)
