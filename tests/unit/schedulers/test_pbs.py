"""What the end of a job of PBS says of the deaths in it."""

from __future__ import annotations

import pytest

from prov_worker.agent.exits import failure_of_death
from prov_worker.agent.job_ends import JobEnds
from prov_worker.model import FAILED, Failure, Function, TaskRecord, Worker

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
