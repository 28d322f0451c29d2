"""What ``rerun`` and ``run rerun`` share: showing what would run, asking, and saying what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.errors import CrateError, InputError, ProvWorkerError
from prov_worker.humanize import plural, size

if TYPE_CHECKING:
    from prov_worker.rerun.plan import Plan
    from prov_worker.rerun.rerun import Rerun

_WARNING = (
    "The call is unpacked and run as you, with all your rights. A crate from elsewhere is code from elsewhere: the "
    "source that it shows is what its author says, the serialised call is what runs."
)
_SOURCE_LINES = 30


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of both commands, handed on as ``choice``."""

    @wraps(command)
    def choose(*arguments: Any, endpoint: str | None, here: bool, **rest: Any) -> Any:
        names = ("crates", "compare", "yes", "output", "as_json", "dry_run")
        if here and endpoint is not None:
            raise InputError("--here, --endpoint: give one of them")
        if endpoint is None and rest["crates"] is not None:
            raise InputError("--crates: goes with --endpoint")
        chosen = {name: rest.pop(name) for name in names}
        return command(*arguments, choice=Choice(endpoint, **chosen), **rest)

    for option in reversed(
        (
            click.option("--endpoint", metavar="ID", help="Run it at this endpoint of Globus Compute."),
            click.option("--here", is_flag=True, help="Run it on this machine, in this environment (the default)."),
            click.option(
                "--crates",
                type=terminal.PATH,
                metavar="DIR",
                help="Where the endpoint's crates appear, if that can be seen from here.",
            ),
            click.option("--compare", is_flag=True, help="Exit code 1 unless everything is the same."),
            click.option("--yes", "-y", is_flag=True, help="Do not ask; without a terminal nothing runs without it."),
            click.option(
                "--output",
                "-o",
                type=terminal.PATH,
                default="reruns",
                show_default=True,
                metavar="DIR",
                help="Where the new crates appear.",
            ),
            click.option("--json", "as_json", is_flag=True, help="What came of it, as JSON."),
            click.option("--dry-run", "-n", is_flag=True, help="Show what would run, and run nothing."),
        )
    ):
        choose = option(choose)
    return choose


class Choice:
    """What the options chose."""

    def __init__(
        self,
        endpoint: str | None,
        crates: str | None,
        compare: bool,
        yes: bool,
        output: str,
        as_json: bool,
        dry_run: bool,
    ) -> None:
        self.endpoint = endpoint
        self.crates = None if crates is None else Path(crates)
        self.compare = compare
        self.yes = yes
        self.output = Path(output)
        self.as_json = as_json
        self.dry_run = dry_run


def run_again(plans: Sequence[Plan], refused: Sequence[CrateError], choice: Choice) -> int:
    """Show plans, ask, run them one after the other, and say what came of each.

    Args:
        plans: what can run again.
        refused: why others cannot.
        choice: of the options.

    Returns:
        The exit code.

    Raises:
        InputError: there is nobody to ask.
    """
    if choice.dry_run and choice.as_json:
        _print_json([plan.to_dict() for plan in plans], refused)
        return 1 if refused else 0
    if not (choice.yes and choice.as_json):
        _show(plans, choice)
    for error in refused:
        terminal.complain(error)
    if choice.dry_run or not plans:
        return 1 if refused else 0
    if not choice.yes and not _agreed(plans):
        click.echo("nothing was run", err=True)
        return 1
    reruns: list[Rerun] = []
    failed: list[str] = []
    with terminal.progress(f"{plural(len(plans), 'step')}, run again", len(plans)) as advance:
        for plan in plans:
            try:
                reruns.append(_run(plan, choice))
            except ProvWorkerError as error:
                if isinstance(error, InputError):
                    raise
                failed.append(f"{plan.step.crate}: {error}")
            advance()
    if choice.as_json:
        _print_json([rerun.to_dict() for rerun in reruns], refused, failed)
    else:
        for rerun in reruns:
            _print(rerun)
    for problem in failed:
        terminal.complain(problem)
    others = [rerun for rerun in reruns if rerun.comparison.verdict != "same"]
    return 1 if refused or failed or (choice.compare and others) else 0


