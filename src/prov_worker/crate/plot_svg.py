"""The plot of a task as SVG, written by hand: below a millisecond for a short task, without an import."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from prov_worker.crate import plot_data
from prov_worker.crate.json_text import one_line
from prov_worker.crate.plot_caption import Caption
from prov_worker.model import TaskSeries

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT = 64, 618
_DOTS = 40

_OPEN = (
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    ' role="img" aria-labelledby="title desc"'
    ' font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="11">'
)


@dataclass(frozen=True, slots=True)
class _Panel:
    """A part of the picture with an axis of its own: a unit.

    Attributes:
        upper, lower: its edges, pixels from the top.
        top: largest value of its axis.
        end_s: largest time.
    """

    upper: int
    lower: int
    top: float
    end_s: float

    def x(self, time_s: float) -> float:
        """Return where a time is."""
        return _LEFT + (_RIGHT - _LEFT) * time_s / self.end_s

    def y(self, value: float) -> float:
        """Return where a value is."""
        return self.lower - (self.lower - self.upper) * value / self.top


def render_svg(series: TaskSeries, caption: Caption) -> bytes:
    """Return the same picture as SVG 1.1, with a title and a description for readers that do not see it.

    Raises:
        CrateError: no CPU sample.
    """
    drawn = plot_data.picture(series, caption)
    cpu, memory = drawn.cpu, drawn.memory
    summary = (
        f"CPU use of the task from 0 to {drawn.end_s:.4g} s: {min(cpu.low or cpu.mean):.4g} to {cpu.top:.4g} percent"
    )
    if memory is not None:
        summary += f"; resident memory {min(memory.low or memory.mean):.4g} to {memory.top:.4g} {drawn.unit}"
    summary += "".join(f"; {word} at {time_s:.4g} s" for time_s, word in drawn.ends)
    upper = _Panel(66, 230 if memory is not None else 350, drawn.cpu_top, drawn.end_s)
    parts = [
        _OPEN,
        f'<title id="title">{_xml(caption.text)}</title>',
        f'<desc id="desc">{_xml(summary)}.</desc>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 20, caption.title, plot_data.TEXT_COLOUR, ' font-size="13"'),
        _text(_LEFT, 36, caption.details, "#555555"),
    ]
    parts += _axes(upper, "CPU (%; 100 = one CPU)", plot_data.CPU_COLOUR)
    if drawn.node is not None:
        parts += _curve(drawn.node, upper, plot_data.NODE_COLOUR)
    if drawn.allowed_percent is not None:
        y = upper.y(drawn.allowed_percent)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="{plot_data.TEXT_COLOUR}" stroke-dasharray="7 4"/>')
    parts += _curve(cpu, upper, plot_data.CPU_COLOUR)
    lowest = upper
    if memory is not None:
        lowest = _Panel(258, 350, drawn.memory_top, drawn.end_s)
        parts += _axes(lowest, f"memory ({drawn.unit})", plot_data.MEMORY_COLOUR)
        parts += _curve(memory, lowest, plot_data.MEMORY_COLOUR)
    parts += _times(lowest)
    parts += _marks(drawn.ends, upper, lowest)
    parts += _legend(drawn)
    parts.append("</svg>\n")
    return "\n".join(parts).encode("utf-8", "replace")


def _xml(text: str) -> str:
    return escape(one_line(text))


def _text(x: float, y: float, text: str, colour: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{attributes}>{_xml(text)}</text>'


def _ticks(top: float) -> list[float]:
    """Return the values of a vertical axis that have labels."""
    count = 4 if round(top / 10 ** math.floor(math.log10(top)), 6) in (1.0, 2.0) else 5
    return [top * k / count for k in range(count + 1)]


def _time_ticks(end_s: float) -> list[float]:
    step = plot_data.ceiling(end_s / 8)
    return [step * k for k in range(int(end_s / step + 1e-9) + 1)]


def _axes(panel: _Panel, label: str, colour: str) -> list[str]:
    ticks = _ticks(panel.top)
    parts = [f'<g stroke="{plot_data.GRID_COLOUR}" stroke-width="1">']
    parts += [f'<path d="M{_LEFT} {panel.y(value):.1f}H{_RIGHT}"/>' for value in ticks]
    parts += [f'<path d="M{panel.x(time):.1f} {panel.upper}V{panel.lower}"/>' for time in _time_ticks(panel.end_s)]
    parts.append("</g>")
    parts += [_text(_LEFT - 8, panel.y(value) + 4, f"{value:g}", colour, ' text-anchor="end"') for value in ticks]
    middle = (panel.upper + panel.lower) // 2
    turned = f'transform="translate(16 {middle}) rotate(-90)" text-anchor="middle"'
    parts.append(f'<text {turned} fill="{colour}">{_xml(label)}</text>')
    parts.append(f'<path d="M{_LEFT} {panel.upper}V{panel.lower}H{_RIGHT}" fill="none" stroke="#888888"/>')
    return parts


def _times(panel: _Panel) -> list[str]:
    """Return the labels of the horizontal axis, below the lowest panel."""
    anchor = ' text-anchor="middle"'
    parts = [
        _text(panel.x(time), panel.lower + 17, f"{time:.4g}", plot_data.TEXT_COLOUR, anchor)
        for time in _time_ticks(panel.end_s)
    ]
    middle = (_LEFT + _RIGHT) / 2
    parts.append(_text(middle, panel.lower + 37, "time since the task began (s)", plot_data.TEXT_COLOUR, anchor))
    return parts


def _curve(data: plot_data.Curve, panel: _Panel, colour: str) -> list[str]:
    def places(values: Sequence[float]) -> list[str]:
        return [f"{panel.x(time):.1f},{panel.y(value):.1f}" for time, value in zip(data.time_s, values, strict=True)]

    parts = []
    if data.low is not None and data.high is not None:
        outline = " ".join(places(data.high) + places(data.low)[::-1])
        parts.append(f'<polygon points="{outline}" fill="{colour}" fill-opacity="0.18"/>')
    line = places(data.mean)
    parts.append(
        f'<polyline points="{" ".join(line)}" fill="none" stroke="{colour}" stroke-width="1.6" '
        'stroke-linejoin="round"/>'
    )
    if len(line) <= _DOTS:
        dots = "".join(f'<circle cx="{x}" cy="{y}" r="2"/>' for x, _, y in (point.partition(",") for point in line))
        parts.append(f'<g fill="{colour}">{dots}</g>')
    return parts


def _marks(ends: Sequence[tuple[float, str]], upper: _Panel, lowest: _Panel) -> list[str]:
    """Return lines through all panels with a word beside each, the next one a line lower."""
    parts = []
    for number, (time_s, word) in enumerate(ends):
        x, style = upper.x(time_s), ' stroke-dasharray="2 3"' if number else ""
        line = f'd="M{x:.1f} {upper.upper}V{lowest.lower}" stroke="{plot_data.ENDING_COLOUR}" stroke-width="1.4"'
        parts.append(f"<path {line}{style}/>")
        right = time_s > upper.end_s / 2
        anchor = ' text-anchor="end"' if right else ""
        y = upper.upper - 3 + 15 * number
        parts.append(_text(x - 5 if right else x + 5, y, word, plot_data.ENDING_COLOUR, anchor))
    return parts


def _legend(drawn: plot_data.Picture) -> list[str]:
    styles = [f'stroke="{plot_data.CPU_COLOUR}"']
    if drawn.node is not None:
        styles.append(f'stroke="{plot_data.NODE_COLOUR}"')
    if drawn.allowed_percent is not None:
        styles.append(f'stroke="{plot_data.TEXT_COLOUR}" stroke-dasharray="7 4"')
    parts, x = [], float(_LEFT)
    for name, style in zip(drawn.names, styles, strict=True):
        parts.append(f'<path d="M{x:.1f} 51h22" {style} stroke-width="2"/>')
        parts.append(_text(x + 27, 55, name, plot_data.TEXT_COLOUR))
        x += 45 + 6.5 * len(name)
    return parts
