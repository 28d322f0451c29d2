"""Plots of cost per task: against the number of workers, and against the length of the task."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row

_LENGTH = re.compile(r"(?P<who>.*?)added to a task of (?P<x>[0-9.e+-]+) s$")
_WORKERS = re.compile(r"(?P<who>.*?)added to a no-op, (?P<x>[0-9]+) workers? at once$")
_RUNS = re.compile(r"(?P<who>assemble|verify a run of|index|ask an index of) (?P<x>[0-9,]+) step crates$")
_OURS = "prov_worker"


def draw(rows: Sequence[Row], directory: Path) -> list[Path]:
    """Draw what the rows allow; gives the files."""
    files = []
    for name, pattern, label, shift in (
        ("cost_by_task_length", _LENGTH, "length of the task (s); a no-op at the left edge", 1e-4),
        ("cost_by_workers", _WORKERS, "workers that run no-ops at once", 0.0),
    ):
        lines = _lines(rows, pattern)
        if lines:
            files += _plot(lines, label, shift, directory, name)
    return files + _plot_runs(rows, directory)


def _lines(rows: Sequence[Row], pattern: re.Pattern[str]) -> dict[str, list[tuple[float, Row]]]:
    lines: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        match = pattern.match(row.name)
        if match is not None and row.value is not None:
            who = match["who"].rstrip(": ") or _OURS
            lines.setdefault(who, []).append((float(match["x"]), row))
    return lines


def _plot(
    lines: dict[str, list[tuple[float, Row]]], label: str, shift: float, directory: Path, name: str
) -> list[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for who, points in lines.items():
        points.sort(key=lambda point: point[0])
        # a logarithmic axis has no zero and no place for a difference below it
        x = [max(value, shift) for value, _ in points]
        y = [max(row.value or 0.0, 0.1) for _, row in points]
        low = [max(row.low if row.low is not None else row.value or 0.0, 0.1) for _, row in points]
        high = [max(row.high if row.high is not None else row.value or 0.0, 0.1) for _, row in points]
        (line,) = axes.plot(x, y, "o-", label=who)
        axes.fill_between(x, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="added to a task (µs), median and quartiles")
    axes.axhline(15, color="0.5", linewidth=1, linestyle="--", label="target")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    directory.mkdir(parents=True, exist_ok=True)
    files = [directory / f"{name}.{suffix}" for suffix in ("png", "svg")]
    for file in files:
        figure.savefig(file)
    return files


def _plot_runs(rows: Sequence[Row], directory: Path) -> list[Path]:
    """Time against the number of step crates, beside a line that grows in proportion."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        match = _RUNS.match(row.name)
        if match is not None and row.value is not None and row.unit == "s":
            who = match["who"].partition(" ")[0]
            lines.setdefault(who, []).append((int(match["x"].replace(",", "")), row.value))
    if not lines:
        return []
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for who, points in lines.items():
        points.sort()
        axes.plot([x for x, _ in points], [y for _, y in points], "o-", label=who)
    ours = lines.get("assemble") or next(iter(lines.values()))
    (x, y), (end, _) = ours[0], ours[-1]
    axes.plot([x, end], [y, y * end / x], "--", color="0.5", label="in proportion")
    axes.set(xscale="log", yscale="log", xlabel="step crates", ylabel="time (s)")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    path = directory / "runs_by_size.png"
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return [path]
