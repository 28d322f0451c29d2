"""What lines of a store come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prov_worker.jobs.errors import StoreError
from prov_worker.jobs.ledger import Ledger
from prov_worker.jobs.states import State
from prov_worker.jobs.store import Store

HEAD = {"group": "g", "endpoint": "e", "options": {}, "service": "s", "at": 1.0}


def job(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "job": number,
        "name": "f",
        "function": "fid",
        "sha256": str(number),
        "at": 1.0,
        "payload": f"p{number}",
        **fields,
    }


def ledger(tmp_path: Path, *records: dict[str, Any]) -> Ledger:
    path = tmp_path / "jobs.jsonl"
    store = Store(path, HEAD)
    for record in records:
        store.append([record])
    store.close()
    return Ledger.read(path)


def test_a_job_from_submission_to_value(tmp_path: Path) -> None:
    read = ledger(
        tmp_path,
        {"code": "sha", "function": "fid", "name": "f"},
        job(1, retries=1, retry_on=["lost"]),
        job(2, batch="b", key="k"),
        {"sending": 1, "jobs": [1, 2], "at": 2.0},
        {"sent": 1, "tasks": ["t1", "t2"]},
        {"ended": 1, "task": "t1", "state": "lost", "at": 3.0, "error": "gone", "again": True},
        {"sending": 2, "jobs": [1], "at": 4.0},
        {"sent": 2, "tasks": ["t3"]},
        {"ended": 1, "task": "t3", "state": "completed", "at": 5.0, "run_s": 0.5, "result": "r"},
        {"from a later release": 1},
    )
    first, second = read.jobs.values()
    assert read.functions == {"sha": "fid"}
    assert [(attempt.number, attempt.state, attempt.task_id) for attempt in first.attempts] == [
        (1, State.LOST, "t1"),
        (2, State.COMPLETED, "t3"),
    ]
    assert (first.state, first.error, first.attempts[0].error) == (State.COMPLETED, None, "gone")
    assert (second.state, second.waiting, second.task_id) == (State.QUEUED, False, "t2")
    assert read.items == {("b", "k"): second}
    assert read.tasks == {"t2": second}
    assert read.payload(second) == "p2"
    assert read.counts() == {"queued": 1, "completed": 1}
    assert first.to_json()["attempts"][1]["run_s"] == 0.5


@pytest.mark.parametrize(
    "line, state, waiting, attempts",
    [
        ({"unsent": 1, "why": "no network"}, State.QUEUED, True, 0),
        ({"refused": 1, "why": "404", "at": 3.0}, State.FAILED, False, 1),
        ({"doubtful": 1, "tasks": ["a", "b"], "at": 3.0}, State.UNKNOWN, False, 1),
    ],
)
def test_a_request_without_an_answer(
    tmp_path: Path, line: dict[str, Any], state: State, waiting: bool, attempts: int
) -> None:
    records = [job(1), job(2), {"sending": 1, "jobs": [1, 2], "at": 2.0}]
    cut = ledger(tmp_path, *records)
    assert cut.sending is not None
    assert [job.id for job in cut.sending.jobs] == [1, 2]
    assert not cut.jobs[1].waiting
    (tmp_path / "jobs.jsonl").unlink()
    read = ledger(tmp_path, *records, line)
    assert read.sending is None
    for each in read.jobs.values():
        assert (each.state, each.waiting, len(each.attempts)) == (state, waiting, attempts)


def test_doubt_is_resolved_by_a_match_or_by_who_asks(tmp_path: Path) -> None:
    read = ledger(
        tmp_path,
        job(1),
        job(2),
        {"sending": 1, "jobs": [1, 2], "at": 2.0},
        {"doubtful": 1, "tasks": ["a", "b"], "at": 3.0},
        {"matched": 2, "task": "a"},
        {"retry": 1, "at": 4.0},
    )
    assert (read.jobs[2].state, read.jobs[2].task_id, read.tasks) == (State.QUEUED, "a", {"a": read.jobs[2]})
    assert (read.jobs[1].state, read.jobs[1].waiting) == (State.QUEUED, True)
    assert read.doubtful == {1: ([], {"b"})}


def test_what_was_cancelled(tmp_path: Path) -> None:
    read = ledger(
        tmp_path,
        job(1),
        job(2),
        {"cancelled": 1, "at": 2.0},
        {"sending": 1, "jobs": [2], "at": 2.0},
        {"drop": 2, "at": 2.5},
        {"sent": 1, "tasks": ["t"]},
        {"ended": 2, "task": "t", "state": "completed", "at": 3.0, "result": "r"},
        {"retry": 1, "at": 4.0},
    )
    assert read.jobs[2].state is State.CANCELLED
    assert "ended as completed, and its result was dropped" in str(read.jobs[2].error)
    assert read.jobs[1].waiting


def test_an_unsent_job_that_was_cancelled_meanwhile_is_not_sent(tmp_path: Path) -> None:
    read = ledger(
        tmp_path, job(1), {"sending": 1, "jobs": [1], "at": 2.0}, {"drop": 1, "at": 2.5}, {"unsent": 1, "why": "x"}
    )
    assert (read.jobs[1].state, read.jobs[1].waiting) == (State.CANCELLED, False)


@pytest.mark.parametrize(
    "record",
    [
        {"job": 1},
        {"sending": 1, "jobs": [7], "at": 1.0},
        {"sent": 1, "tasks": ["t"]},
        {"ended": 1, "task": "t", "state": "completed", "at": 1.0},
    ],
)
def test_lines_that_contradict_each_other_are_named(tmp_path: Path, record: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"jobs\.jsonl: line 2: damaged"):
        ledger(tmp_path, record)


def test_jobs_by_number(tmp_path: Path) -> None:
    read = ledger(tmp_path, job(1), job(2))
    assert [each.id for each in read.chosen([])] == [1, 2]
    assert [each.id for each in read.chosen([2, 2])] == [2]
    with pytest.raises(StoreError, match="has no job 3"):
        read.chosen([3])
