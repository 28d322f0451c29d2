"""What Slurm says of a job, as Slurm 22.05 answered; what it does is tried in tests/schedulers/slurm."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.agent.job_ends import JobEnds
from prov_worker.model import FAILED, Failure, Function, TaskRecord, Worker
from prov_worker.schedulers import SCHEDULERS
from prov_worker.schedulers.answers import JobWord

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


START_S = END_S - 60
SCONTROL = (
    "JobId=3 JobName=x JobState={} Reason={} ExitCode=0:15 TimeLimit=00:01:00 "
    f"StartTime={START_S} EndTime={{}} Command=/a b=c"
)


def row(state: str, end: int | str = END_S, limit: str = "00:05:00", job: str = "3", start: int = START_S) -> str:
    """A line of sacct."""
    return f"{job}|{state}|{start}|{end}|{limit}\n"


@pytest.mark.parametrize(
    "answers, message",
    [
        ({"sacct": row("TIMEOUT", limit="00:01:00")}, "reached its time limit (walltime) of 00:01:00 (Slurm: TIMEOUT)"),
        ({"sacct": row("CANCELLED by 10001")}, "was cancelled (Slurm: CANCELLED by 10001)"),
        ({"sacct": row("PREEMPTED")}, "was preempted (Slurm: PREEMPTED)"),
        ({"sacct": row("NODE_FAIL")}, "lost a node (Slurm: NODE_FAIL)"),
        (
            {
                "sacct": row("RUNNING", "Unknown", "00:01:00"),
                "scontrol": SCONTROL.format("COMPLETING", "TimeLimit", END_S),
            },
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
        (
            {"sacct": row("RUNNING", "Unknown", "00:01:00"), "scontrol": SCONTROL.format("RUNNING", "None", END_S)},
            lost(),
        ),
        ({"sacct": row("COMPLETED")}, lost()),
        ({"sacct": row("CANCELLED")}, lost(end_s=END_S - 60)),  # the job went on without it
        ({"sacct": row("TIMEOUT")}, lost("exception")),
        ({"sacct": row("TIMEOUT")}, lost(PBS_JOBID="3")),
        ({"sacct": "no\x00table", "scontrol": "no answer"}, lost()),
        ({}, lost()),
    ],
)
def test_nothing_is_said_where_the_job_was_not_the_cause(
    slurm: Callable[..., JobEnds], answers: dict[str, str], record: TaskRecord
) -> None:
    assert told(slurm(**answers), record) == "worker process 7 on nid001 was killed by SIGTERM"


def test_of_a_task_whose_end_nobody_saw_the_jobs_end_is_told_with_its_time(slurm: Callable[..., JobEnds]) -> None:
    message = told(slurm(sacct=row("TIMEOUT", limit="00:01:00")), lost("unknown", end_s=END_S - 50))
    assert message.startswith("worker process 7 on nid001 was killed")
    assert message.endswith("; batch job 3 reached its time limit (walltime) of 00:01:00 (Slurm: TIMEOUT) at "
                            "2026-11-21T07:33:19Z")  # fmt: skip


def test_it_is_asked_once_for_a_job_and_again_only_of_later_deaths(
    slurm: Callable[..., JobEnds], tmp_path: Path
) -> None:
    jobs = slurm(sacct=row("RUNNING", "Unknown", "00:01:00"), scontrol=SCONTROL.format("RUNNING", "None", END_S))
    told(jobs, lost())
    told(jobs, lost())
    commands = (tmp_path / "asked").read_text().splitlines()
    assert commands == ["%s -X -D -n -P -j 3 -o JobIDRaw,State,Start,End,Timelimit", "%s -o show job 3"]
    now = int(time.time())
    (tmp_path / "sacct.answer").write_text(row("TIMEOUT", now + 60, "00:01:00"))
    assert told(jobs, lost(end_s=now + 60.5)).startswith("batch job 3 reached its time limit")
    told(jobs, lost(end_s=now + 90))
    assert len((tmp_path / "asked").read_text().splitlines()) == 3


def test_a_scheduler_that_does_not_answer_is_left_alone(
    slurm: Callable[..., JobEnds], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prov_worker.schedulers.answers.slurm._LIMIT_S", 0.2)
    jobs = slurm(sacct="", scontrol="")
    (tmp_path / "sacct").write_text(f"#!/bin/sh\necho asked >>{tmp_path}/asked\nexec sleep 60\n")
    for end_s in (END_S, time.time() + 10):
        assert told(jobs, lost(end_s=end_s)) == "worker process 7 on nid001 was killed by SIGTERM"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_each_task_of_an_array_has_its_own_end(slurm: Callable[..., JobEnds]) -> None:
    """The last task of an array has the array's own id, for which sacct and scontrol list all tasks."""
    answers = row("TIMEOUT", job="4") + row("CANCELLED by 0", job="5") + row("NODE_FAIL", job="3")
    for jobs in (
        slurm(sacct=answers, scontrol=""),
        slurm(sacct="", scontrol="\n".join(
            SCONTROL.format(state, "None", END_S).replace("JobId=3", f"JobId={job} ArrayJobId=3 ArrayTaskId={job}")
            for job, state in (("4", "TIMEOUT"), ("3", "NODE_FAIL"), ("5", "CANCELLED"))
        )),
    ):  # fmt: skip
        assert told(jobs, lost()).startswith("batch job 3 lost a node (Slurm: NODE_FAIL): ")


