"""A disk that is full under the service's state: nothing is lost, nothing is promised, and all goes on afterwards."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from web_client import ALICE, Web

from prov_worker.localservice import messages
from prov_worker.localservice.broker import Delivery
from prov_worker.localservice.ingest import Ingest
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import Endpoint, Forward, Function, NewTask, Submission, TaskState, UserEndpoint
from prov_worker.localservice.sqlite import SqliteStorage
from prov_worker.localservice.topology import RESULTS, routing_key

OWNER, CORE, USER, FUNCTION, GROUP, TASK = (str(uuid.UUID(int=number)) for number in range(41, 47))


@contextmanager
def full(storage: SqliteStorage) -> Iterator[None]:
    """SQLite's own limit of pages, which ends a write as a full disk does (SQLITE_FULL)."""
    writer = storage.database._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    yield
    writer.execute("PRAGMA max_page_count = 1073741823")


class Outside:
    """The broker and the dispatcher, as far as they are asked."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.forwarded: list[Forward] = []

    def acknowledge(self, session: int, tag: int) -> None:
        self.acknowledged.append(tag)

    def purge_queue(self, name: str) -> object:
        raise AssertionError(name)

    def forward(self, results: list[Forward]) -> None:
        self.forwarded += results

    def noted(self, tasks: object, results: object) -> None: ...


def wait(condition: Callable[[], object], limit_s: float = 90) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_result_is_not_acknowledged_before_it_is_stored(
    storage: SqliteStorage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.save_endpoint(Endpoint(CORE, OWNER, "ep", 1.0, {}))
    storage.save_user_endpoint(UserEndpoint(USER, CORE, OWNER, {}, {}))
    storage.save_function(Function(FUNCTION, OWNER, "f", "1\nx\n", 1.0))
    storage.add_tasks(
        [NewTask(TASK, FUNCTION, "p")], Submission(owner=OWNER, user_endpoint=USER, group=GROUP, queue=True), now=1.0,
    )  # fmt: skip
    body = messages.failure(TASK, "X", "a long reason " * 20_000)
    outside, metrics = Outside(), Metrics()
    ingest = Ingest(storage, metrics, 10_000_000, 10**9)
    ingest.start(outside, outside)
    try:
        with full(storage):
            ingest.put(Delivery(1, 7, RESULTS, routing_key(OWNER, USER, RESULTS), body))
            wait(lambda: "cannot store results" in caplog.text)
            assert (outside.acknowledged, outside.forwarded) == ([], [])
            assert storage.tasks([TASK], OWNER)[TASK].state == TaskState.ACCEPTED
        wait(lambda: outside.acknowledged)
        wait(lambda: outside.forwarded)
        # The same result again, as after a lost acknowledgement: not stored, and not counted as one that was.
        ingest.put(Delivery(1, 8, RESULTS, routing_key(OWNER, USER, RESULTS), body))
        wait(lambda: len(outside.acknowledged) > 1)
    finally:
        ingest.stop()
    assert outside.acknowledged == [7, 8]
    counted = metrics.render([]).splitlines()
    assert 'prov_service_tasks_finished_total{outcome="failed"} 1.0' in counted
    assert "prov_service_results_ignored_total 1.0" in counted
    task = storage.tasks([TASK], OWNER)[TASK]
    assert (task.state, task.message) == (TaskState.FAILED, body)
    assert [each.message for each in outside.forwarded] == [body]


def test_a_request_that_cannot_be_kept_is_refused_with_a_reason(web: Web) -> None:
    body = {"function_name": "f", "function_code": "x" * 60_000}
    assert isinstance(web.service.storage, SqliteStorage)
    with full(web.service.storage):
        status, content, headers = web.ask("POST", "/v3/functions", body, headers=web.bearer(ALICE))
        assert (status, headers["retry-after"]) == (503, "10")
        assert content["reason"] == "the service cannot keep its state now; try again"
        assert web.ask("GET", "/v2/endpoints", headers=web.bearer(ALICE))[0] == 200, "reading goes on"
    assert web.ask("POST", "/v3/functions", body, headers=web.bearer(ALICE))[0] == 200
