"""``prov-worker trigger``: an action for each folder that has come to rest."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.crate.json_text import is_uuid
from prov_worker.errors import InputError
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.trigger.actions.action import Action
    from prov_worker.trigger.watcher import Watcher


@examples(
    "prov-worker trigger data --pattern 'run*' --exec 'python3 fit.py \"$1\"'",
    "prov-worker trigger data --once --dry-run --exec 'ls \"$1\"'",
)
@click.command("trigger")
@click.argument("directory", type=terminal.PATH, metavar="DIR")
@click.option("--pattern", default="*", show_default=True, help="Names of folders (or files) of DIR.")
@click.option("--settle", default=60.0, show_default=True, metavar="S", help="Seconds in which nothing may change.")
@click.option("--every", default=30.0, show_default=True, metavar="S", help="Seconds between looks.")
@click.option("--expect", multiple=True, metavar="GLOB", help="A file that must be there; may be repeated.")
@click.option("--done-file", metavar="NAME", help="File at the top of a folder without which it is not settled.")
@click.option(
    "--existing",
    type=click.Choice(["fire", "skip"]),
    default="fire",
    show_default=True,
    help="Folders that are there at the very first start.",
)
@click.option("--state", type=terminal.PATH, metavar="FILE", help="What was fired.  [default: one for DIR]")
@click.option("--crates", type=terminal.PATH, metavar="DIR", help="The triggers' crates.  [default: beside the state]")
@click.option("--once", is_flag=True, help="Look once, wait for what began, and end: for cron.")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done, and check it; write and begin nothing.")
@click.option("--flow", metavar="ID", help="Start a run of this Globus Flow.")
@click.option("--function", metavar="ID", help="Submit this function of Globus Compute.")
@click.option("--endpoint", metavar="ID", help="Endpoint of the function.")
@click.option("--input", "input_", type=terminal.PATH, metavar="FILE.j2", help="Template of the input, or of kwargs.")
@click.option("--schema", type=terminal.PATH, metavar="FILE", help="Input schema of the flow, checked before each run.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A variable of the template.")
@click.option("--exec", "command_line", metavar="CMD", help="Run this command; the folder is $1.")
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Commands that may run at a time.",
)
@click.option("--json", "as_json", is_flag=True, help="What would be done, as JSON; with --dry-run.")
def command(
    directory: str,
    pattern: str,
    settle: float,
    every: float,
    expect: tuple[str, ...],
    done_file: str | None,
    existing: str,
    state: str | None,
    crates: str | None,
    once: bool,
    dry_run: bool,
    as_json: bool,
    parallel: int,
    **options: Any,
) -> int:
    """Start a flow, a function or a command for each folder of DIR that has come to rest, once per content.

    A folder is settled when nothing in it has changed for the settle time, by this host's own clock. What was begun
    and what ended is on disk: a restart repeats nothing and loses nothing. An action that fails is tried again.
    """
    from prov_worker.trigger.actions.command import CommandAction
    from prov_worker.trigger.places import check_crates, check_state
    from prov_worker.trigger.trigger import Trigger
    from prov_worker.trigger.watcher import Watcher

    if as_json and not dry_run:
        raise click.UsageError("--json goes with --dry-run")
    _need_one(options)
    if once:
        every = min(every, settle / 2)
    arguments: dict[str, Any] = {
        "pattern": pattern, "settle_s": settle, "every_s": every, "expect": expect, "done_file": done_file,
        "existing": existing, "say": _say,
    }  # fmt: skip
    where = Path(crates) if crates is not None else None
    if where is not None:
        check_crates(Path(directory), pattern, where)
    action = _remote_action(options)
    if dry_run:
        check_state(Path(directory), pattern, None if state is None else Path(state))
        return _dry_run(directory, arguments, action, options["command_line"], as_json=as_json)
    with Watcher(directory, state=state, **arguments) as watcher:
        where = where or watcher.state.path.with_name(f"{watcher.state.path.name}.crates")
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
                signal.signal(number, lambda *_: ended.set())
        action = action or CommandAction(options["command_line"], watcher.state.runs)
        trigger = Trigger(watcher, action, where, _say, ended, parallel=parallel)
        trigger.run(once=once)
    return 1 if once and trigger.failed else 0


def _say(text: str) -> None:
    click.echo(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {terminal.line(text)}")


def _need_one(options: dict[str, Any]) -> None:
    chosen = [name for name in ("flow", "function", "command_line") if options[name]]
    if len(chosen) != 1:
        raise click.UsageError("expected one of --flow, --function and --exec")
    if options["flow"] and not options["input_"]:
        raise click.UsageError("--flow needs --input")
    if bool(options["function"]) != bool(options["endpoint"]):
        raise click.UsageError("--function and --endpoint go together")
    if options["command_line"] and (options["input_"] or options["assignments"]):
        raise click.UsageError("--exec goes without --input and --set: the folder is $1")
    if options["schema"] and not options["flow"]:
        raise click.UsageError("--schema goes with --flow")
    if options["assignments"] and not options["input_"]:
        raise click.UsageError("--set goes with --input: it is for the variables of the template")
    for name in ("flow", "function", "endpoint"):
        if options[name] and not is_uuid(options[name]):
            raise InputError(f"--{name} {options[name]}: expected an id (UUID)")


def _remote_action(options: dict[str, Any]) -> Action | None:
    """Return the action of a flow or function, checked; None for a command."""
    if options["command_line"]:
        return None
    from prov_worker.trigger.actions.template import NAMES, Template

    values = {}
    for text in options["assignments"]:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--set {text}: expected NAME=VALUE")
        if name in NAMES:
            raise InputError(f"--set {text}: the folder gives {name}; take another name")
        values[name] = value
    template = Template(Path(options["input_"]), values) if options["input_"] else None
    if options["flow"]:
        from prov_worker.trigger.actions.flow import FlowAction

        assert template is not None
        schema = Path(options["schema"]) if options["schema"] else None
        return FlowAction(options["flow"], template, schema)
    from prov_worker.trigger.actions.function import FunctionAction

    return FunctionAction(options["function"], options["endpoint"], template)


def _dry_run(
    directory: str, arguments: dict[str, Any], remote: Action | None, command_line: str, *, as_json: bool
) -> int:
    """Show each folder as it is now, and what would be done once it has settled; nothing is written."""
    import tempfile

    from prov_worker.trigger.actions.action import ActionError
    from prov_worker.trigger.actions.command import CommandAction
    from prov_worker.trigger.watcher import Watcher

    rows: list[dict[str, Any]] = []
    held: list[str] = []
    place = tempfile.TemporaryDirectory(prefix=".")  # hidden: it may be made in the very directory
    with place, Watcher(directory, state=Path(place.name) / "state", **{**arguments, "say": held.append}) as watcher:
        action = remote or CommandAction(command_line, Path(place.name))
        for folder in _all_settled(watcher):
            row: dict[str, Any] = {"folder": folder.name, "files": folder.files, "bytes": folder.size_bytes}
            try:
                row |= {"would": action.preview(folder), "problem": None}
            except ActionError as error:
                row |= {"would": None, "problem": str(error)}
            rows.append(row)
    problems = [row for row in rows if row["problem"]]
    if as_json:
        terminal.print_json({"directory": directory, "folders": rows, "held": held})
    else:
        for row in rows:
            head = f"{terminal.plain(row['folder'])}: {plural(row['files'], 'file')}, {size(row['bytes'])}"
            click.echo(f"{head}: {terminal.line(row['problem'] or row['would'])}")
        for text in held:
            click.echo(terminal.line(text))
        click.echo(
            f"{directory}: {plural(len(rows), 'folder')} to fire once settled, {plural(len(problems), 'problem')}"
        )
    return 1 if problems else 0


def _all_settled(watcher: Watcher) -> list[Any]:
    """Return folders as if the settle time were over."""
    watcher.look()
    watcher.settle_s = 0.0
    return watcher.look()
