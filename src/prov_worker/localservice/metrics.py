"""What the service counts, for Prometheus.

Counters start at zero with the process; gauges are read when asked for. No label holds an identity or an id.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter
from prometheus_client.core import Metric

from prov_worker.localservice.records import Stored
from prov_worker.prometheus import exposition

#: Explanation and labels of each counter.
_COUNTERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "prov_service_requests_total": ("HTTP requests by route, method and status.", ("method", "route", "status")),
    "prov_service_request_seconds_total": ("Time spent on HTTP requests, in seconds.", ("route",)),
    "prov_service_tasks_submitted_total": ("Tasks accepted.", ()),
    "prov_service_tasks_finished_total": ("Results stored, by outcome.", ("outcome",)),
    "prov_service_results_ignored_total": ("Results that were there already, or of unknown tasks.", ()),
    "prov_service_tasks_redelivered_total": ("Tasks queued again, because their user endpoint was gone.", ()),
    "prov_service_start_commands_total": ("Start commands sent to core endpoints.", ()),
    "prov_service_start_failures_total": ("User endpoints that reported that they could not start.", ()),
    "prov_service_heartbeats_total": ("Heartbeats received.", ()),
    "prov_service_messages_malformed_total": ("Messages from the broker that are not the service's.", ()),
    "prov_service_logins_total": ("Token requests, by outcome.", ("outcome",)),
    "prov_service_tasks_forgotten_total": ("Finished tasks deleted because they were old.", ()),
}


class Metrics:
    """Counters of one service, in no registry that others share; thread-safe."""

    def __init__(self) -> None:
        self._counters = {
            name: Counter(name, text, labels, registry=None) for name, (text, labels) in _COUNTERS.items()
        }

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count; ``name`` and ``labels`` must be those of one of the service's counters.

        Raises:
            KeyError: there is no such counter.
            ValueError: it has other labels.
        """
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def finished(self, stored: Stored, results: int) -> None:
        """Count the results that came, ``results`` in all: those that were new by outcome, and the others."""
        outcomes = {"success": stored.succeeded, "failed": stored.failed}
        for outcome, number in outcomes.items():
            if number:
                self.add("prov_service_tasks_finished_total", number, outcome=outcome)
        self.add("prov_service_results_ignored_total", results - sum(outcomes.values()))

    def render(self, gauges: Iterable[Metric]) -> str:
        """Return the page: counters, then gauges."""
        counters = [family for counter in self._counters.values() for family in counter.collect()]
        return exposition([*counters, *gauges])
