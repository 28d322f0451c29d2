"""Batches: as many outcomes as items, callbacks once, and again only what failed."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from prov_worker import jobs
from prov_worker.errors import InputError
from prov_worker.jobs import Job, Jobs, State

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.timeout(280)]
LIMIT_S = 120


class Opened(Protocol):
    def __call__(self, name: str = ..., **options: object) -> Jobs: ...


def invert(path: str, number: int) -> float:
    """Raise for 0, until there is a file."""
    import os

    return 1 / (number or os.path.exists(path))


def test_one_of_many_fails_and_alone_is_done_again(opened: Opened, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    items = [jobs.Call(str(mark), number) for number in (4, 0, 2, 0, 1)]
    called: list[Job] = []

    def on_done(job: Job) -> None:
        called.append(job)
        if job.key == "b":
            raise RuntimeError("the callback's own")

    keys = dict(zip(map(id, items), "abcde", strict=True))
    options = {"key": lambda item: keys[id(item)], "on_done": on_done}
    with opened() as session:
        batch = session.batch(invert, items, **options)
        with pytest.raises(
            jobs.BatchFailedError, match="batch invert: 2 of 5 items have no value: b: failed: ZeroDiv"
        ) as error:
            batch.results(LIMIT_S)
        assert [job.key for job in error.value.failed] == ["b", "d"]
        assert batch.counts() == {"completed": 3, "failed": 2}
        assert len(batch) == 5
        assert [str(problem) for problem in batch.callback_errors.values()] == ["the callback's own"]
        batch = session.batch(invert, [items[1]], name="first", fail="first")
        with pytest.raises(jobs.BatchFailedError, match="batch first: 1 of 1 item has no value"):
            list(batch)
    assert sorted(str(job.key) for job in called) == list("abcde")
    mark.touch()
    called.clear()
    with opened() as session:
        batch = session.batch(invert, items, **options)
        assert batch.results(LIMIT_S) == [0.25, 1.0, 0.5, 1.0, 1.0]
        assert [len(job.attempts) for job in batch.jobs] == [1, 2, 1, 2, 1]
        assert [attempt.state for attempt in batch.jobs[1].attempts] == [State.FAILED, State.COMPLETED]
        assert batch.failed == []
        batch.raise_for_failures()
    assert sorted(str(job.key) for job in called) == ["b", "d"]
    registered = [line for line in (tmp_path / "jobs.jsonl").read_text().splitlines() if line.startswith('{"code"')]
    assert len(registered) == 1


def test_items_are_told_apart(opened: Opened, tmp_path: Path) -> None:
    with opened() as session:
        twice = [jobs.Call(str(tmp_path), 2)] * 2
        batch = session.batch(invert, twice, fail="never")
        assert batch.results(LIMIT_S) == [0.5, 0.5]
        first, second = (str(job.key) for job in batch.jobs)
        assert second == f"{first}#2"
        with pytest.raises(InputError, match="key: 'same': 2 items have it"):
            session.batch(invert, twice, key=lambda _: "same")
        with pytest.raises(InputError, match="items: there are none"):
            session.batch(invert, [])
        with pytest.raises(InputError, match="fail: 'later': not one of first, after, never"):
            session.batch(invert, twice, fail="later")
        assert session.batch(invert, [], allow_empty=True).results() == []
