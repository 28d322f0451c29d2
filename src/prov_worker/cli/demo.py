"""``prov-worker demo``: from nothing to crates, on this machine."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import InputError, SettingsError
from prov_worker.humanize import duration, plural, size
from prov_worker.settings import PACKED_LOGGER, Settings
from prov_worker.worker_settings import PACKED

if TYPE_CHECKING:
    from rich.text import Text

    from prov_worker.demo.run import Outcome


@examples("prov-worker demo --crates crates")
@click.command("demo")
@click.option(
    "--crates", type=terminal.PATH, default="crates", show_default=True, metavar="DIR", help="Where crates appear."
)
@click.option("--workers", type=click.IntRange(1, 256), default=min(4, os.cpu_count() or 1), show_default=True)
@click.option("--poll-interval", type=float, help="Seconds between samples, 0.01 to 60.  [default: 0.05]")
@click.option("--quick", is_flag=True, help="A shorter workload.")
@click.option("--packed", is_flag=True, help="Crates keep calls, so that `prov-worker rerun` can run tasks again.")
@click.option("--json", "as_json", is_flag=True, help="The table, as JSON.")
def command(crates: str, workers: int, poll_interval: float | None, quick: bool, packed: bool, as_json: bool) -> int:
    """Run a small workload on this machine; every task leaves a crate.

    Tasks that are quick, busy, asleep, that write files, run programs, raise, and one whose worker is killed: sent
    through a real engine to real workers, without an account and without a network. Exit code 1 if a crate is
    missing.
    """
    from prov_worker.demo.run import run
    from prov_worker.demo.workload import workload

    provenance: dict[str, Any] = {"capture_arguments": PACKED} if packed else {}
    if packed:
        logging.getLogger(PACKED_LOGGER).setLevel(logging.ERROR)  # said below the table, with what it is good for
    provenance |= {} if poll_interval is None else {"poll_interval": poll_interval}
    try:
        Settings.from_mapping(provenance)
    except SettingsError as error:
        raise InputError(f"--poll-interval: {error.problem}") from None
    calls = workload(quick=quick)
    with terminal.progress(
        f"{plural(len(calls), 'task')} on {plural(workers, 'worker')}, and their crates", 2 * len(calls)
    ) as advance:
        outcomes = run(
            calls, Path(crates), workers=workers, provenance=provenance, task_done=advance, crate_done=advance
        )
    rows = [_row(outcome) for outcome in outcomes]
    if as_json:
        terminal.print_json(rows)
    else:
        _print_table(rows, crates, packed=packed)
    return 0 if all(outcome.as_expected for outcome in outcomes) else 1


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {
        "function": outcome.call.function.__name__,
        "task_id": str(outcome.task_id),
        "meant_to_fail": outcome.call.fails,
        "status": None,
        "reason": outcome.error,
        "crate": None if outcome.crate is None else str(outcome.crate),
    }
    if outcome.crate is not None:
        from prov_worker.crate.sources import source_of
        from prov_worker.crate.summary_reader import open_step

        row |= open_step(source_of(outcome.crate), strict=False)[0].figures()
    return row


def _cells(row: dict[str, Any]) -> tuple[str | Text, ...]:
    return (
        row["function"],
        row["task_id"][:8],
        terminal.status(row["status"] or "no crate"),
        duration(row.get("seconds")),
        _number(row.get("samples"), "d"),
        _number(row.get("cpu_percent"), ".0f"),
        size(row.get("peak_rss_bytes")),
        row["reason"] or "",
    )


def _print_table(rows: list[dict[str, Any]], crates: str, *, packed: bool) -> None:
    heads = ["function", "task", "status", "wall time", "samples", "CPU %", "peak RSS", "reason"]
    # What a narrow terminal has space for.
    wide = terminal.console().width >= 100
    shown = [head for head in heads if wide or head not in ("task", "samples", "CPU %", "peak RSS")]
    cells = (_cells(row) for row in rows)
    terminal.table(
        shown,
        ([cell for head, cell in zip(heads, row, strict=True) if head in shown] for row in cells),
        right=heads[3:7],
        wrap=("reason",),
    )
    out = terminal.console()
    made = [row for row in rows if row["crate"]]
    out.print(terminal.plain(f"{len(made)} of {plural(len(rows), 'task')} left a crate in {crates}/"))
    if made:
        program = terminal.program()
        telling = max(made, key=lambda row: row.get("samples") or 0)
        out.print(
            terminal.plain(f"\nLook at one:     {program} show {terminal.near(telling['crate'])}"), soft_wrap=True
        )
        out.print(terminal.plain(f"Check them all:  {program} check {crates}"), soft_wrap=True)
    if made and packed:
        again = terminal.plain(f"Run one again:   {program} rerun {terminal.near(telling['crate'])}")
        out.print(again, soft_wrap=True)
        out.print(
            "These crates keep each call as it was sent, with nothing taken out of it, so that it can run again.\n"
            "That is off unless you ask for it (capture_arguments: packed)."
        )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
