"""``prov-worker top``: what runs now."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from prov_worker.live.model import View

_CRATE_DIR = PREFIX + "CRATE_DIR"


@examples("prov-worker top crates", "prov-worker top --once --json crates")
@click.command("top")
@click.argument("where", type=terminal.PATH, metavar="[DIR|URL]", default="")
@click.option("--once", is_flag=True, help="Print tables and leave; also done if there is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="With --once: what the tables say and more, as JSON.")
@click.option("--interval", type=click.FloatRange(0.2, 60.0), default=1.0, show_default=True, help="Seconds per look.")
@click.option("--sort", "order", default="elapsed", show_default=True, help="Column that tasks are sorted by.")
@click.option("--filter", "wanted", default="", help="Tasks alone with this in id, function, node or worker.")
def command(where: str, once: bool, as_json: bool, interval: float, order: str, wanted: str) -> int:
    """Show what runs now: tasks, their nodes, and what ended last.

    DIR is the directory that the crates go into; without it, $PROV_WORKER_CRATE_DIR or ./crates. The agent of this node
    answers by its socket, those of other nodes by a file beside the journals, which they renew every two seconds. Tasks
    of other users are not shown.

    URL is that of a local service that was given --crate-dir; it is asked with the client id and the secret that
    `prov-worker service env` prints.

    Exit code 1 if an agent gives no sign any more, or cannot be read.
    """
    from prov_worker.live.agents import Agents
    from prov_worker.live.fullscreen import can_take_over, run
    from prov_worker.live.screen import Screen
    from prov_worker.live.table import ORDERS

    keys = {column.head.casefold(): key for key, column in ORDERS.items()}
    key = keys.get(order.casefold())
    if key is None:
        raise click.BadParameter(f"{order!r} is not among {', '.join(keys)}", param_hint="'--sort'")
    if "://" in where:
        from prov_worker.live.service import ServiceAgents

        name, look = terminal.line(where.rpartition("@")[2]), ServiceAgents(where).look
    else:
        directory = Path(where or os.environ.get(_CRATE_DIR) or "crates")
        name, look = terminal.line(terminal.near(directory)), Agents(directory).look
    nothing = (
        f"No agent serves {name}: no worker is alive that records there.\n"
        "An agent comes with a worker's first task, and leaves three seconds after the last worker of its node."
    )
    if as_json or once or not can_take_over():
        return _once(look, key, wanted, nothing, as_json=as_json)
    screen = Screen(f"prov-worker top {name}", nothing, key, wanted)
    run(screen, look, interval)
    return 0


def _once(look: Callable[[], View], key: str, wanted: str, nothing: str, *, as_json: bool) -> int:
    from prov_worker.live.model import LIVE
    from prov_worker.live.table import ENDED, NODES, TASKS, matching, ordered, rows, summary, with_values

    view = look()
    tasks = ordered(matching(view.tasks, wanted), key)
    for problem in view.problems:
        terminal.complain(problem)
    if as_json:
        terminal.print_json(view.to_json())
    elif not view.nodes:
        if not view.problems:  # with one it is not known that nothing runs
            click.echo(nothing)
    else:
        click.echo(summary(view))
        for columns, items in ((NODES, view.nodes), (TASKS, tasks), (ENDED, view.ended[:10])):
            if items:
                click.echo()
                cells = rows(columns, items)
                places = with_values(cells)
                shown = [columns[place] for place in places]
                heads = [column.head for column in shown]
                right = {column.head for column in shown if column.right}
                cells = [[row[place] for place in places] for row in cells]
                terminal.table(heads, cells, right=right, wrap=("reason",), frame=False)
        if not tasks:
            click.echo("\nnothing runs at this moment" if not wanted else "\nno running task matches the filter")
    return int(bool(view.problems) or any(node.state != LIVE for node in view.nodes))
