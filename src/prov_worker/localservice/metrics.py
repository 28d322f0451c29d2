"""What the service counts, in Prometheus' text format 0.0.4.

Counters start at zero with the process; gauges are read when asked for. No label holds an identity or an id.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

_HELP = {
    "prov_service_requests_total": "HTTP requests by route, method and status.",
    "prov_service_request_seconds_total": "Time spent on HTTP requests, in seconds.",
    "prov_service_tasks_submitted_total": "Tasks accepted.",
    "prov_service_tasks_finished_total": "Results stored, by outcome.",
    "prov_service_results_ignored_total": "Results that were there already, or of unknown tasks.",
    "prov_service_tasks_redelivered_total": "Tasks queued again, because their user endpoint was gone.",
    "prov_service_start_commands_total": "Start commands sent to core endpoints.",
    "prov_service_start_failures_total": "User endpoints that said that they could not start.",
    "prov_service_heartbeats_total": "Heartbeats heard.",
    "prov_service_messages_malformed_total": "Messages from the broker that were none of ours.",
    "prov_service_logins_total": "Token requests, by outcome.",
    "prov_service_tasks_forgotten_total": "Finished tasks deleted because they were old.",
}
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters; thread-safe."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = {}
        self._guard = threading.Lock()

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count; ``name`` must be one that :data:`_HELP` explains."""
        assert name in _HELP, name
        key = (name, tuple(sorted(labels.items())))
        with self._guard:
            self._values[key] = self._values.get(key, 0) + amount

    def value(self, name: str, **labels: str) -> float:
        """A counter's value."""
        with self._guard:
            return self._values.get((name, tuple(sorted(labels.items()))), 0)

    def render(self, gauges: Iterable[tuple[str, str, dict[str, str], float]]) -> str:
        """The page: counters, then gauges as (name, help, labels, value)."""
        with self._guard:
            counted = sorted(self._values.items())
        lines = []
        for name, text in _HELP.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
            lines += [_line(name, labels, value) for (each, labels), value in counted if each == name]
        explained: set[str] = set()
        for name, text, named, value in gauges:
            if name not in explained:
                explained.add(name)
                lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
            lines.append(_line(name, tuple(sorted(named.items())), value))
        return "\n".join(lines) + "\n"


def _line(name: str, labels: Labels, value: float) -> str:
    text = ",".join(f'{key}="{_escape(each)}"' for key, each in labels)
    return f"{name}{{{text}}} {value:.15g}" if text else f"{name} {value:.15g}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
