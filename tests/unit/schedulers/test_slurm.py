"""What Slurm says of a job, as Slurm 22.05 answered; what it does is tried in tests/schedulers/slurm."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.agent.job_ends import JobEnds
from prov_worker.model import FAILED, Failure, Function, TaskRecord, Worker

END_S = 1_795_246_399


@pytest.fixture
def slurm(tmp_path: Path) -> Callable[..., JobEnds]:
    """A scheduler whose commands give recorded answers, and count how often they were asked."""

    def make(**answers: str) -> JobEnds:
        for name, answer in answers.items():
            (tmp_path / f"{name}.answer").write_text(answer)
            program = tmp_path / name
            program.write_text(f'#!/bin/sh\necho "$SLURM_TIME_FORMAT $*" >>{tmp_path}/asked\nexec cat $0.answer\n')
            program.chmod(0o755)
        return JobEnds({"PATH": f"{tmp_path}:/usr/bin:/bin"})

    return make


def lost(kind: str = "signal", end_s: float = END_S + 1.0, **scheduler: str) -> TaskRecord:
    """A task that failed in job 3."""
    return TaskRecord(
        task_id="00000000-0000-0000-0000-000000000001",
        attempt=1,
        status=FAILED,
        start_ns=int((end_s - 10) * 1e9),
        end_ns=int(end_s * 1e9),
        function=Function("f"),
        worker=Worker("nid001", 7, scheduler=scheduler or {"SLURM_JOB_ID": "3"}),
        failure=Failure(kind, "worker process 7 on nid001 was killed by SIGTERM"),
    )


def told(jobs: JobEnds, record: TaskRecord) -> str:
    jobs.explain(record)
    assert record.failure is not None
    return record.failure.message


SCONTROL = "JobId=3 JobName=x JobState={} Reason={} ExitCode=0:15 TimeLimit=00:01:00 EndTime={} Command=/a b=c"


@pytest.mark.parametrize(
    "answers, message",
    [
        ({"sacct": f"TIMEOUT|{END_S}|00:01:00\n"}, "reached its time limit (walltime) of 00:01:00 (Slurm: TIMEOUT)"),
        ({"sacct": f"CANCELLED by 10001|{END_S}|00:05:00\n"}, "was cancelled (Slurm: CANCELLED by 10001)"),
        ({"sacct": f"PREEMPTED|{END_S}|00:05:00\n"}, "was preempted (Slurm: PREEMPTED)"),
        ({"sacct": f"NODE_FAIL|{END_S}|00:05:00\n"}, "lost a node (Slurm: NODE_FAIL)"),
        (
            {"sacct": "RUNNING|Unknown|00:01:00\n", "scontrol": SCONTROL.format("COMPLETING", "TimeLimit", END_S)},
            "reached its time limit (walltime) of 00:01:00 (Slurm: TIMEOUT)",
        ),
        ({"sacct": "", "scontrol": SCONTROL.format("CANCELLED", "None", END_S)}, "was cancelled (Slurm: CANCELLED)"),
    ],
)
def test_the_end_of_a_job_explains_that_of_its_worker(
    slurm: Callable[..., JobEnds], answers: dict[str, str], message: str
) -> None:
    record = lost()
    assert told(slurm(**answers), record) == f"batch job 3 {message}: worker process 7 on nid001 was killed by SIGTERM"
    assert record.failure is not None
    assert record.failure.kind == "signal"


@pytest.mark.parametrize(
    "answers, record",
    [
        ({"sacct": "RUNNING|Unknown|00:01:00\n", "scontrol": SCONTROL.format("RUNNING", "None", END_S)}, lost()),
        ({"sacct": f"COMPLETED|{END_S}|00:05:00\n"}, lost()),
        ({"sacct": f"CANCELLED|{END_S}|00:05:00\n"}, lost(end_s=END_S - 60)),  # the job went on without it
        ({"sacct": f"TIMEOUT|{END_S}|00:05:00\n"}, lost("exception")),
        ({"sacct": f"TIMEOUT|{END_S}|00:05:00\n"}, lost(PBS_JOBID="3")),
        ({"sacct": "no\x00table", "scontrol": "no answer"}, lost()),
        ({}, lost()),
    ],
)
def test_nothing_is_said_where_the_job_was_not_the_cause(
    slurm: Callable[..., JobEnds], answers: dict[str, str], record: TaskRecord
) -> None:
    assert told(slurm(**answers), record) == "worker process 7 on nid001 was killed by SIGTERM"


def test_of_a_task_whose_end_nobody_saw_the_jobs_end_is_told_with_its_time(slurm: Callable[..., JobEnds]) -> None:
    message = told(slurm(sacct=f"TIMEOUT|{END_S}|00:01:00\n"), lost("unknown", end_s=END_S - 50))
    assert message.startswith("worker process 7 on nid001 was killed")
    assert message.endswith("; batch job 3 reached its time limit (walltime) of 00:01:00 (Slurm: TIMEOUT) at "
                            "2026-11-21T07:33:19Z")  # fmt: skip


def test_it_is_asked_once_for_a_job_and_again_only_of_later_deaths(
    slurm: Callable[..., JobEnds], tmp_path: Path
) -> None:
    jobs = slurm(sacct="RUNNING|Unknown|00:01:00\n", scontrol=SCONTROL.format("RUNNING", "None", END_S))
    told(jobs, lost())
    told(jobs, lost())
    commands = (tmp_path / "asked").read_text().splitlines()
    assert commands == ["%s -X -n -P -j 3 -o State,End,Timelimit", "%s -o show job 3"]
    now = int(time.time())
    (tmp_path / "sacct.answer").write_text(f"TIMEOUT|{now + 60}|00:01:00\n")
    assert told(jobs, lost(end_s=now + 60.5)).startswith("batch job 3 reached its time limit")
    told(jobs, lost(end_s=now + 90))
    assert len((tmp_path / "asked").read_text().splitlines()) == 3


def test_a_scheduler_that_does_not_answer_is_left_alone(
    slurm: Callable[..., JobEnds], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prov_worker.schedulers.slurm._LIMIT_S", 0.2)
    jobs = slurm(sacct="", scontrol="")
    (tmp_path / "sacct").write_text(f"#!/bin/sh\necho asked >>{tmp_path}/asked\nexec sleep 60\n")
    for end_s in (END_S, time.time() + 10):
        assert told(jobs, lost(end_s=end_s)) == "worker process 7 on nid001 was killed by SIGTERM"
    assert (tmp_path / "asked").read_text() == "asked\n"
