"""Polaris' template from the stock SDK to the crate, over the stock daemon and the stand-in for PBS."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("globus_compute_endpoint")

import pbs_tasks
from pbs_site import PROJECT, PBSSite, by_task, installed, worker_init

from prov_worker.sites.catalog import site
from support.marks import endpoints

if TYPE_CHECKING:
    from globus_compute_sdk import Client
    from service_stack import Stack

pytestmark = endpoints("pbs-polaris")
Wait = Callable[..., None]
LIMIT_S = 180
OWN = site("polaris").options


@pytest.fixture(scope="module")
def polaris(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[PBSSite]:
    node = {"ncpus": 64, "ngpus": 4}
    with installed("polaris", tmp_path_factory.mktemp("polaris"), stack, node, "home:eagle") as endpoint:
        yield endpoint


#: Set the blocks of the tasks that are begun first apart from those of tests.
UNREACHED, SHORT = "00:20:00", "00:01:00"


@pytest.fixture(scope="module", autouse=True)
def begun_first(polaris: PBSSite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tasks that take a minute, by walltime: they go on while other tests run.

    The `worker_init` of one does not reach the workers' environment, and Parsl looks once a minute; the other meets the
    end of its walltime.
    """
    from globus_compute_sdk import Client

    client = Client()
    assert polaris.cluster.jobs() == {}, "nothing is submitted before there is a task"
    marker = tmp_path_factory.mktemp("short") / "here"
    return {
        UNREACHED: begin(client, polaris, (pbs_tasks.meet, "/nonexistent", 0, 1), UNREACHED, worker_init="true"),
        SHORT: begin(client, polaris, (pbs_tasks.stay, str(marker)), SHORT, **LOOKS_OFTEN),
    }


#: Signs of life of managers, for endpoints that lose some.
LOOKS_OFTEN = {"heartbeat_period": 2, "heartbeat_threshold": 6}


def begin(client: Client, endpoint: PBSSite, call: tuple[Any, ...], walltime: str, **options: Any) -> str:
    """Submit a task in a block of its own walltime; its id."""
    batch = client.create_batch(user_endpoint_config={"walltime": walltime, **options})
    function = client.register_function(call[0])
    batch.add(function, call[1:])
    (task_id,) = client.batch_run(endpoint.id, batch)["tasks"][function]
    return str(task_id)


def failure_of(client: Client, task_id: str, wait_for: Wait, limit_s: float = LIMIT_S) -> str:
    """What the client is told of a task that fails."""
    from globus_compute_sdk.errors import TaskExecutionFailed

    errors: list[str] = []

    def failed() -> bool:
        try:
            client.get_task(task_id)
        except TaskExecutionFailed as error:
            errors.append(str(error))
        return bool(errors)

    wait_for(failed, f"the failure of {task_id}", limit_s)
    return errors[0]


def jobs_of(endpoint: PBSSite) -> dict[str, dict[str, Any]]:
    """Jobs of all tests but those that are begun first."""
    return {
        job: attributes
        for job, attributes in endpoint.cluster.jobs().items()
        if attributes["Resource_List"]["walltime"] not in (UNREACHED, SHORT)
    }


@pytest.fixture
def client(polaris: PBSSite, wait_online: Callable[[PBSSite], Client]) -> Client:
    return wait_online(polaris)


def test_each_worker_has_its_gpu_and_its_cpus_and_nodes_are_given_back(
    polaris: PBSSite, client: Client, tmp_path: Path, wait_for: Wait
) -> None:
    from globus_compute_sdk import Executor

    pbs = polaris.cluster
    with Executor(endpoint_id=polaris.id, client=client) as executor:
        futures = [executor.submit(pbs_tasks.meet, str(tmp_path / "first"), number, 4) for number in range(4)]
        ranks = by_task(futures)
        (job,) = jobs_of(polaris)
        wait_for(lambda: pbs.jobs()[job]["job_state"] == "F", "the idle node to be given back")
        later = executor.submit(pbs_tasks.meet, str(tmp_path / "second"), 0, 1)
        later.result(LIMIT_S)
    assert sorted(ranks.values()) == [0, 1, 2, 3]
    lists = OWN["affinity"]["default"].split(":")[1:]
    for task_id, rank in ranks.items():
        assert polaris.whole(task_id, wait_for).status == "completed"
        facts = polaris.facts(task_id)
        assert facts["#env-CUDA_VISIBLE_DEVICES"] == str(rank)
        assert facts["#worker-cpu-affinity"] == lists[rank]
        assert (facts["#env-PBS_JOBID"], facts["#env-PBS_QUEUE"]) == (job, "debug")
        assert facts["#env-PBS_ACCOUNT"] == PROJECT
        assert not any("COOKIE" in name for name in facts)
    polaris.whole(later.task_id, wait_for)
    assert polaris.facts(later.task_id)["#env-PBS_JOBID"] in set(jobs_of(polaris)) - {job}
    attributes = pbs.jobs()[job]
    assert (attributes["Exit_status"], attributes["Account_Name"], attributes["queue"]) == (271, PROJECT, "debug")
    resources = attributes["Resource_List"]
    assert (resources["select"], resources["filesystems"]) == ("1:ncpus=64:ngpus=4", "home:eagle")
    assert (resources["walltime"], resources["place"], attributes["Keep_Files"]) == ("01:00:00", "scatter", "doe")


