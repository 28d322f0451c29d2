"""Writes the page: figures and tables as HTML that needs no script, the rest as packed data beside one script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from prov_worker import __version__
from prov_worker.counters import COLUMNS
from prov_worker.crate.gpu_use import USED_PERCENT
from prov_worker.files import atomic_write
from prov_worker.run.api import RunRecord
from prov_worker.run.report import advice
from prov_worker.run.report.downsample import packed
from prov_worker.run.report.figures import (
    Summary,
    busy,
    failures,
    functions,
    mean_cpus,
    summarise,
)
from prov_worker.run.report.model import Gathered, Profile, Row, labels
from prov_worker.run.report.model_builder import gather
from prov_worker.run.report.templates import asset, style, template

#: Points of a node's curves.
BINS = 160
#: Scripts of the page, in the order in which they build on each other.
SCRIPTS = (
    "base.js",
    "charts.js",
    "nodes.js",
    "timeline.js",
    "table.js",
    "graph.js",
    "curves.js",
    "task.js",
    "main.js",
)
_EXAMPLES = 6
_TOP = 8


def write_report(
    run: RunRecord, target: Path, *, title: str | None = None, advance: Callable[[int], None] | None = None
) -> tuple[Gathered, Summary]:
    """Read a run and write its page to a temporary file, and rename it.

    Args:
        run: the run.
        target: the HTML file.
        title: headline; the run's name if there is none.
        advance: called for steps that have been read.

    Returns:
        What was read, and the figures of the whole.

    Raises:
        InputError: jinja2 is missing, the run has no readable step, or the file cannot be written.
        CrateError: the run cannot be listed.
    """
    data = gather(run, advance)
    if not data.rows:
        raise run.nothing()
    summary = summarise(data)
    html = render(data, summary, title)
    with atomic_write(target) as path:
        path.write_text(html, encoding="utf-8")
    return data, summary


def render(data: Gathered, summary: Summary, title: str | None = None) -> str:
    """Return the page as text.

    Raises:
        InputError: jinja2 is missing.
    """
    script = "\n".join(asset(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    figures = functions(data)
    return template("report.html.j2").render(
        title=title or data.name,
        data=data,
        summary=summary,
        functions=figures,
        failures=failures(data),
        advice=advice.advise(data, figures),
        limits=advice.LIMITS,
        slowest=sorted(data.rows, key=lambda row: -row.wall_s)[:_TOP],
        largest=sorted((row for row in data.rows if row.rss_bytes), key=lambda row: -(row.rss_bytes or 0))[:_TOP],
        nodes=_nodes(data, summary),
        totals=[(each.label, data.totals[each.name], each.unit) for each in COLUMNS if data.totals.get(each.name)],
        energy=any(each.cpu_joules is not None or each.gpu_joules is not None for each in figures),
        positions={row.key: position for position, row in enumerate(data.shown)},
        rows_by_key=_named(data),
        examples=_EXAMPLES,
        gpu_used_percent=USED_PERCENT,
        core=packed(_core(data, summary)),
        style=style(),
        script=script,
        script_digest=digest,
        version=__version__,
        written=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M UTC}",
    )


def _named(data: Gathered) -> dict[str, Row]:
    """Return rows that the tables of runs and models name, by key."""
    keys = {tracked.key for tracked in data.training} | {model.key for model in data.models}
    return {row.key: row for row in data.rows if row.key in keys}


def _nodes(data: Gathered, summary: Summary) -> list[dict[str, Any]]:
    """Return table of the nodes: what stands in for the curves if no script runs."""
    rows: dict[int, list[Row]] = {index: [] for index in range(len(data.nodes))}
    for row in data.rows:
        rows[row.node].append(row)
    entries = []
    for index, node in enumerate(data.nodes):
        mine = rows[index]
        span_s = (max(row.end_ns for row in mine) - min(row.start_ns for row in mine)) / 1e9
        cpu_s = sum(row.cpu_s or 0.0 for row in mine)
        entries.append(
            {
                "facts": node,
                "attempts": len(mine),
                "failed": sum(1 for row in mine if row.failed),
                "workers": len({row.worker for row in mine}),
                "span_s": span_s,
                "cpu_hours": cpu_s / 3600,
                "efficiency": cpu_s / (node.cpus * span_s) if node.cpus and span_s > 0 else None,
            }
        )
    return entries


def _core(data: Gathered, summary: Summary) -> dict[str, Any]:
    """Return what the page's script needs at once; times are microseconds after the run's start."""
    rows = data.shown
    starts = [(row.start_ns - summary.start_ns) // 1000 for row in rows]
    return {
        "start_ms": summary.start_ns / 1e6,
        "length_us": (summary.end_ns - summary.start_ns) // 1000,
        "functions": [
            {
                "name": function.name,
                "label": label,
                "module": function.module,
                "doc": function.doc,
                "sha256": function.sha256,
                "source": function.source,
            }
            for function, label in zip(data.functions, labels(data.functions), strict=True)
        ],
        "nodes": _curves(data, summary),
        "workers": data.workers,
        "errors": data.errors,
        "rows": {
            "id": [row.task_id for row in rows],
            "attempt": [row.attempt for row in rows],
            "latest": [int(row.latest) for row in rows],
            "failed": [int(row.failed) for row in rows],
            "fn": [row.function for row in rows],
            "worker": [row.worker for row in rows],
            # Differences, as rows are sorted by start: small numbers.
            "start": [later - earlier for earlier, later in zip([0, *starts], starts, strict=False)],
            "wall": [max(0, (row.end_ns - row.start_ns) // 1000) for row in rows],
            "began": [int(row.began) for row in rows],
            "cpu": [None if row.cpu_s is None else round(row.cpu_s * 1000) for row in rows],
            "rss": [None if row.rss_bytes is None else row.rss_bytes >> 10 for row in rows],
            "allowed": [row.cpus_allowed for row in rows],
            "gpus": [row.gpus.held for row in rows],
            "gpu": [None if row.gpus.busy is None else round(100 * row.gpus.busy) for row in rows],
            "error": [row.error for row in rows],
            "block": [row.block for row in rows],
            "place": [row.place for row in rows],
        },
        "edges": {
            "from": [edge.source for edge in data.edges],
            "to": [edge.target for edge in data.edges],
            "via": [edge.via for edge in data.edges],
            "what": [edge.what for edge in data.edges],
            "left_out": data.edges_left_out,
        },
        "flows": [[source, target, int(inferred), count] for (source, target, inferred), count in data.flows.items()],
    }


def _curves(data: Gathered, summary: Summary) -> list[dict[str, Any]]:
    """Return what each node did over the run, in :data:`BINS` bins."""
    width_ns = max((summary.end_ns - summary.start_ns) / BINS, 1.0)
    by_node: dict[int, list[Row]] = {index: [] for index in range(len(data.nodes))}
    for row in data.rows:
        by_node[row.node].append(row)
    curves = []
    for index, node in enumerate(data.nodes):

        def sampled(profile: Profile, scale: float = 1.0) -> list[float | None] | None:
            if not profile:
                return None
            values = profile.resampled(summary.start_ns, width_ns, BINS)
            return [None if value is None else round(value / scale, 2) for value in values]

        def ran(weight: Callable[[Row], float], mine: list[Row] = by_node[index]) -> list[float]:
            return [round(value, 2) for value in busy(mine, summary.start_ns, width_ns, BINS, weight)]

        curves.append(
            {
                "name": node.name,
                "cpus": node.cpus,
                "memory": node.memory_bytes,
                "memory_total": node.memory_total_bytes,
                "gpus": node.gpus,
                "cpu_model": node.cpu_model,
                "gpu_model": node.gpu_model,
                "facts": node.hardware,
                "workers": len({row.worker for row in by_node[index]}),
                "running": ran(_one),
                "task_cpu": ran(mean_cpus),
                "cpu": sampled(node.cpu),
                "used_gib": sampled(node.memory, 1 << 30),
                "gpu": sampled(node.gpu),
            }
        )
    return curves


def _one(row: Row) -> float:
    return 1.0
