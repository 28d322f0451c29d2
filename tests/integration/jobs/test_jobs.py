"""Jobs through the local service, the stock daemon and a real engine."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from pathlib import Path

import functions
import pytest

from prov_worker import jobs
from prov_worker.cli.main import run as cli
from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import InputError
from prov_worker.jobs import Cancellation, Jobs, State
from prov_worker.run.selection.groups import read_kept
from support import calls

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.timeout(300)]
LIMIT_S = 120


def double(number: int) -> int:
    return 2 * number


def go_on(path: str) -> str:
    """Run until there is a file."""
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.02)
    return path


def stay(path: str) -> None:
    """Say by a file that it runs, and go on."""
    import pathlib
    import time

    pathlib.Path(path).touch()
    time.sleep(600)


def test_each_way_to_end(
    opened: Callable[..., Jobs], tmp_path: Path, crate_dir: Path, wait_for: Callable[..., None]
) -> None:
    """Values, errors, lost workers and commands, together; each attempt has its crate."""
    from globus_compute_sdk import ShellFunction

    with opened() as session:
        values = [session.submit(double, number) for number in range(5)]
        raising = session.options(retries=1, name="no").submit(functions.refuse, "not today")
        again = session.options(retries=1, retry_on=["failed"]).submit(functions.refuse, "twice")
        reborn = session.options(retries=1).submit(calls.die_once, str(tmp_path / "mark"))
        lost = session.submit(functions.die)
        good = session.submit(ShellFunction("echo {word}"), word="hello")
        bad = session.submit(ShellFunction("echo oops >&2; exit {status}"), status=3)
        late = session.submit(ShellFunction("sleep 20", walltime=0.2))
        ended = list(session.as_completed(timeout=LIMIT_S))
        assert sorted(job.id for job in ended) == list(range(1, 13))
        assert [job.result() for job in values] == [0, 2, 4, 6, 8]
        assert good.result().stdout == "hello\n"
        assert reborn.result() == "second attempt"
        with pytest.raises(jobs.JobFailedError, match="ValueError: not today") as failure:
            raising.result()
        assert failure.value.job is raising
        with pytest.raises(jobs.JobFailedError, match=r"^exit status 3: .*exit 3\noops\n"):
            bad.result()
        with pytest.raises(jobs.JobTimedOutError, match="^ended at its walltime: sleep 20"):
            late.result()
        with pytest.raises(jobs.JobLostError, match="WorkerLost"):
            lost.result()
    assert [len(job.attempts) for job in (raising, again, reborn, lost)] == [1, 2, 2, 1]
    assert [attempt.state for attempt in reborn.attempts] == [State.LOST, State.COMPLETED]
    assert raising.name == "no"
    tasks = [attempt.task_id for job in session for attempt in job.attempts]
    assert len(set(tasks)) == len(tasks) == 14
    wait_for(lambda: all((crate_dir / f"{task}.crate").exists() for task in tasks), "a crate of each attempt")
    assert values[0].crate == crate_dir / f"{values[0].task_id}.crate"


def test_a_store_is_read_while_it_is_open_and_opened_again(
    opened: Callable[..., Jobs], tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    store = tmp_path / "jobs.jsonl"
    with opened() as session:
        first = session.submit(double, 4)
        assert first.result(LIMIT_S) == 8
        running = session.submit(go_on, str(tmp_path / "go"))
        with pytest.raises(jobs.StoreError, match=r"in use by process \d+; one program at a time"):
            opened()
        reading = jobs.Ledger.read(store)
        assert [job.state for job in reading.jobs.values()] == [State.COMPLETED, State.QUEUED]
        assert reading.jobs[1].result() == 8
        with pytest.raises(jobs.StoreError, match="job 2: was read"):
            reading.jobs[2].cancel()
        wait_for(lambda: running.task_id is not None, "its task")
        session.close(wait=False)
    with pytest.raises(InputError, match="is closed"):
        running.result(1)
    (tmp_path / "go").touch()
    with opened(endpoint=None, options=None) as session:
        assert [job.result(LIMIT_S) for job in session] == [8, str(tmp_path / "go")]
        assert session[2].task_id == running.task_id
    registrations = [line for line in store.read_text().splitlines() if line.startswith('{"code"')]
    assert len(registrations) == 2
    assert store.stat().st_mode & 0o777 == 0o600


def test_cancel_says_what_it_did(opened: Callable[..., Jobs], tmp_path: Path, wait_for: Callable[..., None]) -> None:
    """At an endpoint whose engine is not ours, a time limit is refused too."""
    with opened(options={"engine": "GlobusComputeEngine"}) as session:
        limited = session.options(time_limit=60).submit(double, 1)
        with pytest.raises(jobs.JobFailedError, match="time_limit, run, once: the endpoint's engine is not one of"):
            limited.result(LIMIT_S)
        running = session.submit(go_on, str(tmp_path / "go"))
        wait_for(lambda: running.task_id is not None, "its task")
        with session.lock:  # so that it cannot be sent meanwhile
            waiting = session.submit(double, 1)
            assert waiting.cancel() is Cancellation.CANCELLED
        assert session.look() == []
        assert running.cancel() is Cancellation.DROPPED
        with pytest.raises(jobs.JobCancelledError, match=r"job 2 \(go_on\): cancelled; its result is dropped"):
            running.result()
        assert str(running.state) == "queued"
        (tmp_path / "go").touch()
        session.wait(LIMIT_S)
        assert str(running.state) == "cancelled"
        assert waiting.cancel() is Cancellation.ENDED
        with pytest.raises(jobs.JobCancelledError, match="it ended as completed, and its result was dropped"):
            running.result()
        assert waiting.attempts == []


@pytest.mark.long  # Parsl's manager sees that a worker is gone at its next heartbeat, half a minute later
@pytest.mark.timeout(900)
def test_limits_runs_and_cancellation_at_an_endpoint_of_ours(
    opened: Callable[..., Jobs],
    tmp_path: Path,
    crate_dir: Path,
    wait_for: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with opened(run="scan-3") as session:
        late = session.options(time_limit=0.5, retries=1).submit(calls.sleep, 600.0)
        with pytest.raises(jobs.JobTimedOutError, match=r"^time limit of 0\.5 s: worker process \d+ on .* was ended$"):
            late.result(3 * LIMIT_S)
        assert [attempt.state for attempt in late.attempts] == [State.TIMED_OUT] * 2
        assert session.ledger.ours
        running = session.submit(stay, str(tmp_path / "runs"))
        wait_for((tmp_path / "runs").exists, "its task")  # of one that has not begun, the run is not in the crate
        assert running.state is State.QUEUED
        wait_for(lambda: session.look() == [running], "the agent's word of it")
        assert running.state is State.RUNNING
        assert running.cancel() is Cancellation.STOPPED
        with session.lock:
            waiting = session.submit(double, 1)
            assert waiting.cancel() is Cancellation.CANCELLED
        assert session.submit(double, 4).result(LIMIT_S) == 8
        session.wait(LIMIT_S)
        assert running.state is State.CANCELLED
        with pytest.raises(jobs.JobCancelledError, match="^cancelled by .*@.*: worker process"):
            running.result()
        group = session.ledger.head["group"]
        ended = session.cancel_all([running, waiting])
        assert ended == [Cancellation.ENDED] * 2
    crates = [crate_dir / f"{job.task_id}.crate" for job in (late, running)]
    tasks = {attempt.task_id for job in session for attempt in job.attempts}
    wait_for(lambda: all((crate_dir / f"{task}.crate").exists() for task in tasks), "the crates")
    steps = [open_step(source_of(crate))[0] for crate in crates]
    assert [(step.failure_kind, step.annotations["run"]) for step in steps] == [
        ("time_limit", "scan-3"),
        ("cancelled", "scan-3"),
    ]
    assert cli(["list", "--json", "--group", group, str(crate_dir)]) == 0  # the service is asked
    assert {row["task_id"] for row in json.loads(capsys.readouterr().out)} == tasks
    assert read_kept(crate_dir)[group] == tasks
    assert cli(["list", "--group", str(uuid.UUID(int=9)), str(crate_dir)]) == 2
    assert "the web service knows no such task group of yours" in capsys.readouterr().err


def test_what_the_service_refuses_fails_at_once(opened: Callable[..., Jobs]) -> None:
    with opened("refused.jsonl", retries=2) as session:
        job = session.submit_registered("00000000-0000-4000-8000-000000000000", 1)
        with pytest.raises(jobs.JobFailedError, match=r"^refused by the web service: 404 .*not found"):
            job.result(LIMIT_S)
        assert len(job.attempts) == 1
        assert session.retry(session) == [job]
        session.wait(LIMIT_S)
        assert [attempt.state for attempt in job.attempts] == [State.FAILED, State.FAILED]


def test_bad_input_is_refused_before_anything_is_sent(opened: Callable[..., Jobs], tmp_path: Path) -> None:
    with opened() as session:
        for refused in (
            lambda: session.submit(double, (number for number in range(3))),
            lambda: session.submit(3),  # type: ignore[arg-type]
            lambda: session.submit(functools.partial(double, 4)),
            lambda: session.options(retries=-1),
            lambda: session.options(retry_on=["never"]),
            lambda: session.options(ranks=3, nodes=2),
            lambda: session.options(nodes=0),
            lambda: session.options(time_limit="60"),
            lambda: session.options(run=""),
        ):
            with pytest.raises(InputError) as error:
                refused()
            assert "\n" not in str(error.value)
        assert len(session) == 0
    with pytest.raises(jobs.StoreError, match="other options"):
        opened(options={"workers": 1})
