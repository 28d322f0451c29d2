"""Job arrays, and nodes that are lost, on the stand-in for PBS."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pbs_jobs import finished, script, state, submit

from prov_worker.crate.check import check_crate
from prov_worker.run.api import open_run

if TYPE_CHECKING:
    from standin.cluster import Cluster

Make = Callable[..., "Cluster"]
Wait = Callable[..., None]
#: Runs until all three of an array do.
STEP = """
import pathlib, sys, time
import prov_worker

@prov_worker.step
def work(place):
    (place / f"{time.monotonic_ns()}.here").touch()
    while len(list(place.glob("*.here"))) < 3:
        time.sleep(0.05)

work(pathlib.Path(sys.argv[1]))
"""
WAITS = "while [ ! -e go ]; do sleep 0.1; done"


def test_subjobs_know_their_index_and_the_array_is_one_job(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    text = f"echo $PBS_JOBID $PBS_ARRAY_ID $PBS_ARRAY_INDEX >place$PBS_ARRAY_INDEX; {WAITS}"
    done = cluster.run("qsub", "-J", "2-6:2", script(cluster, text))
    assert (done.stdout, done.stderr, done.returncode) == ("0[].pbs1\n", "", 0)
    wait_for(lambda: len(list(cluster.home.glob("place*"))) == 3, "the subjobs")
    places = [(cluster.home / f"place{index}").read_text() for index in (2, 4, 6)]
    assert places == [f"0[{index}].pbs1 0[].pbs1 {index}\n" for index in (2, 4, 6)]
    (array,) = cluster.jobs().values()
    assert (array["job_state"], array["substate"], array["array_state_count"]) == (
        "B", 70, "Queued:0 Running:3 Exiting:0 Expired:0 ",
    )  # fmt: skip
    subjob = json.loads(cluster.run("qstat", "-x", "-f", "-F", "json", "0[4].pbs1").stdout)["Jobs"]["0[4].pbs1"]
    assert (subjob["job_state"], subjob["array_id"], subjob["array_index"]) == ("R", "0[].pbs1", 4)
    (cluster.home / "go").touch()
    array = finished(cluster, "0[].pbs1", wait_for)
    assert (array["substate"], array["Exit_status"]) == (92, 0)
    assert sorted(path.name for path in cluster.home.glob("job.sh.o*")) == [f"job.sh.o0.{n}" for n in (2, 4, 6)]


def test_an_array_with_a_subjob_that_fails_has_failed(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of()
    cluster.run("qsub", "-J", "0-1", script(cluster, "exit $PBS_ARRAY_INDEX"))
    array = finished(cluster, "0[].pbs1", wait_for)
    assert (array["substate"], array["Exit_status"]) == (93, 1)


@pytest.mark.parametrize(("job", "left"), [("0[].pbs1", 0), ("0[1].pbs1", 1)])
def test_an_array_is_deleted_whole_and_a_subjob_alone(cluster_of: Make, wait_for: Wait, job: str, left: int) -> None:
    cluster = cluster_of(qdel_kill_s=1.0)
    cluster.run("qsub", "-J", "0-1", script(cluster, f"touch here$PBS_ARRAY_INDEX; {WAITS}"))
    wait_for(lambda: len(list(cluster.home.glob("here*"))) == 2, "both")
    assert cluster.run("qdel", job).returncode == 0
    count = f"Running:{left} Exiting:0 Expired:{2 - left} "
    wait_for(lambda: count in cluster.jobs()["0[].pbs1"]["array_state_count"], "the end")
    if not left:
        wait_for(lambda: state(cluster, "0[].pbs1") == ("F", 91), "the end of the array")
    else:
        assert state(cluster, "0[].pbs1") == ("B", 70)


def test_a_job_of_a_lost_node_cannot_be_deleted_until_the_node_is_given_up(cluster_of: Make, wait_for: Wait) -> None:
    cluster = cluster_of(node_fail_requeue_s=2.0)
    job = submit(cluster, f"touch here; {WAITS}")
    wait_for((cluster.home / "here").exists, "the job")
    cluster.lose("pbs1")
    assert state(cluster, job)[0] == "R"
    done = cluster.run("qdel", job)
    assert (done.stdout, done.stderr, done.returncode) == ("", f"qdel: Server could not connect to MOM {job}\n", 222)
    wait_for(lambda: state(cluster, job) == ("Q", 10), "the node to be given up")
    assert cluster.jobs()[job]["comment"] == "Job requeued, execution node pbs1 down"
    assert cluster.run("qdel", job).returncode == 0
    facts = cluster.jobs()[job]
    assert (facts["job_state"], facts["substate"], facts["Exit_status"]) == ("F", 91, -20)


def test_each_task_of_an_array_has_its_own_job_on_record(cluster_of: Make, tmp_path: Path, wait_for: Wait) -> None:
    """Three subjobs side by side on one node, with one agent."""
    cluster = cluster_of()
    step, crates = cluster.home / "step.py", tmp_path / "crates"
    step.write_text(STEP)
    settings = {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": crates, "PROV_WORKER_PLOTS": "none"}
    exports = "".join(f"export {name}={value}\n" for name, value in settings.items())
    done = cluster.run("qsub", "-J", "3-5", script(cluster, f"{exports}{sys.executable} {step} {cluster.home}"))
    assert done.returncode == 0, done.stderr
    assert finished(cluster, "0[].pbs1", wait_for)["Exit_status"] == 0
    wait_for(lambda: len(list(crates.glob("*.crate"))) == 3, "three crates")
    run = open_run(crates)
    jobs = [run.hardware(step)["probes"]["scheduler"]["data"] for step in run.steps()]
    facts = sorted((job["job_id"], job["array_job_id"], job["array_index"]) for job in jobs)
    assert facts == [(f"0[{index}].pbs1", "0[].pbs1", index) for index in (3, 4, 5)]
    assert not [finding for path in crates.glob("*.crate") for finding in check_crate(path)]
