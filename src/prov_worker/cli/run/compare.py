"""``prov-worker run compare``: two runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.cli.common.selection import selects
from prov_worker.crate import vocabulary as v
from prov_worker.files import refuse_overwrite
from prov_worker.humanize import duration, plural, size
from prov_worker.training import Training

if TYPE_CHECKING:
    from prov_worker.crate.summary import RunStep
    from prov_worker.run.api import RunRecord
    from prov_worker.run.report.comparison import Comparison, Figures, Pair
    from prov_worker.run.selection import Selection

_SHOWN = 20
_NONE = "–"


@examples("prov-worker run compare RUN.crate LATER.crate")
@click.command("compare")
@click.argument("first", type=terminal.PATH, metavar="A")
@click.argument("second", type=terminal.PATH, metavar="B")
@click.option("-o", "--output", type=terminal.PATH, metavar="FILE", help="Write a self-contained page too.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists and is not such a page.")
@selects()
@click.option("--json", "as_json", is_flag=True, help="The comparison, as JSON.")
def command(first: str, second: str, output: str | None, overwrite: bool, as_json: bool, selection: Selection) -> int:
    """Compare the runs A and B: run crates, or directories of step crates.

    Tasks are matched by their function and the content of their arguments. Crates that cannot be read are named, and
    the exit code is 1; without an attempt in A or in B it is 2.
    """
    from prov_worker.run.api import open_run
    from prov_worker.run.report.comparison import compare, compare_packages
    from prov_worker.run.report.templates import OWN_MARK

    if output is not None:
        refuse_overwrite(Path(output), overwrite=overwrite, own=OWN_MARK)
    runs = open_run(first, selection), open_run(second, selection.copy())
    with terminal.progress("reading", None) as advance:
        walks = [_Walk(run, advance) for run in runs]
        comparison = compare(walks[0], walks[1], (walks[0].training, walks[1].training))
    comparison.packages = compare_packages(*(walk.packages.values() for walk in walks))
    for run, walk in zip(runs, walks, strict=True):
        if not walk.count:
            raise run.nothing()
    problems = [problem for run in runs for problem in run.problems]
    for problem in problems:
        click.echo(f"prov-worker: {terminal.line(problem)}", err=True)
    if output is not None:
        from prov_worker.run.report.comparison_page import write_comparison

        write_comparison(comparison, (runs[0].name, runs[1].name), list(map(str, problems)), Path(output))
    if as_json:
        named = [asdict(problem) for problem in problems]
        terminal.print_json({"first": first, "second": second, **asdict(comparison), "problems": named})
    else:
        _print(comparison)
    return 1 if problems else 0


class _Walk:
    """The attempts of a run, counted as they are read, and the packages of each environment that they ran in."""

    def __init__(self, run: RunRecord, advance: terminal.Advance) -> None:
        self._run, self._advance = run, advance
        self.count = 0
        self._has_training = False
        self.packages: dict[str, dict[str, str]] = {}

    def __iter__(self) -> Iterator[RunStep]:
        from prov_worker.run.report.comparison import packages_of

        for step, crate in self._run.opened():
            self.count += 1
            self._advance()
            self._has_training = v.TRAINING_FILE in crate.entities
            environment = step.software_sha256
            if environment is not None and environment not in self.packages:
                self.packages[environment] = packages_of(crate)
            yield step

    def training(self, step: RunStep) -> Training:
        """Return what libraries report of the attempt that was yielded last."""
        from prov_worker.crate.training import training_of

        if self._has_training:
            with self._run.sparing(step):
                return training_of(self._run.source(step))
        return Training()


def _print(comparison: Comparison) -> None:
    heads = ("function", "tasks", "failed", "attempts", "wall time", "CPU time", "peak RSS", "all attempts")
    rows = [_row(name, *figures) for name, figures in comparison.functions.items()]
    terminal.table(heads, rows, right=heads[1:])
    slower = "" if comparison.slower is None else f"; B took {comparison.slower:.2f} times as long, by the median"
    click.echo(f"{plural(comparison.matched, 'call')} in both{slower}")
    for run, counts in (("A", comparison.only_first), ("B", comparison.only_second)):
        if counts:
            listed = ", ".join(f"{count:,} {terminal.plain(name)}" for name, count in counts.items())
            click.echo(f"in {run} alone: {listed}")
    if comparison.unmatched:
        click.echo(
            f"{plural(comparison.unmatched, 'task')} cannot be matched: the content of an argument was not recorded"
        )
    for pair in comparison.changes[:_SHOWN]:
        click.echo(f"{_CHANGES[pair.change]}: {terminal.line(_named(pair))}")
    if len(comparison.changes) > _SHOWN:
        click.echo(f"and {len(comparison.changes) - _SHOWN:,} more; --json has all")
    for head, differing in (("differs", comparison.environments), ("parameter", comparison.parameters)):
        if differing:
            facts = [(name, *(", ".join(values) or _NONE for values in sides)) for name, sides in differing.items()]
            terminal.table((head, "A", "B"), facts)
    if comparison.metrics:
        numbers = [
            (name, *(_NONE if value is None else f"{value:.6g}" for value in sides))
            for name, sides in comparison.metrics.items()
        ]
        terminal.table(("metric, median of last values", "A", "B"), numbers, right=("A", "B"))
    if comparison.packages:
        rows = [(name, *(", ".join(side) or _NONE for side in sides)) for name, sides in comparison.packages.items()]
        terminal.table(("package", "A", "B"), rows[:_SHOWN])
        if len(rows) > _SHOWN:
            click.echo(f"and {plural(len(rows) - _SHOWN, 'more package')}; --json has all")


_CHANGES = {"failed": "fails in B", "completed": "failed in A alone", "result": "another result"}


def _named(pair: Pair) -> str:
    detail = f": {pair.detail.splitlines()[0]}" if pair.detail else ""
    return f"{pair.function} ({pair.first[:8]} in A, {pair.second[:8]} in B){detail}"


def _row(name: str, first: Figures | None, second: Figures | None) -> tuple[str, ...]:
    def both(cell: Callable[[Figures], str]) -> str:
        cells = [_NONE if side is None else cell(side) for side in (first, second)]
        return cells[0] if cells[0] == cells[1] else " → ".join(cells)

    return (
        name,
        both(lambda side: f"{side.tasks:,}"),
        both(lambda side: f"{side.failed:,}"),
        both(lambda side: f"{side.attempts:,}"),
        both(lambda side: duration(side.wall_s)),
        both(lambda side: duration(side.cpu_s)),
        both(lambda side: size(side.peak_rss_bytes)),
        both(lambda side: duration(side.wall_sum_s)),
    )
