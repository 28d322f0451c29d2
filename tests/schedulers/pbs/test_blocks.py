"""Blocks that do not come: Parsl's executor, provider and strategy on the stand-in for PBS."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("parsl")

from parsl.executors import HighThroughputExecutor
from parsl.jobs.job_status_poller import JobStatusPoller
from parsl.jobs.states import JobState, JobStatus
from parsl.launchers import SimpleLauncher
from parsl.providers import PBSProProvider

from prov_worker.globus.blocks import MAX_FAILED, BlockWatch, watch_blocks
from prov_worker.schedulers.answers import JobWord
from prov_worker.schedulers.pbs import PBS

if TYPE_CHECKING:
    from standin.cluster import Cluster

Make = Callable[..., tuple[HighThroughputExecutor, Callable[[], None]]]


@pytest.fixture
def executor_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """An executor that submits to a cluster, and a function that does what Parsl does once in a period."""
    with contextlib.ExitStack() as ends:

        def make(cluster: Cluster, command: str = "true", **options: Any) -> Any:
            monkeypatch.setenv("PATH", cluster.path)
            # 60 s: as often as that it asks PBS.
            monkeypatch.setattr(PBSProProvider, "status_polling_interval", 1e-6)
            limits = {"init_blocks": 0, "min_blocks": 0, "max_blocks": 1} | options
            provider = PBSProProvider(launcher=SimpleLauncher(), walltime="00:10:00", **limits)
            provider.script_dir = str(tmp_path)
            interchange = [str(Path(sys.executable).parent / "interchange.py")]
            executor = HighThroughputExecutor(
                label="x",
                provider=provider,
                address="127.0.0.1",
                launch_cmd=f"{command} # {{{{block_id}}}}",
                interchange_launch_cmd=interchange,
                max_workers_per_node=1,
            )
            executor.run_dir = str(tmp_path)
            executor.start()
            ends.callback(executor.shutdown)
            poller = JobStatusPoller(strategy="simple", max_idletime=3600, strategy_period=3600)
            ends.callback(lambda: super(JobStatusPoller, poller).close())
            poller.add_executors([executor])
            return executor, poller.poll

        yield make


def failure(future: Future[Any]) -> str:
    return str(future.exception(timeout=0))


@pytest.mark.parametrize(("watched", "jobs"), [(True, 1), (False, 3)])
def test_a_held_block_counts(
    watched: bool, jobs: int, cluster_of: Callable[..., Cluster], executor_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Parsl's own status has it neither running nor waiting: another block at each look, beyond ``max_blocks``."""
    cluster = cluster_of()
    executor, poll = executor_of(cluster, scheduler_options="#PBS -h")
    if watched:
        watch_blocks(executor)
    future = executor.submit(len, {}, ())
    caplog.set_level(logging.WARNING, "prov_worker.globus.blocks")
    for _ in range(3):
        poll()
    assert len(cluster.jobs()) == jobs
    assert not future.done()
    if watched:
        ((job, facts),) = cluster.jobs().items()
        assert [record.getMessage() for record in caplog.records] == [
            f"block 0: batch job {job} is held (PBS: {facts.get('comment', 'no comment')})"
        ]
        assert executor.status_facade["0"].state == JobState.PENDING


def test_a_block_that_pbs_itself_holds_fails_its_tasks(
    cluster_of: Callable[..., Cluster], executor_of: Make, wait_for: Callable[..., None]
) -> None:
    """The stand-in holds for the user alone: what PBS says of a job that it could not start 21 times is put in."""
    comment = "job held, too many failed attempts to run"

    class Held(PBS):
        def look(self, job: str) -> JobWord | None:
            assert cluster.jobs()[job]["job_state"] == "H" or given_up
            return JobWord(f"batch job {job} is held (PBS: {comment})", True, True)

    cluster = cluster_of()
    given_up: list[str] = []
    executor, poll = executor_of(cluster, scheduler_options="#PBS -h")
    executor.status = BlockWatch(executor, Held()).status
    future = executor.submit(len, {}, ())
    poll()
    (job,) = cluster.jobs()
    poll()
    given_up.append(job)
    assert f"batch job {job} is held (PBS: {comment})" in failure(future)
    assert executor.bad_state_is_set
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", "the block to be taken back")
    assert list(cluster.jobs()) == [job]


def test_a_block_that_was_deleted_while_it_waited(
    cluster_of: Callable[..., Cluster], executor_of: Make, wait_for: Callable[..., None]
) -> None:
    cluster = cluster_of()
    executor, poll = executor_of(cluster, scheduler_options="#PBS -h")
    watch_blocks(executor)
    future = executor.submit(len, {}, ())
    poll()
    (job,) = cluster.jobs()
    cluster.run("qdel", job)
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", "the end")
    poll()
    comment = cluster.jobs()[job].get("comment", "no comment")
    assert f"batch job {job} ended (PBS: {comment})" in failure(future)
    assert "the workers failed to register" in failure(future)


def test_blocks_that_fail_one_after_the_other_are_bounded(
    cluster_of: Callable[..., Cluster], executor_of: Make, wait_for: Callable[..., None]
) -> None:
    """After a block that ran and was given back, Parsl's error handler never calls the executor bad."""
    cluster = cluster_of()
    executor, poll = executor_of(cluster, "exit 7")
    watch_blocks(executor)
    executor._simulated_status[str(executor._block_id_counter.get_id())] = JobStatus(JobState.SCALED_IN)
    future = executor.submit(len, {}, ())
    for _ in range(MAX_FAILED + 2):
        poll()
        wait_for(lambda: all(job["job_state"] == "F" for job in cluster.jobs().values()), "the end of a block")
    assert len(cluster.jobs()) == MAX_FAILED
    assert f"the last {MAX_FAILED} blocks ended before a worker came: batch job " in failure(future)
    assert failure(future).count("ended with exit status 7") == MAX_FAILED


def test_beside_a_block_that_runs_no_more_are_asked_for(
    cluster_of: Callable[..., Cluster],
    executor_of: Make,
    wait_for: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = cluster_of()
    executor, poll = executor_of(cluster, "test {{block_id}} = 0 && sleep 600", max_blocks=9)
    watch_blocks(executor)
    executor.scale_out_facade(1)
    (first,) = cluster.jobs()
    wait_for(lambda: cluster.jobs()[first]["job_state"] == "R", "the first block")
    futures = [executor.submit(len, {}, ()) for _ in range(2)]

    def polls(number: int) -> int:
        for _ in range(number):
            poll()
            wait_for(lambda: all(j["job_state"] == "F" for k, j in cluster.jobs().items() if k != first), "the ends")
        return len(cluster.jobs())

    assert polls(MAX_FAILED + 3) == 1 + MAX_FAILED
    assert executor.provider.max_blocks == 1
    assert not any(future.done() for future in futures)
    monkeypatch.setattr("prov_worker.globus.blocks.time.monotonic", lambda: float("inf"))
    assert polls(1) == 2 + MAX_FAILED, "one more is tried after the pause"
    assert executor.provider.max_blocks == 9
