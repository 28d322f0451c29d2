"""A run as a notebook shows it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from prov_worker.crate.html import Markup, Table, section, table, text
from prov_worker.humanize import duration, plural, quantity, size
from prov_worker.run.report.timeline_svg import timeline

if TYPE_CHECKING:
    from prov_worker.run.api import RunRecord

#: Attempts that are read for it, and rows of its table.
MAX_READ, MAX_ROWS = 1000, 30


def run_html(run: RunRecord) -> str:
    """Return the name of a run, its functions, its attempts over time, and the first of them in a table."""
    walk = run.steps()
    steps = list(itertools.islice(walk, MAX_READ))
    more = next(walk, None) is not None
    failed = sum(1 for step in steps if step.failed)
    read = f"the first {plural(len(steps), 'attempt')}" if more else plural(len(steps), "attempt")
    parts = [f"<h1>{text(run.name)}</h1><p>{text(read)}, {failed} failed; {text(run.path)}</p>"]
    if steps:
        parts.append(f"<p>{timeline(steps).svg}</p>")
    functions: dict[str, list[float]] = {}
    for step in steps:
        counts = functions.setdefault(step.function, [0, 0, 0.0])
        counts[0] += 1
        counts[1] += step.failed
        counts[2] += step.wall_s or 0.0
    rows = [
        (name, f"{count:.0f}", f"{bad:.0f}", duration(wall_s / count))
        for name, (count, bad, wall_s) in sorted(functions.items(), key=lambda entry: -entry[1][2])
    ]
    parts.append(
        table(
            Table("Functions", ("Function", "Attempts", "Failed", "Mean time"), rows[:MAX_ROWS], len(rows[MAX_ROWS:]))
        )
    )
    shown = [
        (
            step.key,
            step.function,
            Markup('<span class="failed">failed</span>') if step.failed else "completed",
            duration(step.wall_s),
            quantity(step.cpu_percent, "percent"),
            size(step.peak_rss_bytes),
            (step.error or "").partition("\n")[0],
        )
        for step in steps[:MAX_ROWS]
    ]
    head = ("Step", "Function", "Status", "Time", "CPU", "Peak memory", "Reason")
    parts.append(table(Table("Attempts", head, shown, len(steps) - len(shown))))
    problems = [(problem.where, problem.message) for problem in run.problems]
    parts.append(table(Table("Not read", ("Crate", "Why"), problems[:MAX_ROWS], len(problems[MAX_ROWS:]))))
    return section(parts)
