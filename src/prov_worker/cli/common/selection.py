"""Options that choose attempts, the same for all commands that read many crates."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from prov_worker.cli.common import terminal
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.humanize import plural

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Parsed(click.ParamType):
    """An option whose text a function of :mod:`prov_worker.run.index.query` reads."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See :class:`click.ParamType`."""
        from prov_worker.run.index import query

        parse: Callable[[str], Any] = {
            "duration": query.duration_s,
            "size": query.size_bytes,
            "time": query.moment,
        }[self.name]
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION, SIZE, TIME = Parsed("duration"), Parsed("size"), Parsed("time")

#: Options of all these commands, by the name of the field of :class:`prov_worker.run.selection.Filters`.
_OPTIONS: dict[str, Callable[[_Command], _Command]] = {
    "status": click.option("--status", type=click.Choice(["completed", "failed"]), help="How it ended."),
    "function": click.option("--function", multiple=True, metavar="NAME", help="Function; * and ? are wildcards."),
    "host": click.option("--host", multiple=True, metavar="NAME", help="Node."),
    "endpoint": click.option("--endpoint", multiple=True, metavar="NAME", help="Endpoint, by id or name."),
    "task": click.option("--task", multiple=True, metavar="ID", help="Task id, or what one alone begins with."),
    "user": click.option("--user", multiple=True, metavar="NAME", help="Account that ran the task."),
    "run_name": click.option(
        "--run-name", multiple=True, metavar="NAME", help="Run, as the task named it (prov_worker.name_run)."
    ),
    "since": click.option("--since", type=TIME, metavar="TIME", help="Began at or after this time (ISO 8601, UTC)."),
    "until": click.option("--until", type=TIME, metavar="TIME", help="Began before this time."),
    "error": click.option("--error", metavar="TEXT", help="Text in the error."),
    "latest": click.option("--latest", is_flag=True, help="Only the latest attempt at each task."),
    "group": click.option(
        "--group",
        multiple=True,
        metavar="UUID",
        help="Task group; the web service is asked for its tasks, which are kept beside the crates.",
    ),
}

WHERE = click.option("--where", metavar="SQL", help='A condition on the columns of tasks: "cpu_s > 10".')


def filter_options(without: Collection[str] = ()) -> Callable[[_Command], _Command]:
    """Return a decorator that adds the options of :class:`prov_worker.run.selection.Filters`, without some of them."""

    def add(command: _Command) -> _Command:
        for name, option in reversed(_OPTIONS.items()):
            if name not in without:
                command = option(command)
        return command

    return add


def selects(without: Collection[str] = ()) -> Callable[[_Command], Callable[..., Any]]:
    """Return a decorator that adds options which choose attempts, and hands them on as ``selection``."""

    def add(command: _Command) -> Callable[..., Any]:
        @wraps(command)
        def choose(*arguments: Any, where: str | None, **options: Any) -> Any:
            from prov_worker.run.selection import Filters, Selection

            chosen = {name: options.pop(name) for name in _OPTIONS if name not in without}
            chosen["tasks"] = tasks_of(chosen.pop("group"))
            return command(*arguments, selection=Selection(Filters(**chosen), where), **options)

        return filter_options(without)(WHERE(choose))

    return add


def tasks_of(groups: tuple[str, ...]) -> frozenset[str] | None:
    """Return the tasks of groups, for the command that runs, whose arguments are places of crates.

    None if no group is named.

    Raises:
        InputError: a group is not a UUID, does not exist, or nobody can be asked and nothing is kept.
    """
    if not groups:
        return None
    from prov_worker.globus.task_groups import tasks_of_group
    from prov_worker.run.selection.groups import keep, read_kept

    places = [Path(place) for place in _places(click.get_current_context())]
    tasks: set[str] = set()
    for text in groups:
        try:
            group = str(uuid.UUID(text))
        except ValueError:
            raise InputError(f"--group: {text!r}: is not a UUID") from None
        try:
            members = frozenset(tasks_of_group(group))
        except InputError:
            raise
        except ProvWorkerError as error:
            kept = next((by_group[group] for place in places if group in (by_group := read_kept(place))), None)
            if kept is None:
                raise InputError(f"--group {group}: nobody can be asked for its tasks: {error}") from None
            terminal.complain(f"--group {group}: {plural(len(kept), 'task')} as kept beside the crates; {error}")
            members = kept
        else:
            for place in places:
                try:
                    keep(place, group, members)
                except OSError as error:
                    terminal.complain(f"--group {group}: its tasks cannot be kept beside {place}: {error.strerror}")
        tasks |= members
    return frozenset(tasks)


def _places(ctx: click.Context) -> list[str]:
    """Return the command's arguments: places of crates."""
    values = [ctx.params.get(str(param.name)) for param in ctx.command.params if isinstance(param, click.Argument)]
    return [str(place) for value in values if value for place in ([value] if isinstance(value, str) else value)]
