"""The plot of a task as PNG, by matplotlib. The figure and all that is in it are made once and given new data."""

from __future__ import annotations

import io
import threading
from typing import Any

from prov_worker.crate.json_text import one_line
from prov_worker.crate.plot_caption import Caption
from prov_worker.crate.plot_data import (
    CPU_COLOUR,
    ENDING_COLOUR,
    GRID_COLOUR,
    MEMORY_COLOUR,
    NODE_COLOUR,
    TEXT_COLOUR,
    Curve,
    picture,
)
from prov_worker.model import TaskSeries

#: Up to here each sample has a dot.
_DOTS = 40
#: Of the figure: 1280 by 800 pixels, twice as many each way as it takes on a page.
_INCHES, _DPI = (6.4, 4.0), 200
_LEFT, _WIDTH, _TOP = 0.1, 0.865, 0.835
_MARKS = 2
_COLOURS = 128


class _Canvas:
    """The one figure that all PNG plots of this process are drawn on."""

    def __init__(self) -> None:
        # An own Agg canvas and no pyplot: pyplot keeps global state and may look for a display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure: Any = Figure(figsize=_INCHES, dpi=_DPI)
        FigureCanvasAgg(self.figure)
        self.cpu: Any = self.figure.add_axes((_LEFT, 0.42, _WIDTH, _TOP - 0.42))
        self.memory: Any = self.figure.add_axes((_LEFT, 0.125, _WIDTH, 0.225))
        self.node_line, self.node_band = self._curve(self.cpu, NODE_COLOUR, "-")
        self.cpu_line, self.cpu_band = self._curve(self.cpu, CPU_COLOUR, "-")
        self.memory_line, self.memory_band = self._curve(self.memory, MEMORY_COLOUR, "-")
        self.allowed: Any = self.cpu.axhline(0.0, color=TEXT_COLOUR, linewidth=0.9, linestyle=(0, (6, 3)))
        self.cpu.set_ylabel("CPU (%; 100 = one CPU)", color=CPU_COLOUR, fontsize=8)
        for axes, colour in ((self.cpu, CPU_COLOUR), (self.memory, MEMORY_COLOUR)):
            axes.tick_params(axis="x", labelsize=8)
            axes.tick_params(axis="y", labelcolor=colour, labelsize=8)
            axes.grid(visible=True, color=GRID_COLOUR, linewidth=0.6)
            axes.set_axisbelow(True)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        # A title may hold a dollar sign, which is not a formula here.
        self.title: Any = self.figure.text(_LEFT, 0.95, "", fontsize=10, color=TEXT_COLOUR, parse_math=False)
        self.details: Any = self.figure.text(_LEFT, 0.905, "", fontsize=8, color="#555555", parse_math=False)
        self.legend: Any = None
        self.marks = [
            (
                [axes.axvline(0.0, color=ENDING_COLOUR, linewidth=1.2) for axes in (self.cpu, self.memory)],
                self.cpu.text(0.0, 0.0, "", fontsize=8, color=ENDING_COLOUR, parse_math=False),
            )
            for _ in range(_MARKS)
        ]

    @staticmethod
    def _curve(axes: Any, colour: str, style: Any) -> tuple[Any, Any]:
        (line,) = axes.plot([], [], linestyle=style, color=colour, linewidth=1.3, markersize=2.6)
        (band,) = axes.fill([], [], color=colour, alpha=0.18, linewidth=0)
        return line, band

    def draw(self, series: TaskSeries, caption: Caption) -> bytes:
        """Return the PNG of one task."""
        drawn = picture(series, caption)
        self._set(self.cpu_line, self.cpu_band, drawn.cpu)
        self._set(self.node_line, self.node_band, drawn.node)
        self._set(self.memory_line, self.memory_band, drawn.memory)
        self.allowed.set_visible(drawn.allowed_percent is not None)
        self.allowed.set_ydata([drawn.allowed_percent or 0.0] * 2)
        self.memory.set_visible(drawn.memory is not None)
        below = 0.42 if drawn.memory is not None else 0.125
        self.cpu.set_position((_LEFT, below, _WIDTH, _TOP - below))
        self.cpu.set_ylim(0.0, drawn.cpu_top * 1.14)  # with space for what is marked
        self.memory.set_ylim(0.0, drawn.memory_top * 1.05)
        self.memory.set_ylabel(f"memory ({drawn.unit})", color=MEMORY_COLOUR, fontsize=8)
        for axes in (self.cpu, self.memory):
            axes.set_xlim(0.0, drawn.end_s * 1.005)
            axes.set_xlabel("")
        lowest = self.memory if drawn.memory is not None else self.cpu
        lowest.set_xlabel("time since the task began (s)", fontsize=8)
        self.cpu.tick_params(axis="x", labelbottom=drawn.memory is None)
        self._name(drawn.names, drawn.node is not None, drawn.allowed_percent is not None)
        self._mark(drawn.ends, drawn.end_s, drawn.cpu_top)
        self.title.set_text(one_line(caption.title))
        self.details.set_text(one_line(caption.details))
        return self._png(one_line(caption.text, 200))

    def _png(self, title: str) -> bytes:
        """Return the figure in so few colours that nobody can tell: a third of the bytes, and sooner."""
        from PIL import Image, PngImagePlugin

        self.figure.canvas.draw()
        pixels = Image.frombuffer("RGBA", self.figure.canvas.get_width_height(), self.figure.canvas.buffer_rgba())
        few = pixels.convert("RGB").quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("Title", title)
        buffer = io.BytesIO()
        few.save(buffer, "png", pnginfo=notes, dpi=(_DPI, _DPI))
        return buffer.getvalue()

    def _name(self, names: list[str], node: bool, allowed: bool) -> None:
        if self.legend is not None:
            self.legend.remove()
        lines = [self.cpu_line, *([self.node_line] if node else []), *([self.allowed] if allowed else [])]
        self.legend = self.figure.legend(
            lines, names, loc="lower left", bbox_to_anchor=(_LEFT - 0.008, 0.832), ncols=3, frameon=False, fontsize=8
        )

    def _mark(self, ends: list[tuple[float, str]], end_s: float, top: float) -> None:
        """Mark moments by a line through both panels, with a word to its left, each a line lower."""
        for number, (lines, text) in enumerate(self.marks):
            marked = number < len(ends)
            time_s, word = ends[number] if marked else (0.0, "")
            for line in lines:
                line.set_visible(marked)
                line.set_xdata([time_s, time_s])
                line.set_linestyle("-" if number == 0 else ":")
            text.set_text(one_line(word))
            right = time_s > end_s / 2
            text.set_position((time_s + end_s * (-0.008 if right else 0.008), top * (1.04 - 0.12 * number)))
            text.set_horizontalalignment("right" if right else "left")

    @staticmethod
    def _set(line: Any, band: Any, data: Curve | None) -> None:
        line.set_visible(data is not None)
        band.set_visible(False)
        if data is None:
            return
        line.set_data(data.time_s, data.mean)
        line.set_marker("o" if len(data.mean) <= _DOTS else "")
        if data.low is not None and data.high is not None:
            band.set_visible(True)
            above = zip(data.time_s, data.high, strict=True)
            below = zip(data.time_s[::-1], data.low[::-1], strict=True)
            band.set_xy([*above, *below])


_canvas: _Canvas | None = None
_drawing = threading.Lock()


def render_png(series: TaskSeries, caption: Caption) -> bytes:
    """Return a PNG of 1280 by 800 pixels, to be shown at half of that.

    Args:
        series: the series of a task, and of its node.
        caption: what it says beside the curves.

    Raises:
        CrateError: no CPU sample.
        ImportError: matplotlib is not installed.
    """
    global _canvas
    with _drawing:
        if _canvas is None:
            _canvas = _Canvas()
        return _canvas.draw(series, caption)
