"""Which task is whose, by what crates say of calls: nothing is guessed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("globus_compute_sdk")

from prov_worker.globus.call_packing import pack_arguments
from prov_worker.jobs.matching import matches
from prov_worker.model import Function, Value
from prov_worker.recorder.capture import HASH_LIMIT, describe_call
from prov_worker.testing import CrateFactory
from prov_worker.testing.crates import task_id

ADD, SUM = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


class Opaque:
    """An object that has no digest."""


def job(function_id: str, *args: Any, **kwargs: Any) -> Any:
    return SimpleNamespace(function_id=function_id, payload=pack_arguments(args, kwargs))


@pytest.fixture
def crate(tmp_path: Path) -> Callable[..., str]:
    """Publish the crate of a call; its task."""
    factory = CrateFactory(tmp_path / "crates")

    def add(number: int, function_id: str, *args: Any, names: tuple[str, ...] = (), **kwargs: Any) -> str:
        described = json.loads(describe_call(names, args, kwargs, False, True))
        factory.add(number, Function("f", id=function_id), arguments=[Value(*entry) for entry in described])
        return task_id(number)

    return add


def pairs(jobs: list[Any], tasks: list[str], tmp_path: Path) -> dict[str, int]:
    """Number of the job by its task."""
    numbers = {id(job): number for number, job in enumerate(jobs)}
    certain = matches(jobs, tasks, tmp_path / "crates", lambda job: str(job.payload))
    return {task: numbers[id(job)] for job, task in certain}


def test_a_call_is_known_by_function_and_arguments(crate: Callable[..., str], tmp_path: Path) -> None:
    tasks = [crate(0, SUM, 1, 2), crate(1, ADD, 1, 2), crate(2, ADD, 1, right=3), crate(3, ADD, "1", 2)]
    jobs = [job(ADD, 1, 2), job(ADD, 1, right=3), job(SUM, 1, 2), job(ADD, 9, 9)]
    # The worker knows the names of parameters; who sends does not.
    tasks.append(crate(4, ADD, 9, 9, names=("left", "right")))
    assert pairs(jobs, tasks, tmp_path) == {tasks[0]: 2, tasks[1]: 0, tasks[2]: 1, tasks[4]: 3}


def test_of_jobs_that_are_alike_each_has_a_task_of_its_own(crate: Callable[..., str], tmp_path: Path) -> None:
    tasks = [crate(number, ADD, 1, 2) for number in range(2)]
    assert sorted(pairs([job(ADD, 1, 2) for _ in range(3)], tasks, tmp_path).values()) == [0, 1]
    assert list(pairs([job(ADD, 1, 2)], tasks, tmp_path).values()) == [0]


def test_an_argument_without_a_digest_is_like_no_other(crate: Callable[..., str], tmp_path: Path) -> None:
    tasks = [crate(0, ADD, Opaque()), crate(1, ADD, 1)]
    assert pairs([job(ADD, Opaque()), job(ADD, 1)], tasks, tmp_path) == {tasks[1]: 1}


def test_what_is_too_large_for_a_digest_is_nobodys(crate: Callable[..., str], tmp_path: Path) -> None:
    text = "x" * (HASH_LIMIT + 1)
    tasks = [crate(0, ADD, text)]
    assert pairs([job(ADD, text)], tasks, tmp_path) == {}


def test_a_task_without_a_crate_is_nobodys(crate: Callable[..., str], tmp_path: Path) -> None:
    task = crate(0, ADD, 1)
    assert pairs([job(ADD, 1)], [task_id(7), task], tmp_path) == {task: 0}
    (tmp_path / "crates" / f"{task}.crate" / "ro-crate-metadata.json").write_text("{")
    assert pairs([job(ADD, 1)], [task], tmp_path) == {}


def test_arguments_that_cannot_be_read_here_match_nothing(crate: Callable[..., str], tmp_path: Path) -> None:
    task = crate(0, ADD, 1)
    odd = SimpleNamespace(function_id=ADD, payload="not packed")
    assert pairs([odd, job(ADD, 1)], [task], tmp_path) == {task: 1}
