"""A file for Prometheus, as node_exporter's textfile collector reads it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping

from prov_worker.fleet import files, status
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.state import Record, State
from prov_worker.fleet.task_counts import Tally

_PREFIX = "prov_worker_fleet"
#: Name, type and help of each metric.
METRICS = {
    "endpoint_up": ("gauge", "1 where the daemon runs, else 0"),
    "heartbeat_age_seconds": ("gauge", "Time since the daemon's last sign of life"),
    "restarts_total": ("counter", "Restarts by the watch"),
    "restarts_in_window": ("gauge", "Restarts that count for the cap"),
    "user_endpoints": ("gauge", "User endpoints that live"),
    "tasks_queued": ("gauge", "Tasks that wait for a worker"),
    "tasks_running": ("gauge", "Tasks that workers are at"),
    "blocks": ("gauge", "Batch jobs, by state"),
    "workers": ("gauge", "Workers, by state"),
    "tasks_total": ("counter", "Tasks that ended, by result"),
    "last_look_timestamp_seconds": ("gauge", "When the watch looked last"),
}


def write(fleet: Fleet, state: State, records: Mapping[str, Record], tally: Tally) -> None:
    """Write the file anew; readable by others, since the exporter is another user.

    Raises:
        OSError: it cannot be written.
    """
    assert fleet.watch.metrics is not None
    path = fleet.watch.metrics / f"{_PREFIX}_{state.key}_{socket.gethostname()}.prom"
    files.write(
        path, render([status.of(spec, records, tally) for spec in fleet.endpoints], records, time.time()), 0o644
    )


def render(endpoints: Iterable[status.Status], records: Mapping[str, Record], now: float) -> str:
    """The text of the file: endpoints of this host alone."""
    rows: dict[str, list[str]] = {name: [] for name in METRICS}

    def add(metric: str, value: float | None, **labels: str) -> None:
        if value is not None:
            text = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
            rows[metric].append(f"{_PREFIX}_{metric}{f'{{{text}}}' if text else ''} {value:g}")

    for one in endpoints:
        if one.condition in ("elsewhere", "foreign"):
            continue
        record = records.get(one.name, Record())
        label = {"endpoint": one.name, "site": one.site}
        add("endpoint_up", float(one.condition == "running"), **label)
        add("heartbeat_age_seconds", one.heartbeat_s, **label)
        add("restarts_total", one.restarts, **label)
        add("restarts_in_window", len(record.restarts), **label)
        add("user_endpoints", one.user_endpoints, **label)
        add("tasks_queued", one.queued, **label)
        add("tasks_running", one.running, **label)
        for state, count in (one.blocks or {}).items():
            add("blocks", count, **label, state=state)
        if one.workers is not None:
            add("workers", one.workers["idle"], **label, state="idle")
            add("workers", one.workers["all"] - one.workers["idle"], **label, state="busy")
        add("tasks_total", one.completed, **label, result="completed")
        add("tasks_total", one.failed, **label, result="failed")
    rows["last_look_timestamp_seconds"] = [f"{_PREFIX}_last_look_timestamp_seconds {now:.3f}"]
    parts = []
    for name, (kind, text) in METRICS.items():
        if rows[name]:
            parts += [f"# HELP {_PREFIX}_{name} {text}.", f"# TYPE {_PREFIX}_{name} {kind}", *rows[name]]
    return "\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
