"""Aurora's template from the stock SDK to the crate, over the stock daemon and the stand-in for PBS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("globus_compute_endpoint")

import pbs_tasks
from pbs_site import PROJECT, PBSSite, by_task, installed

from prov_worker.sites.catalog import site
from support.marks import endpoints

if TYPE_CHECKING:
    from globus_compute_sdk import Client
    from service_stack import Stack

pytestmark = endpoints("pbs-aurora")
OWN = site("aurora").options
#: Cores 0 and 52, two threads each.
OF_THE_SYSTEM = {0, 52, 104, 156}


@pytest.fixture(scope="module")
def aurora(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[PBSSite]:
    project, directory = tmp_path_factory.mktemp("flare"), tmp_path_factory.mktemp("aurora")
    with installed("aurora", directory, stack, {"ncpus": 208}, "home:flare", submit_dir=project) as endpoint:
        yield endpoint


def cpus(text: str) -> set[int]:
    """Of a list such as ``1-8,105-112``."""
    numbers: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        numbers |= set(range(int(low), int(high or low) + 1))
    return numbers


def test_twelve_workers_have_a_tile_each_and_no_core_of_the_system(
    aurora: PBSSite, wait_online: Callable[[PBSSite], Client], tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    from globus_compute_sdk import Executor

    with Executor(endpoint_id=aurora.id, client=wait_online(aurora)) as executor:
        futures = [executor.submit(pbs_tasks.meet, str(tmp_path / "tiles"), number, 12) for number in range(12)]
        ranks = by_task(futures)
    assert sorted(ranks.values()) == list(range(12))
    lists = OWN["affinity"]["default"].split(":")[1:]
    (job,) = aurora.cluster.jobs()
    used: set[int] = set()
    for task_id, rank in ranks.items():
        assert aurora.whole(task_id, wait_for).status == "completed"
        facts = aurora.facts(task_id)
        assert facts["#env-ZE_AFFINITY_MASK"] == OWN["accelerators"]["default"][rank]
        assert facts["#env-ZE_FLAT_DEVICE_HIERARCHY"] == "COMPOSITE"
        assert facts["#worker-cpu-affinity"] == lists[rank]
        assert not used & cpus(facts["#worker-cpu-affinity"])
        used |= cpus(facts["#worker-cpu-affinity"])
        variables = {name: facts[f"#env-PBS_{name}"] for name in ("JOBID", "QUEUE", "ACCOUNT")}
        assert variables == {"JOBID": job, "QUEUE": "debug", "ACCOUNT": PROJECT}
    assert len(used) == 192
    assert not used & OF_THE_SYSTEM
    resources = aurora.cluster.jobs()[job]["Resource_List"]
    assert (resources["select"], resources["filesystems"]) == ("1:ncpus=208", "home:flare")
    assert aurora.cluster.jobs()[job]["Variable_List"]["PBS_O_WORKDIR"] == str(aurora.options["submit_dir"])
    aurora.stop()
    wait_for(lambda: aurora.cluster.jobs()[job]["job_state"] == "F", "the node to be given back by the endpoint's end")
