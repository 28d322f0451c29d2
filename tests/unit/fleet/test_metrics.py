"""The file for Prometheus."""

from __future__ import annotations

import re

from prov_worker.fleet import metrics
from prov_worker.fleet.state import Record
from prov_worker.fleet.status import Status


def test_every_line_is_of_the_text_format() -> None:
    endpoints = [
        Status(
            "one", 'lo"cal', None, "running", heartbeat_s=3.5, queued=2, running=1, completed=7, failed=1,
            blocks={"running": 1, "pending": 2}, workers={"all": 4, "idle": 3}, restarts=9, user_endpoints=1,
        ),
        Status("two", "local", None, "down"),
        Status("far", "local", "login02", "elsewhere"),
    ]  # fmt: skip
    text = metrics.render(endpoints, {"one": Record(restarts=[1.0, 2.0])}, 1790000000.5)
    sample = re.compile(r'prov_worker_fleet_[a-z_]+(\{([a-z]+="(\\.|[^"\\])*",?)+\})? [0-9.e+-]+$')
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.match(line), line
    for expected in (
        'endpoint_up{endpoint="one",site="lo\\"cal"} 1',
        'endpoint_up{endpoint="two",site="local"} 0',
        'heartbeat_age_seconds{endpoint="one",site="lo\\"cal"} 3.5',
        'blocks{endpoint="one",site="lo\\"cal",state="pending"} 2',
        'workers{endpoint="one",site="lo\\"cal",state="busy"} 1',
        'tasks_total{endpoint="one",site="lo\\"cal",result="failed"} 1',
        'restarts_total{endpoint="one",site="lo\\"cal"} 9',
        'restarts_in_window{endpoint="one",site="lo\\"cal"} 2',
        "last_look_timestamp_seconds 1790000000.500",
    ):
        assert f"prov_worker_fleet_{expected}\n" in text
    assert "far" not in text
    names = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
