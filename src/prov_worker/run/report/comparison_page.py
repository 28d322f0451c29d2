"""Writes the page about two runs side by side: tables, without a script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prov_worker import __version__
from prov_worker.files import atomic_write
from prov_worker.run.report.comparison import Comparison, Figures
from prov_worker.run.report.templates import style, template

#: Changes that are named one by one.
MOST_CHANGES = 500
_WIDEST = 3.0


@dataclass(frozen=True, slots=True)
class _Bar:
    """How much longer a function takes in the second run: from the middle of a bar, as SVG has it."""

    x: float
    width: float


def write_comparison(comparison: Comparison, runs: tuple[str, str], problems: list[str], target: Path) -> None:
    """Write the page, temporary and then renamed.

    Args:
        comparison: of the runs.
        runs: their names.
        problems: what could not be read.
        target: the HTML file.

    Raises:
        InputError: jinja2 is missing, or the file cannot be written.
    """
    functions = [(name, first, second, _ratio(first, second)) for name, (first, second) in comparison.functions.items()]
    kinds = [change.change for change in comparison.changes]
    html = template("comparison.html.j2").render(
        title=f"{runs[0]} and {runs[1]}",
        runs=runs,
        comparison=comparison,
        functions=functions,
        bars={name: _bar(ratio) for name, _, _, ratio in functions if ratio is not None},
        counts={kind: kinds.count(kind) for kind in ("failed", "completed", "result")},
        most=MOST_CHANGES,
        problems=problems,
        style=style(),
        version=__version__,
    )
    with atomic_write(target) as path:
        path.write_text(html, encoding="utf-8")


def _ratio(first: Figures | None, second: Figures | None) -> float | None:
    """Return the second's median wall time over the first's."""
    if first is None or second is None or not first.wall_s or second.wall_s is None:
        return None
    return second.wall_s / first.wall_s


def _bar(ratio: float) -> _Bar:
    # Half and twice are equally wide.
    part = min(max(ratio, 1 / _WIDEST), _WIDEST)
    width = 50 * (part - 1 if part > 1 else 1 / part - 1) / (_WIDEST - 1)
    return _Bar(50 if part > 1 else 50 - width, width)
