"""Metrics in Prometheus' text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric


class _Families:
    """Metrics that were gathered before, without the times at which counters were made."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its samples."""
        for family in self._families:
            # The text format has no place for them: each would be a gauge of its own, one per series.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def exposition(families: Iterable[Metric]) -> str:
    """Return metrics as text, from a registry that holds nothing else."""
    registry = CollectorRegistry()
    registry.register(_Families(families))
    text: bytes = generate_latest(registry)
    return text.decode("utf-8")
