"""Tasks that are to run once, and are delivered again: with the same id, as the web service does it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functions
import pytest

from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.globus.answers import read_message
from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFailedError, TaskFuture

pytestmark = pytest.mark.xdist_group("task_options")
LIMIT_S = 180


def started(crates: Path) -> EmbeddedEndpoint:
    """An endpoint that sends a task again whose worker was lost."""
    provenance = {"crate_dir": str(crates), "plots": "none"}
    return EmbeddedEndpoint(workers=2, provenance=provenance, heartbeat_period_s=1, max_retries=2)


@pytest.fixture(scope="module")
def crates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("once") / "crates"


@pytest.fixture(scope="module")
def endpoint(crates: Path) -> Iterator[EmbeddedEndpoint]:
    with started(crates) as running:
        yield running


def deliver(endpoint: EmbeddedEndpoint, task_id: uuid.UUID, path: Path, *args: Any, once: bool = True) -> TaskFuture:
    specification = {"prov_worker": {"once": once}}
    return endpoint.submit_as(task_id, functions.leave_line, (str(path), *args), resource_specification=specification)


def test_a_task_that_has_ended_or_runs(endpoint: EmbeddedEndpoint, tmp_path: Path) -> None:
    """It has the value of the first time; without the wish it runs once more."""
    for name, delivered_while_it_runs in (("ended", False), ("runs", True)):
        task, path = uuid.uuid4(), tmp_path / name
        first = deliver(endpoint, task, path, 1.0)
        if not delivered_while_it_runs:
            assert first.result(LIMIT_S) == 1
        again = [deliver(endpoint, task, path, 1.0) for _ in range(2)]
        assert [future.result(LIMIT_S) for future in (first, *again)] == [1, 1, 1]
        assert path.read_text() == "x\n"
    task, path = uuid.uuid4(), tmp_path / "twice"
    assert [deliver(endpoint, task, path, once=False).result(LIMIT_S) for _ in range(2)] == [1, 2]


def test_a_task_that_raised_raises_the_same(endpoint: EmbeddedEndpoint) -> None:
    task = uuid.uuid4()
    texts = []
    for _ in range(2):
        future = endpoint.submit_as(
            task, functions.refuse, ("no",), resource_specification={"prov_worker": {"once": True}}
        )
        with pytest.raises(TaskFailedError, match="ValueError: no") as caught:
            future.result(LIMIT_S)
        texts.append(str(caught.value))
        assert read_message(future.packed_result or b"").by_worker
    assert texts[0] == texts[1]


def test_a_task_whose_worker_was_killed(
    endpoint: EmbeddedEndpoint, crates: Path, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    """Neither the engine's own retries nor another engine runs it again."""
    task, path = uuid.uuid4(), tmp_path / "killed"
    first = deliver(endpoint, task, path, 0.2, True)
    problem = r"^it has begun before, at 20.* UTC in process \d+ on .*; its end is not known, and it is not run again"
    with pytest.raises(TaskFailedError, match=problem):
        first.result(LIMIT_S)
    answer = read_message(first.packed_result or b"")
    assert (answer.outcome, answer.by_worker, answer.code) == ("begun", False, "TASK_HAS_BEGUN_BEFORE")
    crate = crates / f"{task}.crate"
    wait_for(crate.exists, "its crate")
    assert "SIGKILL" in (open_step(source_of(crate))[0].error or "")
    ended = uuid.uuid4()
    assert deliver(endpoint, ended, tmp_path / "ended").result(LIMIT_S) == 1
    with started(crates) as other:
        assert deliver(other, ended, tmp_path / "ended").result(LIMIT_S) == 1
        with pytest.raises(TaskFailedError, match=problem):
            deliver(other, task, path, 0.2, True).result(LIMIT_S)
    assert (path.read_text(), (tmp_path / "ended").read_text()) == ("x\n", "x\n")
    for task_id in (task, ended):
        assert not list(crates.glob(f"{task_id}.attempt-*"))


def test_what_cannot_be_claimed_does_not_run(endpoint: EmbeddedEndpoint, crates: Path, tmp_path: Path) -> None:
    claims = crates / ".spool" / "claims"
    claims.rename(crates / "claims")
    claims.write_text("in the way")
    try:
        future = deliver(endpoint, uuid.uuid4(), tmp_path / "line")
        with pytest.raises(TaskFailedError, match="prov_worker: once: cannot be held: NotADirectoryError: "):
            future.result(LIMIT_S)
        assert read_message(future.packed_result or b"").outcome == "refused"
        assert not (tmp_path / "line").exists()
        assert deliver(endpoint, uuid.uuid4(), tmp_path / "line", once=False).result(LIMIT_S) == 1
    finally:
        claims.unlink()
        (crates / "claims").rename(claims)
