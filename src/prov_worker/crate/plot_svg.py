"""The plot of a task as SVG, written by hand: below a millisecond for a short task, without an import."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from prov_worker.crate import plot_data
from prov_worker.crate.json_text import one_line
from prov_worker.model import TaskSeries

_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 576, 46, 268

_OPEN = (
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    ' role="img" aria-labelledby="title desc"'
    ' font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="11">'
)


def render_svg(series: TaskSeries, title: str) -> bytes:
    """Return the same picture as SVG 1.1, with a title and a description for readers that do not see it.

    Raises:
        CrateError: no CPU sample.
    """
    cpu, memory, unit = plot_data.curves(series)
    end = plot_data.end_of(cpu, memory)
    cpu_top = max(plot_data.ceiling(cpu.top), 10.0)
    summary = f"CPU use of the task from 0 to {end:.4g} s: {min(cpu.low or cpu.mean):.4g} to {cpu.top:.4g} percent"
    if memory is not None:
        summary += f"; resident memory {min(memory.low or memory.mean):.4g} to {memory.top:.4g} {unit}"
    parts = [
        _OPEN,
        f'<title id="title">{_xml(title)}</title>',
        f'<desc id="desc">{_xml(summary)}.</desc>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="13" fill="{plot_data.TEXT_COLOUR}">{_xml(plot_data.short(title))}</text>',
    ]
    parts += _grid(cpu_top, end)
    parts.append(_axis_label(16, "CPU (%; 100 = one logical CPU)", plot_data.CPU_COLOUR))
    if memory is not None:
        memory_top = plot_data.ceiling(memory.top)
        parts += [
            f'<text x="{_RIGHT + 8}" y="{y:.1f}" fill="{plot_data.MEMORY_COLOUR}">{value:g}</text>'
            for value, y in _ticks(memory_top)
        ]
        parts.append(_axis_label(_WIDTH - 8, f"resident memory ({unit})", plot_data.MEMORY_COLOUR))
        parts += _drawn(memory, memory_top, end, plot_data.MEMORY_COLOUR, ' stroke-dasharray="5 3"')
    parts += _drawn(cpu, cpu_top, end, plot_data.CPU_COLOUR, "")
    parts += _legend(memory is not None)
    parts.append("</svg>\n")
    return "\n".join(parts).encode("utf-8", "replace")


def _xml(text: str) -> str:
    return escape(one_line(text))


def _ticks(top: float) -> list[tuple[float, float]]:
    """Return values and baselines of the labels of a vertical axis."""
    count = 4 if round(top / 10 ** math.floor(math.log10(top)), 6) in (1.0, 2.0) else 5
    return [(top * k / count, _BOTTOM - (_BOTTOM - _TOP) * k / count + 4) for k in range(count + 1)]


def _grid(cpu_top: float, end: float) -> list[str]:
    parts = [f'<g stroke="{plot_data.GRID_COLOUR}" stroke-width="1">']
    ticks = _ticks(cpu_top)
    parts += [f'<path d="M{_LEFT} {y - 4:.1f}H{_RIGHT}"/>' for _, y in ticks]
    step = plot_data.ceiling(end / 8)
    times = [step * k for k in range(int(end / step + 1e-9) + 1)]
    places = [(time, _LEFT + (_RIGHT - _LEFT) * time / end) for time in times]
    parts += [f'<path d="M{x:.1f} {_TOP}V{_BOTTOM}"/>' for _, x in places]
    parts.append("</g>")
    parts += [
        f'<text x="{_LEFT - 8}" y="{y:.1f}" text-anchor="end" fill="{plot_data.CPU_COLOUR}">{value:g}</text>'
        for value, y in ticks
    ]
    parts += [
        f'<text x="{x:.1f}" y="{_BOTTOM + 17}" text-anchor="middle" fill="{plot_data.TEXT_COLOUR}">{time:.4g}</text>'
        for time, x in places
    ]
    middle = (_LEFT + _RIGHT) // 2
    parts.append(
        f'<text x="{middle}" y="{_BOTTOM + 37}" text-anchor="middle" fill="{plot_data.TEXT_COLOUR}">'
        "time since the task began (s)</text>"
    )
    parts.append(f'<path d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}" fill="none" stroke="#888888"/>')
    return parts


def _axis_label(x: int, text: str, colour: str) -> str:
    y = (_TOP + _BOTTOM) // 2
    return f'<text transform="translate({x} {y}) rotate(-90)" text-anchor="middle" fill="{colour}">{_xml(text)}</text>'


def _drawn(data: plot_data.Curve, top: float, end: float, colour: str, style: str) -> list[str]:
    across, up = (_RIGHT - _LEFT) / end, (_BOTTOM - _TOP) / top

    def places(values: Sequence[float]) -> list[str]:
        return [
            f"{_LEFT + time * across:.1f},{_BOTTOM - value * up:.1f}"
            for time, value in zip(data.time_s, values, strict=True)
        ]

    parts = []
    if data.low is not None and data.high is not None:
        outline = " ".join(places(data.high) + places(data.low)[::-1])
        parts.append(f'<polygon points="{outline}" fill="{colour}" fill-opacity="0.18"/>')
    line = places(data.mean)
    parts.append(
        f'<polyline points="{" ".join(line)}" fill="none" stroke="{colour}" stroke-width="1.6" '
        f'stroke-linejoin="round"{style}/>'
    )
    if len(line) <= 40:
        dots = "".join(f'<circle cx="{x}" cy="{y}" r="2"/>' for x, _, y in (point.partition(",") for point in line))
        parts.append(f'<g fill="{colour}">{dots}</g>')
    return parts


def _legend(memory: bool) -> list[str]:
    y = 36
    parts = [
        f'<path d="M{_LEFT} {y - 4}h22" stroke="{plot_data.CPU_COLOUR}" stroke-width="2"/>',
        f'<text x="{_LEFT + 27}" y="{y}" fill="{plot_data.TEXT_COLOUR}">CPU</text>',
    ]
    if memory:
        x = _LEFT + 68
        parts += [
            f'<path d="M{x} {y - 4}h22" stroke="{plot_data.MEMORY_COLOUR}" stroke-width="2" stroke-dasharray="5 3"/>',
            f'<text x="{x + 27}" y="{y}" fill="{plot_data.TEXT_COLOUR}">resident memory</text>',
        ]
    return parts