def test_workers_are_bound_to_cpus_of_this_machine(
    polaris: PBSSite, client: Client, tmp_path: Path, wait_for: Wait
) -> None:
    """The same without the node that is one by name: the kernel binds."""
    from globus_compute_sdk import Executor

    here = sorted(os.sched_getaffinity(0))[:4]
    count = len(here)
    options = {
        "workers": count,
        "affinity": "list:" + ":".join(map(str, here)),
        "accelerators": [str(number) for number in range(count)],
        "worker_init": worker_init(0),
    }
    with Executor(endpoint_id=polaris.id, client=client, user_endpoint_config=options) as executor:
        futures = [executor.submit(pbs_tasks.meet, str(tmp_path / "here"), number, count) for number in range(count)]
        ranks = by_task(futures)
    for task_id, rank in ranks.items():
        polaris.whole(task_id, wait_for)
        facts = polaris.facts(task_id)
        assert (facts["#env-CUDA_VISIBLE_DEVICES"], facts["#worker-cpu-affinity"]) == (str(rank), str(here[rank]))


def test_what_is_refused_is_an_error_of_the_task(polaris: PBSSite, client: Client) -> None:
    """All at once: an endpoint's first answer takes as long as its start."""
    from globus_compute_sdk import Executor
    from globus_compute_sdk.errors import TaskExecutionFailed

    before = set(jobs_of(polaris))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"queue": "nope"}, "qsub: Unknown queue"),
        ({"filesystems": "home:grand"}, "Invalid filesystem identifiers grand"),
        ({"account": "Nobody"}, "No active allocation found for project Nobody"),
        ({"workers": 2}, "engine.cpu_affinity: 4 lists for 2 workers"),
    ]
    # By itself: the endpoint counts as offline until its next heartbeat, as its failure notice is its last word.
    last: list[tuple[dict[str, Any], str]] = [({"walltime": 3600}, "3600 is not of type 'string'")]
    for cases in (refused, last):
        with ExitStack() as executors:
            futures = []
            for options, _ in cases:
                executor = Executor(endpoint_id=polaris.id, client=client, user_endpoint_config=options)
                executors.enter_context(executor)
                futures.append(executor.submit(pbs_tasks.meet, "/nonexistent", 0, 1))
            for future, (_, pattern) in zip(futures, cases, strict=True):
                with pytest.raises(TaskExecutionFailed, match=pattern):
                    future.result(LIMIT_S)
    assert set(jobs_of(polaris)) == before


def test_a_job_that_is_ended_leaves_failed_crates_that_say_so(
    polaris: PBSSite, client: Client, begun_first: dict[str, str], tmp_path: Path, wait_for: Wait
) -> None:
    pbs, long, marker = polaris.cluster, "00:30:00", tmp_path / "long"
    tasks = {
        long: begin(client, polaris, (pbs_tasks.stay, str(marker)), long, **LOOKS_OFTEN),
        SHORT: begun_first[SHORT],
    }
    wait_for(marker.exists, "a task that runs")
    jobs = {facts["Resource_List"]["walltime"]: job for job, facts in pbs.jobs().items()}
    assert pbs.run("qdel", jobs[long]).returncode == 0
    for walltime, pattern in (
        (long, rf"batch job {re.escape(jobs[long])} had 1\d\d\d s of its walltime left"),
        (SHORT, rf"the walltime of batch job {re.escape(jobs[SHORT])} was over"),
    ):
        crate = polaris.whole(tasks[walltime], wait_for)
        assert crate.status == "failed"
        assert re.search(pattern, str(crate.error))
        wait_for(lambda job=jobs[walltime]: pbs.jobs()[job]["job_state"] == "F", "the end of the job")
        assert pbs.jobs()[jobs[walltime]]["Exit_status"] == (-29 if walltime == SHORT else 271)
        assert "ManagerLost" in failure_of(client, tasks[walltime], wait_for)


def test_a_worker_init_that_reaches_nothing_is_an_error_of_the_task(
    polaris: PBSSite, client: Client, begun_first: dict[str, str], wait_for: Wait
) -> None:
    """With what the job wrote to stderr, after Parsl's look once a minute; ALCF's guide warns of blocks without end."""
    # Twice as long where the endpoint ends, as its executor has failed, before its results are sent.
    message = failure_of(client, begun_first[UNREACHED], wait_for, 2 * LIMIT_S)
    assert "globus-compute-endpoint" in message
