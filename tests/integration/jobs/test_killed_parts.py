"""``kill -9`` of each part while jobs are under way: every job is accounted for, and none runs twice unless it may.

The client has a module of its own (``test_interrupted.py``). An endpoint or a broker that is killed has its tasks
delivered again by the web service, which does not know what had begun: that is Globus Compute's own way, without a word
to the client, and such a task may run once more within one attempt of its job, unless it is to run once.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prov_worker import jobs
from prov_worker.jobs import Jobs, Ledger, State

if TYPE_CHECKING:
    from service_stack import Stack

pytestmark = [
    pytest.mark.xdist_group("jobs"),
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.faults,
    pytest.mark.timeout(900),
]
COUNT = 60
#: Workers of the endpoint.
WORKERS = 2
LIMIT_S = 400


def mark(directory: str, number: int) -> int:
    """Leave a line with the worker for each run of this item."""
    import os
    import time

    descriptor = os.open(os.path.join(directory, str(number)), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    os.close(descriptor)
    time.sleep(0.3)
    return number * number


def runs(marks: Path) -> dict[int, list[int]]:
    """Processes that ran each item."""
    return {int(path.name): [int(line) for line in path.read_text().split()] for path in marks.iterdir()}


def agents(crate_dir: Path) -> list[int]:
    """Agents of a crate directory, by process id."""
    named = f'"crate_dir": "{crate_dir}"'.encode()
    return [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if (path / "cmdline").exists() and named in (line := _command(path)) and b"prov_worker.agent.main" in line
    ]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def kill_worker(stack: Stack, marks: Path, crate_dir: Path) -> None:
    """The worker that began an item last."""
    last = max(marks.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    os.kill(int(last.read_text().split()[-1]), signal.SIGKILL)


def kill_agent(stack: Stack, marks: Path, crate_dir: Path) -> None:
    """The agent of the node, with what it has started."""
    processes = agents(crate_dir)
    assert processes
    for process in processes:
        os.kill(process, signal.SIGKILL)


def kill_user_endpoint(stack: Stack, marks: Path, crate_dir: Path) -> None:
    """The process with the engine; the daemon starts another one."""
    assert stack.daemon is not None
    for process in stack.daemon.user_endpoints():
        stack.daemon.kill(process)


def kill_daemon(stack: Stack, marks: Path, crate_dir: Path) -> None:
    """The endpoint's own process, which a person starts again."""
    assert stack.daemon is not None
    stack.daemon.kill()
    stack.daemon.start()


def kill_broker(stack: Stack, marks: Path, crate_dir: Path) -> None:
    """The broker, which comes back a second later."""
    stack.broker.stop(signal.SIGKILL)
    time.sleep(1)
    stack.broker.start()


def kill_service(stack: Stack, marks: Path, crate_dir: Path) -> None:
    """The web service, likewise."""
    stack.service.stop(signal.SIGKILL)
    time.sleep(1)
    stack.service.start()


@pytest.mark.parametrize(
    ("kill", "most_lost", "again"),
    [
        pytest.param(kill_worker, 1, 0, id="worker"),
        pytest.param(kill_agent, 0, 0, id="agent"),
        pytest.param(kill_user_endpoint, 0, 1, id="user endpoint"),
        pytest.param(kill_daemon, 0, 1, id="daemon"),
        pytest.param(kill_broker, 0, 1, id="broker"),
        pytest.param(kill_service, 0, 0, id="service"),
    ],
)
@pytest.mark.parametrize("options", [{"retries": 0}, {"retries": 2}, {"once": True}], ids=str)
def test_a_part_that_is_killed(
    stack: Stack,
    opened: Callable[..., Jobs],
    tmp_path: Path,
    crate_dir: Path,
    wait_for: Callable[..., None],
    kill: Callable[[Stack, Path, Path], None],
    most_lost: int,
    again: int,
    options: dict[str, int],
) -> None:
    """Killed while the program goes on; afterwards the store is opened again, as by a program that was killed too."""
    marks = tmp_path / "marks"
    marks.mkdir()
    retries, once = options.get("retries", 0), options.get("once", False)
    if once and again:  # what ran when its engine ended is not run again
        most_lost, again = WORKERS, 0
    with opened(str(tmp_path / "jobs.jsonl"), **options) as session:
        items = [jobs.Call(str(marks), number) for number in range(COUNT)]
        session.batch(mark, items, name="marks", fail="never")
        wait_for(lambda: sum(job.ended for job in session) >= 6, "the first jobs")
        ended = sum(job.ended for job in session)
        assert ended < COUNT, "nothing was under way"
        kill(stack, marks, crate_dir)
        wait_for(lambda: sum(job.ended for job in session) >= 12, "more jobs")
        session.close(wait=False)
    counts = Ledger.read(tmp_path / "jobs.jsonl").counts()
    with opened(str(tmp_path / "jobs.jsonl"), **options) as session:
        session.wait(LIMIT_S)
        states = Counter(job.state for job in session)
        processes = runs(marks)
        after = {str(state): count for state, count in states.items()}
        twice = sum(len(pids) > 1 for pids in processes.values())
        print(json.dumps({"ended when it was killed": ended, "before": counts, "after": after, "ran twice": twice}))
        assert len(session) == COUNT
        assert set(states) <= {State.COMPLETED, State.LOST}
        assert states[State.LOST] <= (0 if retries else most_lost)
        for number, job in enumerate(session):
            attempts = len(job.attempts)
            assert len(processes.get(number, [])) <= attempts + again, (number, job.attempts)
            assert attempts == 1 or retries
            if job.state is State.COMPLETED:
                assert job.result() == number * number
            else:
                assert job.error