def _run(plan: Plan, choice: Choice) -> Rerun:
    if choice.endpoint is None:
        from prov_worker.rerun.rerun import rerun_here

        return rerun_here(plan, choice.output)
    from prov_worker.rerun.endpoint import rerun_at

    return rerun_at(plan, choice.endpoint, choice.output, choice.crates)


def _print_json(rows: list[dict[str, Any]], refused: Sequence[CrateError], failed: Sequence[str] = ()) -> None:
    problems = [*(str(error) for error in refused), *failed]
    terminal.print_json({"steps": rows, "problems": problems})


def _agreed(plans: Sequence[Plan]) -> bool:
    if not sys.stdin.isatty():
        raise InputError("nothing was run: there is no terminal to ask at; --yes runs it")
    subject = f"these {len(plans)} calls" if len(plans) > 1 else "this call"
    return click.confirm(f"Run {subject}?", err=True)


def _show(plans: Sequence[Plan], choice: Choice) -> None:
    """Show what would run; on stderr if the result goes to stdout as JSON."""
    from prov_worker.rerun.plan import summarised

    out = terminal.console(stderr=choice.as_json)

    def say(*parts: str | tuple[str, str]) -> None:
        out.print(terminal.styled(*parts), soft_wrap=True)

    where = "on this machine" if choice.endpoint is None else f"at endpoint {choice.endpoint}"
    for plan in plans:
        step = plan.step
        say((f"{step.function}", "bold"), f"  task {step.task_id}, {step.status} on {step.host}: to run {where}")
        for value in step.arguments:
            digest = f"  sha256 {value.sha256[:12]}…" if value.sha256 else ""
            say(f"  {value.name} = {value.value} ({value.type}){digest}")
        say(f"  serialised call: {size(len(plan.call))}")
        if len(plans) == 1 and plan.source:
            lines = plan.source.splitlines()
            for line in lines[:_SOURCE_LINES]:
                say(f"  | {line}")
            if len(lines) > _SOURCE_LINES:
                say(f"  | … {plural(len(lines) - _SOURCE_LINES, 'more line')} in its crate")
        elif plan.source is None:
            say("  its source is not in the crate")
        for path in plan.unchecked:
            say(f"  input {path}: no hash was recorded, so that it cannot be checked")
    if plans and choice.endpoint is None:
        _show_environment(plans, say, summarised)
    if plans:
        say((_WARNING, "yellow"))


def _show_environment(plans: Sequence[Plan], say: Callable[..., None], summarised: Callable[..., list[str]]) -> None:
    """Show how this environment differs from those of the first executions, each once."""
    shown: set[tuple[str, ...]] = set()
    for plan in plans:
        lines = tuple(summarised(plan.differences))
        if lines in shown:
            continue
        shown.add(lines)
        say("environment: as it was" if not lines else "environment, recorded and here:")
        for line in lines:
            say(f"  {line}")
        if plan.prefix is not None:
            say(f"  the recorded environment is in {plan.prefix}: call this program from there to run in it")


def _print(rerun: Rerun) -> None:
    from prov_worker.rerun.comparison import DIFFERS, SAME

    comparison = rerun.comparison
    colour = {SAME: "green", DIFFERS: "red"}.get(comparison.verdict, "yellow")
    verdict = (comparison.verdict, colour)
    out = terminal.console()
    new = f"task {rerun.task_id}" if rerun.crate is None else terminal.near(rerun.crate)
    out.print(
        terminal.styled(verdict, f"  {rerun.plan.step.function}  {rerun.plan.step.task_id[:8]}  {new}"), soft_wrap=True
    )
    for part in comparison.parts:
        detail = f": {'; '.join(part.details)}" if part.details else ""
        out.print(terminal.styled(f"    {part.name} {part.verdict}{detail}"), soft_wrap=True)
