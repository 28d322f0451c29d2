"""What the end of a job of PBS says of the deaths in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent.death_reasons import failure_of_death
from prov_worker.agent.job_ends import JobEnds
from prov_worker.model import FAILED, Failure, Function, TaskRecord, Worker
from prov_worker.schedulers import SCHEDULERS
from prov_worker.schedulers.answers import JobWord

DIED_S = 1000


def killed(status: int | None, variables: dict[str, str]) -> TaskRecord:
    """A task whose worker died at :data:`DIED_S`."""
    return TaskRecord(
        task_id="00000000-0000-0000-0000-000000000001",
        attempt=1,
        status=FAILED,
        start_ns=(DIED_S - 10) * 10**9,
        end_ns=DIED_S * 10**9,
        function=Function("f"),
        worker=Worker("node", 7, scheduler=variables),
        failure=failure_of_death(status, "node", 7),
    )


@pytest.mark.parametrize(
    "status, scheduler, suffix",
    [
        (15, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "1000"}, "; the walltime of batch job 7.p was over"),
        (9, {"PBS_JOBID": "8.p", "PBS_JOB_END_TIME": "1003"}, "; the walltime of batch job 8.p was over"),
        (None, {"PBS_JOBID": "8.p", "PBS_JOB_END_TIME": "900"}, "; the walltime of batch job 8.p was over"),
        (15, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "1600"}, "; batch job 7.p had 600 s of its walltime left"),
        (11, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "1000"}, ""),
        (0, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "1000"}, ""),
        (15, {"PBS_JOBID": "7.p"}, ""),
        (15, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "soon"}, ""),
        (15, {}, ""),
    ],
)
def test_what_the_batch_jobs_end_says_of_a_death(status: int | None, scheduler: dict[str, str], suffix: str) -> None:
    record = killed(status, scheduler)
    before = record.failure
    JobEnds().explain(record, death_seen=True)
    assert before is not None
    assert record.failure is not None
    assert record.failure.message == before.message + suffix
    assert (record.failure.kind, record.failure.signal) == (before.kind, before.signal)


def test_a_death_at_an_unknown_time_is_compared_with_no_walltime() -> None:
    record = killed(15, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "1000"})
    before = record.failure
    JobEnds().explain(record)
    assert record.failure == before


def test_an_exception_of_the_function_is_no_death() -> None:
    record = killed(15, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "1000"})
    record.failure = Failure("exception", "ValueError: x")
    JobEnds().explain(record, death_seen=True)
    assert record.failure.message == "ValueError: x"


def test_tasks_that_share_a_failure_are_explained_each_by_itself() -> None:
    records = [killed(15, {"PBS_JOBID": "7.p", "PBS_JOB_END_TIME": "1000"}) for _ in range(2)]
    records[1].failure = records[0].failure
    ends = JobEnds()
    for record in records:
        ends.explain(record, death_seen=True)
        assert record.failure is not None
        assert record.failure.message.count("the walltime of batch job") == 1


def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    """A qstat that gives an answer of a server."""
    (tmp_path / "answer").write_text(output)
    program = tmp_path / "qstat"
    program.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/asked\nexec cat {tmp_path}/answer\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


STUCK = {"job_state": "H", "Hold_Types": "s", "comment": "job held, too many failed attempts to run", "substate": 20}


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (STUCK, JobWord("batch job 89.pbs1 is held (PBS: job held, too many failed attempts to run)", True, True)),
        (
            {"job_state": "H", "Hold_Types": "u", "comment": "Job held by alice on Sun Nov 29"},
            JobWord("batch job 89.pbs1 is held (PBS: Job held by alice on Sun Nov 29)", True),
        ),
        (
            {"job_state": "F", "Exit_status": 271, "comment": "Job run at Sun and terminated by alice"},
            JobWord("batch job 89.pbs1 ended with exit status 271 (PBS: Job run at Sun and terminated by alice)"),
        ),
        ({"job_state": "F"}, JobWord("batch job 89.pbs1 ended (PBS: no comment)")),
        (
            {"job_state": "Q", "comment": "Not Running: Not enough free nodes available"},
            JobWord("batch job 89.pbs1 is in state Q (PBS: Not Running: Not enough free nodes available)"),
        ),
    ],
)
def test_what_pbs_says_of_a_block(
    facts: dict[str, Any], word: JobWord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(tmp_path, monkeypatch, json.dumps({"timestamp": 1, "Jobs": {"89.pbs1": facts}}))
    assert SCHEDULERS["pbs"].look("89.pbs1") == word
    assert (tmp_path / "asked").read_text() == "-x -f -F json 89.pbs1\n"


@pytest.mark.parametrize("output", ["", "{}", '{"Jobs": {}}', '{"Jobs": {"1": {}}}', "not JSON"])
def test_nothing_is_made_of_other_answers(output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(tmp_path, monkeypatch, output)
    assert SCHEDULERS["pbs"].look("89.pbs1") is None
