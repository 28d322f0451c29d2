"""How attempts at a task end, by executors' futures of every end."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest
from globus_compute_endpoint.engines.base import GCFuture

from prov_worker.globus.attempts import OpenTask, TaskAttempt, pass_on
from prov_worker.globus.engine import ProvenanceEngine


def value(future: Future[bytes]) -> None:
    future.set_result(b"value")


def error(future: Future[bytes]) -> None:
    future.set_exception(OSError("no space"))


def cancelled(future: Future[bytes]) -> None:
    assert future.cancel()


def end_of(future: Future[bytes]) -> object:
    """What a future ended with; an error by its type and text."""
    assert future.done(), "nobody has answered it"
    if future.cancelled():
        return "cancelled"
    problem = future.exception()
    return future.result() if problem is None else (type(problem), str(problem))


ENDS: list[tuple[Callable[[Future[bytes]], None], object]] = [
    (value, b"value"), (error, (OSError, "no space")), (cancelled, "cancelled"),
]  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ProvenanceEngine]:
    """An engine that records, without an interchange."""
    engine = ProvenanceEngine(address="127.0.0.1", provenance={"crate_dir": str(tmp_path / "crates")})
    engine._prepare(uuid.uuid4(), str(tmp_path))
    assert engine._journal is not None
    yield engine
    engine._journal.close()


@pytest.mark.parametrize(("end", "expected"), ENDS)
def test_a_task_that_is_delivered_again_ends_as_the_first(
    engine: ProvenanceEngine, end: Callable[[Future[bytes]], None], expected: object
) -> None:
    """By an engine that has the first delivery and has not answered it."""
    task = uuid.uuid4()
    first, second, third = (GCFuture(task) for _ in range(3))
    engine._open_tasks[task] = OpenTask(first, 0)
    once = {"prov_worker": {"once": True}}
    third.set_running_or_notify_cancel()
    for future in (second, third):
        engine.submit(future, b"", dict(once))
    assert not second.done()
    end(first)
    assert end_of(second) == expected
    # What is under way cannot be cancelled, and says so as an error.
    assert end_of(third) == (expected if end is not cancelled else (CancelledError, "the task was cancelled"))


@pytest.mark.parametrize(("end", "expected"), ENDS)
def test_an_attempt_ends_as_its_executor_says(
    engine: ProvenanceEngine, end: Callable[[Future[bytes]], None], expected: object
) -> None:
    attempt = TaskAttempt(engine, OpenTask(None, 0), 1, ({}, len, b"", (uuid.uuid4(),), None))
    sent: Future[bytes] = Future()
    sent.add_done_callback(attempt)
    end(sent)
    assert end_of(attempt.settled) == expected


@pytest.mark.parametrize("before", [value, cancelled])
@pytest.mark.parametrize("end", [value, error, cancelled])
def test_one_that_has_ended_already_stays_as_it_is(
    before: Callable[[Future[bytes]], None], end: Callable[[Future[bytes]], None], caplog: pytest.LogCaptureFixture
) -> None:
    ended: Future[bytes] = Future()
    waiting: Future[bytes] = Future()
    before(waiting)
    expected: Any = end_of(waiting)
    ended.add_done_callback(functools.partial(pass_on, waiting=waiting))
    end(ended)
    assert end_of(waiting) == expected
    assert not caplog.records, "a callback that raises is logged"
