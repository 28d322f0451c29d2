"""A day of small runs in a minute: scripts come and go, and the service is stopped or killed under them."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import functions
import pytest
from service_stack import Stack, let_go_of_results, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.faults,
    pytest.mark.timeout(900),
]
LIMIT_S = 240
HOURS, RUNS_AN_HOUR, TASKS_A_RUN = 24, 2, 50
#: So long are finished tasks kept, and so long lasts an hour of the test at least.
RETAIN_HOURS, HOUR_S = "0.001", 1.2


def _queues(stack: Stack) -> list[str]:
    address = urlsplit(stack.broker.management_url)
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=90)
    login = base64.b64encode(b"guest:guest").decode()
    connection.request("GET", "/api/queues?columns=name", headers={"Authorization": f"Basic {login}"})
    queues = json.loads(connection.getresponse().read())
    connection.close()
    return [each["name"] for each in queues]


def _rows(stack: Stack) -> dict[str, int]:
    with closing(sqlite3.connect(f"file:{stack.service.database}?mode=ro", uri=True)) as db:
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("tasks", "groups")}


def test_a_day_of_small_runs_leaves_no_more_than_an_hour(tmp_path: Path) -> None:
    from globus_compute_sdk import Client, Executor

    with running(tmp_path / "stack", "--retain-hours", RETAIN_HOURS) as stack:
        assert stack.daemon is not None
        client, endpoint = Client(), stack.daemon.id
        function = client.register_function(functions.add)
        sizes: list[tuple[dict[str, int], int, int]] = []
        for hour in range(HOURS):
            begin = time.monotonic()
            executors = [
                Executor(endpoint_id=endpoint, client=client, task_group_id=uuid.uuid4()) for _ in range(RUNS_AN_HOUR)
            ]
            runs: list[list[Any]] = [
                [executor.submit_to_registered_function(function, (hour, n)) for n in range(TASKS_A_RUN)]
                for executor in executors
            ]
            deadline = time.monotonic() + LIMIT_S
            while not all(each.task_id for run in runs for each in run):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            # The tasks are under way.
            stack.service.stop(signal.SIGKILL if hour % 2 else signal.SIGTERM)
            stack.service.start()
            for run in runs:
                assert [each.result(LIMIT_S) for each in run] == [hour + n for n in range(TASKS_A_RUN)]
            for executor in executors:
                executor.shutdown()
            # As when a script ends.
            let_go_of_results()
            size = sum(path.stat().st_size for path in stack.service.database.parent.glob("service.sqlite*"))
            sizes.append((_rows(stack), len(_queues(stack)), size))
            time.sleep(max(0.0, begin + HOUR_S - time.monotonic()))
        an_hour = RUNS_AN_HOUR * TASKS_A_RUN
        # What the first hours hold is what all hold: nothing adds up.
        for rows, queues, size in sizes[6:]:
            assert rows["tasks"] < HOURS * an_hour / 2, sizes
            assert rows["groups"] < HOURS * RUNS_AN_HOUR / 2, sizes
            assert queues < HOURS * RUNS_AN_HOUR / 2, sizes
            assert size < 2 * max(each[2] for each in sizes[:6]), sizes
        # When all is old, the next look leaves nothing.
        time.sleep(float(RETAIN_HOURS) * 3600)
        stack.service.stop()
        stack.service.start()
        deadline = time.monotonic() + LIMIT_S
        while any(_rows(stack).values()) or any(name.startswith("taskgroup.") for name in _queues(stack)):
            assert time.monotonic() < deadline, (_rows(stack), _queues(stack))
            time.sleep(0.1)
