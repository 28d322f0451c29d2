"""A file for Prometheus, as node_exporter's textfile collector reads it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prov_worker.files import write_file
from prov_worker.fleet import status
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.state import EndpointRecord, State
from prov_worker.fleet.task_counts import Tally

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

_PREFIX = "prov_worker_fleet"
_ENDPOINT = ("endpoint", "site")
#: Type, help and labels of each metric.
METRICS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "endpoint_up": ("gauge", "1 if the daemon runs, else 0.", _ENDPOINT),
    "heartbeat_age_seconds": ("gauge", "Time since the daemon's last sign of life.", _ENDPOINT),
    "restarts_total": ("counter", "Restarts by the watch.", _ENDPOINT),
    "restarts_in_window": ("gauge", "Restarts that count for the cap.", _ENDPOINT),
    "user_endpoints": ("gauge", "User endpoints that live.", _ENDPOINT),
    "tasks_queued": ("gauge", "Tasks that wait for a worker.", _ENDPOINT),
    "tasks_running": ("gauge", "Tasks that workers execute.", _ENDPOINT),
    "blocks": ("gauge", "Batch jobs, by state.", (*_ENDPOINT, "state")),
    "workers": ("gauge", "Workers, by state.", (*_ENDPOINT, "state")),
    "tasks_total": ("counter", "Tasks that ended, by result.", (*_ENDPOINT, "result")),
    "last_look_timestamp_seconds": ("gauge", "When the watch looked last.", ()),
}


def write(fleet: Fleet, state: State, records: Mapping[str, EndpointRecord], tally: Tally) -> None:
    """Replace the file; readable by others, since the exporter is another user.

    Raises:
        OSError: it cannot be written.
    """
    assert fleet.watch.metrics is not None
    path = fleet.watch.metrics / f"{_PREFIX}_{state.key}_{socket.gethostname()}.prom"
    text = render([status.of(spec, records, tally) for spec in fleet.endpoints], records, time.time())
    write_file(path, text, mode=0o644, sync=True)


def render(endpoints: Iterable[status.Status], records: Mapping[str, EndpointRecord], now: float) -> str:
    """Return the text of the file: endpoints of this host alone.

    Args:
        endpoints: of the fleet file.
        records: the watch's, by name of the endpoint.
        now: when the watch looked, in seconds since the epoch.
    """
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    from prov_worker.prometheus import exposition

    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {
        name: kinds[kind](f"{_PREFIX}_{name}", text, labels=labels) for name, (kind, text, labels) in METRICS.items()
    }

    def add(metric: str, value: float | None, *labels: str) -> None:
        if value is not None:
            families[metric].add_metric(labels, value)

    for endpoint in endpoints:
        if endpoint.condition in ("elsewhere", "foreign"):
            continue
        record = records.get(endpoint.name, EndpointRecord())
        labels = (endpoint.name, endpoint.site)
        add("endpoint_up", float(endpoint.condition == "running"), *labels)
        add("heartbeat_age_seconds", endpoint.heartbeat_s, *labels)
        add("restarts_total", endpoint.restarts, *labels)
        add("restarts_in_window", len(record.restarts), *labels)
        add("user_endpoints", endpoint.user_endpoints, *labels)
        add("tasks_queued", endpoint.queued, *labels)
        add("tasks_running", endpoint.running, *labels)
        for state, count in (endpoint.blocks or {}).items():
            add("blocks", count, *labels, state)
        if endpoint.workers is not None:
            add("workers", endpoint.workers["idle"], *labels, "idle")
            add("workers", endpoint.workers["all"] - endpoint.workers["idle"], *labels, "busy")
        add("tasks_total", endpoint.completed, *labels, "completed")
        add("tasks_total", endpoint.failed, *labels, "failed")
    add("last_look_timestamp_seconds", now)
    return exposition(family for family in families.values() if family.samples)
