"""The file for Prometheus."""

from __future__ import annotations

import pytest

from prov_worker.fleet import metrics
from prov_worker.fleet.state import EndpointRecord
from prov_worker.fleet.status import Status

parser = pytest.importorskip("prometheus_client.parser", reason="the extra 'fleet' is not installed")


def test_prometheus_own_parser_reads_every_metric() -> None:
    endpoints = [
        Status(
            "one", 'lo"cal', None, "running", heartbeat_s=3.5, queued=2, running=1, completed=7, failed=1,
            blocks={"running": 1, "pending": 2}, workers={"all": 4, "idle": 3}, restarts=9, user_endpoints=1,
        ),
        Status("two", "local", None, "down"),
        Status("far", "local", "login02", "elsewhere"),
    ]  # fmt: skip
    text = metrics.render(endpoints, {"one": EndpointRecord(restarts=[1.0, 2.0])}, 1790000000.5)
    families = list(parser.text_string_to_metric_families(text))
    samples = {(each.name, *sorted(each.labels.items())): each.value for family in families for each in family.samples}
    first, second = (("endpoint", "one"), ("site", 'lo"cal')), (("endpoint", "two"), ("site", "local"))
    prefix = "prov_worker_fleet_"
    for expected in (
        ("endpoint_up", *first, 1.0),
        ("endpoint_up", *second, 0.0),
        ("heartbeat_age_seconds", *first, 3.5),
        ("blocks", *first, ("state", "pending"), 2.0),
        ("workers", *first, ("state", "busy"), 1.0),
        ("tasks_queued", *first, 2.0),
        ("tasks_running", *first, 1.0),
        ("tasks_total", *first, ("result", "failed"), 1.0),
        ("restarts_total", *first, 9.0),
        ("restarts_in_window", *first, 2.0),
        ("user_endpoints", *first, 1.0),
        ("last_look_timestamp_seconds", 1790000000.5),
    ):
        name, *labels, value = expected
        assert samples[(f"{prefix}{name}", *sorted(labels))] == value
    # What is not known of an endpoint is absent, not zero.
    assert (f"{prefix}heartbeat_age_seconds", *second) not in samples
    assert "far" not in text
    kinds = {prefix + name.removesuffix("_total"): kind for name, (kind, _, _) in metrics.METRICS.items()}
    assert {family.name: family.type for family in families} == kinds
