"""Pictures for notebooks, as SVG written by hand: a notebook shows them, and :meth:`Picture.save` keeps them.

Names in them come from tasks, and are escaped.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from prov_worker.crate.json_text import one_line
from prov_worker.files import write_file
from prov_worker.humanize import number, plural
from prov_worker.training import Metric, Training, thinned

WIDTH = 720
LEFT, RIGHT = 76, 700
#: Most panels of a picture, lines of a panel, and points of a line.
MAX_PANELS, MAX_LINES, MAX_POINTS = 12, 10, 400
COLOURS = ("#1f5fa8", "#b4531a", "#1b7f4b", "#7a3fa0", "#a8871f", "#2a8c99", "#b3261e", "#5a6b2f", "#8a4a6b", "#555555")
_PANEL, _PLOT = 170, 110
_MUTED = "#666666"


class Picture:
    """A picture that a notebook shows.

    Args:
        svg: text of the picture.
    """

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        """Return what a notebook asks for (IPython, "Rich display")."""
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file.

        Raises:
            OSError: it cannot be written.
        """
        write_file(Path(path), self.svg.encode("utf-8", "replace"))


def document(height: float, parts: Iterable[str]) -> str:
    """Return a picture of :data:`WIDTH` and some height in pixels."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def label(x: float, y: float, text: object, *, anchor: str = "start", colour: str = "#222222", size: int = 11) -> str:
    """Return a line of text in a picture."""
    shown = escape(one_line(text, 90))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{shown}</text>'


def metric_curves(trainings: Mapping[str, Training]) -> Picture:
    """Draw the metrics of runs over their steps: a panel for each metric, a line for each run.

    Args:
        trainings: by what a line is called.
    """
    panels: dict[str, list[tuple[str, Metric]]] = {}
    for name, training in trainings.items():
        for tracked in training.runs:
            called = " · ".join(part for part in (name, tracked.name if len(training.runs) > 1 else "") if part)
            for metric in tracked.metrics:
                panels.setdefault(metric.name, []).append((called, metric))
    shown = list(panels.items())[:MAX_PANELS]
    parts: list[str] = []
    for index, (title, lines) in enumerate(shown):
        parts += _panel(title, lines, index * _PANEL)
    if not shown:
        parts.append(label(LEFT, 24, "no metric", colour=_MUTED))
    elif len(panels) > len(shown):
        parts.append(
            label(LEFT, len(shown) * _PANEL + 14, f"{plural(len(panels) - len(shown), 'more metric')}", size=10)
        )
    return Picture(document(max(len(shown) * _PANEL + (20 if len(panels) > len(shown) else 0), 40), parts))


def _panel(title: str, lines: Sequence[tuple[str, Metric]], top: float) -> list[str]:
    curves = [(name, _points(metric)) for name, metric in lines]
    drawn = [(name, points) for name, points in curves if points][:MAX_LINES]
    bottom = top + 28 + _PLOT
    parts = [label(LEFT, top + 16, title, size=12)]
    if not drawn:
        return [*parts, label(LEFT, top + 40, "no finite value", colour=_MUTED)]
    steps = [step for _, points in drawn for step, _ in points]
    values = [value for _, points in drawn for _, value in points]
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    if low == high:
        low, high = low - abs(low) * 0.1 - 0.1, high + abs(high) * 0.1 + 0.1
    across, up = (RIGHT - LEFT) / ((last - first) or 1), _PLOT / ((high - low) or 1.0)
    parts += [
        f'<path d="M{LEFT} {top + 28:.1f}V{bottom:.1f}H{RIGHT}" fill="none" stroke="#999999"/>',
        label(LEFT - 6, top + 34, number(high), anchor="end", colour=_MUTED, size=10),
        label(LEFT - 6, bottom, number(low), anchor="end", colour=_MUTED, size=10),
        label(LEFT, bottom + 14, first, colour=_MUTED, size=10),
        label(RIGHT, bottom + 14, f"step {last}", anchor="end", colour=_MUTED, size=10),
    ]
    for index, (name, points) in enumerate(drawn):
        colour = COLOURS[index % len(COLOURS)]
        places = [(LEFT + (step - first) * across, bottom - (value - low) * up) for step, value in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        if len(places) == 1:
            parts.append(f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="2.5" fill="{colour}"/>')
        if name and len(drawn) > 1:
            parts.append(label(RIGHT - 4, top + 38 + 13 * index, name, anchor="end", colour=colour, size=10))
    return parts


def _points(metric: Metric) -> list[tuple[int, float]]:
    """Return step and value of what can be drawn."""
    finite = [
        (step, float(value), 0)
        for step, value in zip(metric.steps, metric.values, strict=False)
        if value is not None and math.isfinite(value) and abs(value) < 1e300
    ]
    return [(step, value) for step, value, _ in thinned(finite, MAX_POINTS)]
