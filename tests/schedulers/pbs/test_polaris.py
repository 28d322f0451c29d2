"""Polaris' template from the stock SDK to the crate, over the stock daemon and the stand-in for PBS."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("globus_compute_endpoint")
sys.path.insert(0, str(Path(__file__).parent))

import pbs_tasks
from pbs_site import PROJECT, PBSSite, cluster

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.sites.catalog import site

if TYPE_CHECKING:
    from globus_compute_sdk import Client
    from globus_compute_sdk.sdk.asynchronous.compute_future import ComputeFuture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # Parsl's address_by_interface leaves its socket to the collector of garbage.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Wait = Callable[..., None]
LIMIT_S = 90
OWN = site("polaris").options


@pytest.fixture(scope="module")
def polaris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PBSSite]:
    from service_stack import running

    directory = tmp_path_factory.mktemp("polaris")
    with running(directory / "stack", endpoint=False) as stack:
        made = cluster(directory / "pbs", "polaris-pbs-01", {"ncpus": 64, "ngpus": 4}, "home:eagle")
        endpoint = PBSSite("polaris", directory / "gc", stack, made, 64)
        made.start()
        try:
            endpoint.configure()
            endpoint.start()
            yield endpoint
        except BaseException:
            sys.stderr.write(f"{endpoint.log}\n{made.log}")
            raise
        finally:
            endpoint.stop()
            made.stop()


@pytest.fixture
def client(polaris: PBSSite, wait_for: Wait) -> Client:
    from globus_compute_sdk import Client

    made = Client()
    wait_for(lambda: made.get_endpoint_status(polaris.id)["status"] == "online", "endpoint online")
    return made


def whole(endpoint: PBSSite, task_id: str, wait_for: Wait) -> StepCrate:
    """A task's crate, without errors."""
    wait_for(endpoint.crate(task_id).is_dir, f"the crate of {task_id}")
    assert [one for one in check_crate(endpoint.crate(task_id)) if one.level == "error"] == []
    return StepCrate.open(endpoint.crate(task_id))


def by_task(futures: list[ComputeFuture]) -> dict[str, int]:
    """The ranks that tasks gave as their results, by their ids."""
    ranks = [int(future.result(LIMIT_S)) for future in futures]
    return {str(future.task_id): rank for future, rank in zip(futures, ranks, strict=True)}


def test_each_worker_has_its_gpu_and_its_cpus_and_nodes_are_given_back(
    polaris: PBSSite, client: Client, tmp_path: Path, wait_for: Wait
) -> None:
    from globus_compute_sdk import Executor

    pbs = polaris.cluster
    with Executor(endpoint_id=polaris.id, client=client) as executor:
        assert pbs.jobs() == {}, "nothing is submitted before there is a task"
        futures = [executor.submit(pbs_tasks.meet, str(tmp_path / "first"), number, 4) for number in range(4)]
        ranks = by_task(futures)
        (job,) = pbs.jobs()
        wait_for(lambda: pbs.jobs()[job]["job_state"] == "F", "the idle node to be given back")
        later = executor.submit(pbs_tasks.meet, str(tmp_path / "second"), 0, 1)
        later.result(LIMIT_S)
    assert sorted(ranks.values()) == [0, 1, 2, 3]
    lists = OWN["affinity"]["default"].split(":")[1:]
    for task_id, rank in ranks.items():
        assert whole(polaris, task_id, wait_for).status == "completed"
        facts = polaris.facts(task_id)
        assert facts["#env-CUDA_VISIBLE_DEVICES"] == str(rank)
        assert facts["#worker-cpu-affinity"] == lists[rank]
        assert (facts["#env-PBS_JOBID"], facts["#env-PBS_QUEUE"]) == (job, "debug")
        assert not any("COOKIE" in name for name in facts)
    whole(polaris, later.task_id, wait_for)
    assert polaris.facts(later.task_id)["#env-PBS_JOBID"] in set(pbs.jobs()) - {job}
    told = pbs.jobs()[job]
    assert (told["Exit_status"], told["Account_Name"], told["queue"]) == (271, PROJECT, "debug")
    asked = told["Resource_List"]
    assert (asked["select"], asked["filesystems"]) == ("1:ncpus=64:ngpus=4", "home:eagle")
    assert (asked["walltime"], asked["place"], told["Keep_Files"]) == ("01:00:00", "scatter", "doe")


def test_workers_are_bound_to_cpus_of_this_machine(
    polaris: PBSSite, client: Client, tmp_path: Path, wait_for: Wait
) -> None:
    """The same without the node that is one by name: the kernel binds."""
    from globus_compute_sdk import Executor
    from pbs_site import worker_init

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
        whole(polaris, task_id, wait_for)
        facts = polaris.facts(task_id)
        assert (facts["#env-CUDA_VISIBLE_DEVICES"], facts["#worker-cpu-affinity"]) == (str(rank), str(here[rank]))
