"""Jobs without a web service: an engine in this program, with a site's template."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import functions
import pytest

from prov_worker import jobs
from prov_worker.cli.main import run as cli
from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import InputError
from prov_worker.jobs import Cancellation, State
from prov_worker.jobs.scheduler import GlobusJobScheduler

pytestmark = [pytest.mark.xdist_group("jobs_at_site"), pytest.mark.timeout(300)]
LIMIT_S = 180
OPTIONS = {"workers": 1, "heartbeat_period": 1, "heartbeat_threshold": 3, "plots": "none"}
KILLED = """
import sys, time
import functions
from prov_worker import jobs

def stay(seconds):
    import time
    time.sleep(seconds)
    return seconds

if __name__ == "__main__":
    session = jobs.open(site="local", store=sys.argv[1], options={OPTIONS})
    print(session.batch(functions.add, [jobs.Call(4, 1)]).results(120), flush=True)
    waiting = session.submit(stay, 600.0)
    session.wait_until(lambda: waiting.task_id is not None, 60, "its task")
    print("sent", flush=True)
    time.sleep(600)
"""


def stay(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return seconds


def test_the_same_jobs_with_an_engine_here(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    with jobs.open(site="local", store=tmp_path / "jobs.jsonl", options=OPTIONS, run="scan-4") as session:
        assert session.ledger.ours
        batch = session.batch(functions.add, [jobs.Call(number, 1) for number in range(5)])
        assert batch.results(LIMIT_S) == [1, 2, 3, 4, 5]
        raising = session.submit(functions.refuse, "no")
        with pytest.raises(jobs.JobFailedError, match="ValueError: no"):
            raising.result(LIMIT_S)
        late = session.options(time_limit=0.3).submit(stay, 600.0)
        with pytest.raises(jobs.JobTimedOutError, match=r"^time limit of 0\.3 s"):
            late.result(LIMIT_S)
        running = session.submit(stay, 600.0)
        wait_for(lambda: running.task_id is not None, "its task")
        assert running.cancel() is Cancellation.STOPPED
        session.wait(LIMIT_S)
        assert running.state is State.CANCELLED
        wait_for(lambda: all(job.crate is not None for job in session), "the crates")
        assert late.crate == tmp_path / "jobs.jsonl.crates" / f"{late.task_id}.crate"
        assert late.crate is not None
        assert open_step(source_of(late.crate))[0].annotations == {"run": "scan-4"}


@pytest.mark.faults
def test_a_program_that_is_killed_loses_what_its_engine_had(tmp_path: Path) -> None:
    """It says so, sends it again if that is asked for, and knows the functions still."""
    store, program = tmp_path / "jobs.jsonl", tmp_path / "program.py"
    program.write_text(KILLED.replace("{OPTIONS}", repr(OPTIONS)))
    with subprocess.Popen([sys.executable, program, store], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert (process.stdout.readline(), process.stdout.readline()) == ("[5]\n", "sent\n")
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGKILL)
    with jobs.open(store=store) as session:  # the store knows its site
        with pytest.raises(jobs.JobLostError, match="the program whose engine had it has ended"):
            session[2].result(LIMIT_S)
        assert session.batch(functions.add, [jobs.Call(4, 1)]).results() == [5]
        assert len(session) == 2, "what is in the store is not sent again"
        (again,) = session.retry([session[2]])
        time.sleep(1.0)
        assert again.cancel() in (Cancellation.STOPPED, Cancellation.ASKED, Cancellation.CANCELLED)
        assert session.submit_registered(session[1].function_id, 2, 3).result(LIMIT_S) == 5


def test_bad_input_is_refused_before_a_store_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "jobs.jsonl"
    for problem, arguments in {
        "site, endpoint: give one of them": {"site": "local", "endpoint": "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1cff"},
        "nowhere: no such site": {"site": "nowhere"},
        "options: no_such: local has no such option": {"site": "local", "options": {"no_such": 1}},
        "options: account: must be set": {"site": "perlmutter-cpu"},
    }.items():
        with pytest.raises(InputError, match=problem):
            jobs.open(store=store, **arguments)  # type: ignore[arg-type]
    assert not store.exists()
    (tmp_path / "work.py").write_text("def f():\n    return 1\n")
    assert cli(["jobs", "submit", f"{tmp_path}/work.py:f", "--site", "local", "--no-wait", "--store", str(store)]) == 2
    assert "--no-wait: not with --site" in capsys.readouterr().err


def train(config: dict[str, float]) -> float:
    import time

    time.sleep(config.get("seconds", 0.0))
    return config["lr"] / config["scale"]


def test_the_names_of_another_scheduler(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    """Of ``GlobusJobScheduler``, whose cancellation, retries and time limit did nothing."""
    config = {"lr": 0.5, "scale": 2.0}
    with GlobusJobScheduler(
        None, function=train, function_timeout=5, max_retries=0, site="local", store=tmp_path / "jobs.jsonl",
        options=OPTIONS,
    ) as scheduler:  # fmt: skip
        first, raising, late = (
            scheduler.submit_job(job) for job in (config, {**config, "scale": 0.0}, {**config, "seconds": 600.0})
        )
        assert scheduler.get_job_results(first, LIMIT_S) == 0.25
        assert config == {"lr": 0.5, "scale": 2.0}
        with pytest.raises(jobs.JobFailedError, match="ZeroDivisionError"):
            scheduler.get_job_results(raising, LIMIT_S)
        with pytest.raises(jobs.JobTimedOutError, match="^time limit of 5 s"):
            scheduler.get_job_results(late, LIMIT_S)
        assert [scheduler.get_job_status(job) for job in (first, raising, late)] == ["completed", "failed", "timed_out"]
        running = scheduler.submit_job({**config, "seconds": 600.0})
        assert not scheduler.is_job_complete(running)
        assert scheduler.cancel_job(running)
        wait_for(lambda: scheduler.is_job_complete(running), "its end")
        assert scheduler.get_job_status(running) == "cancelled"
        assert not scheduler.cancel_job(first)
        for unknown in ("9", "x"):
            with pytest.raises(InputError, match=f"jobs.jsonl: has no job {unknown}"):
                scheduler.get_job_status(unknown)
    with pytest.raises(InputError, match="auth_method: 'no-such-method': not one of"):
        GlobusJobScheduler(None, function=train, auth_method="no-such-method", site="local")
