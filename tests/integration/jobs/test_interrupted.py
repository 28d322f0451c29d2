"""``kill -9`` of the client at any moment: every job is accounted for, and none runs twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from sys import executable

import interrupted
import pytest

from prov_worker import jobs
from prov_worker.jobs import Ledger, State

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.timeout(280), pytest.mark.faults]
HERE = Path(__file__).parent


def kill_at(seconds: float, endpoint: str, directory: Path, count: int) -> None:
    """Run the program, and kill it so long after its store is open."""
    (directory / "marks").mkdir(parents=True, exist_ok=True)
    command = [executable, HERE / "interrupted.py", endpoint, directory / "jobs.jsonl", directory / "marks", str(count)]
    errors = directory / "errors"
    with (
        errors.open("w") as log,
        Popen([*map(str, command)], stdin=DEVNULL, stdout=PIPE, stderr=log, text=True) as program,
    ):
        assert program.stdout is not None
        assert program.stdout.readline() == "open\n", errors.read_text()
        time.sleep(seconds)
        os.kill(program.pid, signal.SIGKILL)


def accounted(endpoint: str, directory: Path, count: int) -> int:
    """Open the store again, let all end, and compare with what ran; return how many jobs are unknown."""
    batch = interrupted.run(endpoint, str(directory / "jobs.jsonl"), str(directory / "marks"), count)
    states = Counter(job.state for job in batch.jobs)
    assert len(batch.jobs) == count
    assert set(states) <= {State.COMPLETED, State.UNKNOWN}, batch.failed[0].error
    runs = {int(path.name): len(path.read_bytes()) for path in (directory / "marks").iterdir()}
    assert max(runs.values()) == 1
    for number, job in enumerate(batch.jobs):
        if job.state is State.COMPLETED:
            assert (job.result(), runs[number]) == (number * number, 1)
    called = Counter(map(int, (directory / "called").read_text().split()))
    assert set(called) == {job.id for job in batch.jobs}
    return states[State.UNKNOWN]


@pytest.mark.parametrize(
    "stores",
    [pytest.param(1, id="ten"), pytest.param(5, id="fifty", marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
def test_a_client_that_is_killed_ten_times(
    endpoint: str, tmp_path: Path, crate_dir: Path, stores: int, wait_for: Callable[..., None]
) -> None:
    """One store is killed several times: what an earlier kill left is there at the next; crates tell it all."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    doubtful = 0
    for store in range(stores):
        directory = tmp_path / str(store)
        for number in range(10):
            kill_at(moments.uniform(0.0, 0.6), endpoint, directory, 40 * (number + 1))
        unknown = accounted(endpoint, directory, 440)
        doubtful += unknown
        read = Ledger.read(directory / "jobs.jsonl")
        assert sum(len(doubted) for doubted, _ in read.doubtful.values()) == unknown
        assert all(len(doubted) <= 128 for doubted, _ in read.doubtful.values()), "at most one request a kill"
        with jobs.open(store=directory / "jobs.jsonl", crates=crate_dir) as session:
            wait_for(lambda: all(job.state is not State.UNKNOWN for job in session), "a match of all jobs")
            session.wait(120)
            assert [job.result() for job in session] == [number * number for number in range(440)]
    print(f"{doubtful} jobs unknown")


@pytest.mark.long
def test_a_thousand_jobs_under_way(
    endpoint: str, tmp_path: Path, crate_dir: Path, wait_for: Callable[..., None]
) -> None:
    """Each has its value in the end, and none ran twice."""
    (tmp_path / "marks").mkdir()
    command = [executable, HERE / "interrupted.py", endpoint, tmp_path / "jobs.jsonl", tmp_path / "marks", "1000"]
    with Popen([*map(str, command)], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as program:
        store = tmp_path / "jobs.jsonl"
        wait_for(lambda: store.exists() and store.read_bytes().count(b'{"sent":') >= 4, "requests on their way")
        os.kill(program.pid, signal.SIGKILL)
    left = Ledger.read(store).counts()
    unknown = accounted(endpoint, tmp_path, 1000)
    with jobs.open(store=store, crates=crate_dir) as session:
        wait_for(lambda: all(job.state is not State.UNKNOWN for job in session), "a match of all jobs")
        session.wait(120)
        assert [job.result() for job in session] == [number * number for number in range(1000)]
    print(f"killed at {left}; {unknown} were unknown without crates")
