"""What the verbs of ``prov-worker fleet`` share: the file, names that the shell completes, and what was done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from prov_worker.cli.common import terminal
from prov_worker.errors import ProvWorkerError

if TYPE_CHECKING:
    from prov_worker.fleet.fleetfile import Fleet
    from prov_worker.fleet.result import Outcome
    from prov_worker.fleet.state import State
    from prov_worker.globus.orphans import PoolProcess


class EndpointName(click.ParamType):
    """A name that the shell completes from the fleet file."""

    name = "endpoint"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return names that begin so; none if the file cannot be read: a shell shows no errors here."""
        try:
            fleet = read(ctx.params.get("file"))
        except ProvWorkerError:
            return []
        return [
            CompletionItem(spec.name, help=spec.site.name)
            for spec in fleet.endpoints
            if spec.name.startswith(incomplete)
        ]


_FILE_HELP = "The fleet file.  [default: PROV_WORKER_FLEET, else $XDG_CONFIG_HOME/prov-worker/fleet.yaml]"
file_option = click.option("-f", "--file", type=terminal.PATH, metavar="FILE", is_eager=True, help=_FILE_HELP)
names_argument = click.argument("names", nargs=-1, type=EndpointName(), metavar="[NAME]...")
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON.")
drain_option = click.option(
    "--drain", is_flag=True, help="First wait until each endpoint's tasks are done; it takes new ones meanwhile."
)
timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    metavar="S",
    help="With --drain: wait so long; what is not done by then goes on, and is not stopped.",
)


def read(file: str | None) -> Fleet:
    """Read the fleet file.

    Raises:
        InputError: names the file and the key; or the extra ``fleet`` is not installed.
    """
    from prov_worker.fleet import fleetfile

    return fleetfile.read(Path(file) if file else None)


def opened(file: str | None) -> tuple[Fleet, State]:
    """Return the fleet file and its state on this host."""
    from prov_worker.fleet.state import State

    fleet = read(file)
    return fleet, State(fleet)


def drain_needed(drain: bool, timeout_s: float | None) -> None:
    """Refuse a time limit of a wait that was not asked for."""
    if timeout_s is not None and not drain:
        raise click.UsageError("--timeout requires --drain")


def name_foreign_orphans(foreign: Iterable[PoolProcess]) -> None:
    """Name interchanges and managers whose engine is gone, and that the fleet leaves alone."""
    for part in foreign:
        click.echo(terminal.plain(f"not of this fleet, left alone, and its engine is gone: {part}"), err=True)


def report(outcomes: Sequence[Outcome], state: State, *, as_json: bool, diff: bool = False) -> int:
    """Print what was done; exit code 1 if something is not as it was asked for."""
    if state.damaged is not None:
        click.echo(state.damaged, err=True)
    if as_json:
        rows: list[dict[str, Any]] = []
        for result in outcomes:
            row: dict[str, Any] = {
                "name": result.name,
                "action": result.action,
                "detail": result.detail,
                "good": result.good,
                "diff": result.diff,
            }
            rows.append(row)
        terminal.print_json(rows)
    else:
        if diff:
            click.echo("".join(outcome.diff for outcome in outcomes), nl=False)
        cells = ([outcome.name, outcome.action, outcome.detail] for outcome in outcomes)
        terminal.table(("endpoint", "action", ""), cells, frame=False)
    return 0 if all(outcome.good for outcome in outcomes) else 1
