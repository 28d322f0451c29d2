"""The plot of a task as PNG, by matplotlib. The figure and all that is in it are made once and given new data."""

from __future__ import annotations

import io
import threading
from typing import Any

from prov_worker.crate.json_text import one_line
from prov_worker.crate.plot_data import (
    CPU_COLOUR,
    GRID_COLOUR,
    MEMORY_COLOUR,
    TEXT_COLOUR,
    Curve,
    ceiling,
    curves,
    end_of,
    short,
)
from prov_worker.model import TaskSeries

#: Up to here each sample has a dot.
_DOTS = 40


class _Canvas:
    """The one figure that all PNG plots of this process are drawn on."""

    def __init__(self) -> None:
        # An own Agg canvas and no pyplot: pyplot keeps global state and may look for a display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure: Any = Figure(figsize=(6.4, 3.2), dpi=100)
        FigureCanvasAgg(self.figure)
        self.cpu: Any = self.figure.add_axes((0.1, 0.155, 0.8, 0.69))
        self.memory: Any = self.cpu.twinx()
        self.cpu_line, self.cpu_band = self._curve(self.cpu, CPU_COLOUR, "-")
        self.memory_line, self.memory_band = self._curve(self.memory, MEMORY_COLOUR, (0, (4, 2.5)))
        self.cpu.set_xlabel("time since the task began (s)", fontsize=9)
        self.cpu.set_ylabel("CPU (%; 100 = one logical CPU)", color=CPU_COLOUR, fontsize=9)
        self.cpu.tick_params(axis="x", labelsize=9)
        self.cpu.tick_params(axis="y", labelcolor=CPU_COLOUR, labelsize=9)
        self.memory.tick_params(axis="y", labelcolor=MEMORY_COLOUR, labelsize=9)
        self.cpu.grid(visible=True, color=GRID_COLOUR, linewidth=0.6)
        self.cpu.set_axisbelow(True)
        for axes in (self.cpu, self.memory):
            axes.spines["top"].set_visible(False)
        # A title may hold a dollar sign, which is no formula here.
        self.title: Any = self.figure.text(0.1, 0.935, "", fontsize=10, color=TEXT_COLOUR, parse_math=False)
        self.legends: dict[bool, Any] = {}
        for both in (False, True):
            lines = [self.cpu_line, self.memory_line] if both else [self.cpu_line]
            names = ["CPU", "resident memory"][: len(lines)]
            self.legends[both] = self.figure.legend(
                lines, names, loc="lower left", bbox_to_anchor=(0.092, 0.84), ncols=2, frameon=False, fontsize=8.5
            )

    @staticmethod
    def _curve(axes: Any, colour: str, style: Any) -> tuple[Any, Any]:
        (line,) = axes.plot([], [], linestyle=style, color=colour, linewidth=1.4, markersize=2.8)
        (band,) = axes.fill([], [], color=colour, alpha=0.18, linewidth=0)
        return line, band

    def draw(self, series: TaskSeries, title: str) -> bytes:
        """Return PNG of one task."""
        cpu, memory, unit = curves(series)
        self._set(self.cpu_line, self.cpu_band, cpu)
        self.cpu.set_xlim(0.0, end_of(cpu, memory))
        self.cpu.set_ylim(0.0, max(ceiling(cpu.top), 10.0) * 1.03)
        self.memory.set_visible(memory is not None)
        if memory is not None:
            self._set(self.memory_line, self.memory_band, memory)
            self.memory.set_ylim(0.0, ceiling(memory.top) * 1.03)
            self.memory.set_ylabel(f"resident memory ({unit})", color=MEMORY_COLOUR, fontsize=9)
        for both, legend in self.legends.items():
            legend.set_visible(both == (memory is not None))
        self.title.set_text(short(title))
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", metadata={"Software": None, "Title": one_line(title, 200)})
        return buffer.getvalue()

    @staticmethod
    def _set(line: Any, band: Any, data: Curve) -> None:
        line.set_data(data.time_s, data.mean)
        line.set_marker("o" if len(data.mean) <= _DOTS else "")
        banded = data.low is not None and data.high is not None
        band.set_visible(banded)
        if data.low is not None and data.high is not None:
            above = zip(data.time_s, data.high, strict=True)
            below = zip(data.time_s[::-1], data.low[::-1], strict=True)
            band.set_xy([*above, *below])


_canvas: _Canvas | None = None
_drawing = threading.Lock()


def render_png(series: TaskSeries, title: str) -> bytes:
    """Return a PNG of 640 by 320 pixels.

    Args:
        series: the series of a task.
        title: one line above the plot, such as function and task.

    Raises:
        CrateError: no CPU sample.
        ImportError: matplotlib is not installed.
    """
    global _canvas
    with _drawing:
        if _canvas is None:
            _canvas = _Canvas()
        return _canvas.draw(series, title)
