"""The attempts of a run over time, as a picture for notebooks: a line for each worker, a bar for each attempt."""

from __future__ import annotations

from collections.abc import Iterable

from prov_worker.crate.pictures import COLOURS, LEFT, RIGHT, Picture, document, label
from prov_worker.crate.summary import RunStep
from prov_worker.humanize import duration, plural

#: Most attempts and workers that are drawn.
MAX_ATTEMPTS, MAX_WORKERS = 5000, 60
_ROW, _TOP = 14, 34
_FAILED, _MUTED = "#b3261e", "#666666"


def timeline(steps: Iterable[RunStep]) -> Picture:
    """Draw attempts: coloured by function, failed ones in red."""
    drawn: list[RunStep] = []
    count = 0
    for step in steps:
        count += 1
        if len(drawn) < MAX_ATTEMPTS:
            drawn.append(step)
    if not drawn:
        return Picture(document(40, [label(LEFT, 24, "no attempt", colour=_MUTED)]))
    drawn.sort(key=lambda step: (step.began_ns, step.key))
    workers = {worker: row for row, worker in enumerate(dict.fromkeys(step.worker for step in drawn))}
    functions = {name: number for number, name in enumerate(dict.fromkeys(step.function for step in drawn))}
    first, last = min(step.began_ns for step in drawn), max(step.end_ns for step in drawn)
    rows = min(len(workers), MAX_WORKERS)
    bottom = _TOP + rows * _ROW
    across = (RIGHT - LEFT) / ((last - first) or 1)
    parts = [label(LEFT, 16, f"{plural(count, 'attempt')} on {plural(len(workers), 'worker')}", size=12)]
    for step in drawn:
        row = workers[step.worker]
        if row >= MAX_WORKERS:
            continue
        colour = _FAILED if step.failed else COLOURS[functions[step.function] % (len(COLOURS) - 4)]
        x, width = LEFT + (step.began_ns - first) * across, max((step.end_ns - step.began_ns) * across, 0.8)
        parts.append(f'<rect x="{x:.1f}" y="{_TOP + row * _ROW}" width="{width:.1f}" height="10" fill="{colour}"/>')
    for worker, row in list(workers.items())[:MAX_WORKERS]:
        parts.append(label(LEFT - 6, _TOP + row * _ROW + 9, worker[-12:], anchor="end", colour=_MUTED, size=9))
    parts += [
        f'<path d="M{LEFT} {bottom}H{RIGHT}" stroke="#999999"/>',
        label(LEFT, bottom + 14, "0 s", colour=_MUTED, size=10),
        label(RIGHT, bottom + 14, duration((last - first) / 1e9), anchor="end", colour=_MUTED, size=10),
    ]
    shown = list(functions.items())[:8]
    for name, number in shown:
        colour, column, line = COLOURS[number % (len(COLOURS) - 4)], number % 4, number // 4
        parts.append(label(LEFT + column * 156, bottom + 32 + 14 * line, name[:24], colour=colour, size=10))
    left_out = (count - len(drawn), max(0, len(workers) - MAX_WORKERS))
    if any(left_out):
        text = f"not drawn: {plural(left_out[0], 'attempt')}, {plural(left_out[1], 'worker')}"
        parts.append(label(RIGHT, 16, text, anchor="end", colour=_MUTED, size=10))
    return Picture(document(bottom + 42 + 14 * ((len(shown) - 1) // 4), parts))
