"""``python -m benchmarks``: run them, show a table, write ``results.json``, ``machine.json`` and the plots."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks import registry
from benchmarks.harness import BenchmarkError, scratch
from benchmarks.machine import describe, load
from benchmarks.rows import Row

HERE = Path(__file__).resolve().parent


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="Only this benchmark; may be given several times.")
@click.option("--quick", is_flag=True, help="Few repetitions: shows that everything works, not how fast.")
@click.option("--no-peers", is_flag=True, help="Leave out FlowCept and Parsl's monitoring.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON instead of a table.")
@click.option("--list", "listing", is_flag=True, help="List the benchmarks and leave.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Directory for results and plots; the default is benchmarks/ for a whole run, and none for a part of one.",
)
def main(only: Sequence[str], quick: bool, no_peers: bool, as_json: bool, listing: bool, out: Path | None) -> None:
    """Measure what recording costs and yields, each figure paired with its alternative in the same run."""
    if listing:
        for benchmark in registry.BENCHMARKS:
            click.echo(f"{benchmark.name:<12} {benchmark.about}")
        return
    try:
        chosen = registry.choose(only)
    except KeyError as error:
        raise click.BadParameter(
            f"{error.args[0]}; there are {', '.join(registry.names())}", param_hint="--only"
        ) from None
    if no_peers:
        chosen = [benchmark for benchmark in chosen if not benchmark.peers]
    if out is None and not only and not quick:
        out = HERE
    machine = describe(quick)
    took_s: dict[str, float] = {}
    rows = _run(chosen, quick, not no_peers, took_s)
    machine["load_after"] = load()
    machine["took_s"] = took_s
    if out is not None:
        _write(out, rows, machine)
    if as_json:
        json.dump([row.to_dict() for row in rows], sys.stdout, indent=1, ensure_ascii=False)
        print()
    else:
        _show(rows, machine, out)


def _run(chosen: Sequence[registry.Benchmark], quick: bool, peers: bool, took_s: dict[str, float]) -> list[Row]:
    """Run benchmarks, with a progress bar on stderr; one that cannot be run is a row that says why.

    Args:
        chosen: which.
        quick: few repetitions.
        peers: also other systems.
        took_s: takes the seconds that each of them took.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (
        SpinnerColumn(),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    rows: list[Row] = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(chosen))

        def say(text: str) -> None:
            progress.update(task, description=text)
            if not console.is_terminal:
                click.echo(text, err=True)

        with scratch(quick, peers, say, lambda text: console.print(text, style="bold red")) as bench:
            for benchmark in chosen:
                began = time.monotonic()
                try:
                    measured = benchmark.run()(bench)
                except BenchmarkError as error:
                    measured = [Row(benchmark.about, None, "", note=f"not measured: {error}")]
                except Exception as error:  # the figures of the others are not lost for it
                    console.print_exception()
                    measured = [Row(benchmark.about, None, "", note=f"not measured: {type(error).__name__}: {error}")]
                took_s[benchmark.name] = round(time.monotonic() - began, 1)
                for row in measured:
                    row.group = benchmark.name
                rows += measured
                progress.advance(task)
    return rows


def _write(out: Path, rows: Sequence[Row], machine: dict[str, object]) -> None:
    from benchmarks.plots import draw

    out.mkdir(parents=True, exist_ok=True)
    for name, data in (("results.json", [row.to_dict() for row in rows]), ("machine.json", machine)):
        temporary = out / f".{name}.{os.getpid()}"
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(out / name)
    draw(rows, out / "plots")


def _show(rows: Sequence[Row], machine: dict[str, object], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 170)
    table = Table(title=str(machine["summary"]), title_justify="left", show_edge=False, pad_edge=False)
    for heading in ("what", "value", "unit", "quartiles", "stock", "ratio", "target", "", "n"):
        right = heading in ("value", "stock", "ratio", "n")
        table.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        data = row.to_dict()
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.met]
        spread = f"{_number(data['low'])} – {_number(data['high'])}" if row.low is not None else ""
        cells = (row.name, _number(data["value"]), row.unit, spread, _number(data["stock"]), _number(data["ratio"]))
        table.add_row(*cells, str(row.target or ""), verdict, str(row.n or ""))
    console.print(table)
    for row in rows:
        if row.met is False or row.value is None:
            console.print(f"· {row.name}: {row.note}", style="yellow", markup=False)
    took_s = machine["took_s"]
    assert isinstance(took_s, dict)
    longest = sorted(took_s.items(), key=lambda item: -item[1])[:5]
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in longest)
    console.print(f"took {sum(took_s.values()):.0f} s; longest: {parts}", markup=False)
    if out is not None:
        console.print(f"rows: {out / 'results.json'}   machine: {out / 'machine.json'}   plots: {out / 'plots'}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


if __name__ == "__main__":
    main()