def test_an_array_of_which_others_ended_explains_nothing(slurm: Callable[..., JobEnds]) -> None:
    jobs = slurm(sacct=row("TIMEOUT", job="4") + row("RUNNING", "Unknown"), scontrol="")
    assert told(jobs, lost()) == "worker process 7 on nid001 was killed by SIGTERM"


def test_the_leader_of_a_heterogeneous_job(slurm: Callable[..., JobEnds]) -> None:
    """squeue writes 3+0 and 3+1; as jobs they have the ids 3 and 4."""
    jobs = slurm(sacct=row("COMPLETED") + row("OUT_OF_MEMORY", job="4"), scontrol="")
    assert told(jobs, lost()) == "worker process 7 on nid001 was killed by SIGTERM"
    assert "ran out of memory" in told(jobs, lost(SLURM_JOB_ID="4"))


@pytest.mark.parametrize(
    ("end_s", "text"),
    [
        (END_S + 1, "batch job 3 was put back into the queue (Slurm: REQUEUED): worker"),
        (END_S + 70, "worker process 7 on nid001 was killed by SIGTERM"),  # the second run went on
        (END_S + 121, "batch job 3 reached its time limit (walltime) of 00:05:00 (Slurm: TIMEOUT): worker"),
    ],
)
def test_each_run_of_a_requeued_job_has_its_own_end(slurm: Callable[..., JobEnds], end_s: int, text: str) -> None:
    jobs = slurm(sacct=row("REQUEUED") + row("TIMEOUT", END_S + 120, start=END_S + 30), scontrol="")
    assert told(jobs, lost(end_s=end_s)).startswith(text)


def test_a_run_that_goes_on_hides_the_end_of_the_one_before(slurm: Callable[..., JobEnds]) -> None:
    jobs = slurm(sacct=row("REQUEUED") + row("RUNNING", "Unknown", start=END_S + 30), scontrol="")
    assert told(jobs, lost(end_s=END_S + 70)) == "worker process 7 on nid001 was killed by SIGTERM"


@pytest.mark.parametrize(
    ("squeue", "sacct", "word"),
    [
        ("3|PENDING|Priority\n", "", JobWord("batch job 3 is in state PENDING (Slurm: Priority)")),
        ("3|PENDING|JobHeldUser\n", "", JobWord("batch job 3 is held (Slurm: JobHeldUser)", True)),
        ("3|PENDING|JobHoldMaxRequeue\n", "", JobWord("batch job 3 is held (Slurm: JobHoldMaxRequeue)", True, True)),
        (
            "4|RUNNING|None\n3|PENDING|launch failed requeued held\n",
            "",
            JobWord("batch job 3 is held (Slurm: launch failed requeued held)", True, True),
        ),
        (
            "",
            "4|COMPLETED|0:0\n3|CANCELLED by 1000|0:15\n",
            JobWord("batch job 3 ended with exit status 0:15 (Slurm: CANCELLED by 1000)"),
        ),
        ("4|RUNNING|None\n", "4|RUNNING|0:0\n", None),
        ("", "", None),
    ],
)
def test_what_slurm_says_of_a_block(
    squeue: str, sacct: str, word: JobWord | None, slurm: Callable[..., JobEnds], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    slurm(squeue=squeue, sacct=sacct)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert SCHEDULERS["slurm"].look("3") == word
