"""What Parsl's PBSProProvider makes of PBS's answers, where that is a trap: seen on the stand-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("parsl")

from prov_worker.schedulers.pbs import PBS

if TYPE_CHECKING:
    from parsl.providers import PBSProProvider
    from standin.cluster import Cluster

WAITS = "while [ ! -e go ]; do sleep 0.1; done"


@pytest.fixture
def provider_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PBSProProvider]:
    """Providers whose commands are a cluster's."""
    from parsl.launchers import SimpleLauncher
    from parsl.providers import PBSProProvider

    def make(cluster: Cluster, **options: Any) -> PBSProProvider:
        monkeypatch.setenv("PATH", cluster.path)
        provider = PBSProProvider(launcher=SimpleLauncher(), walltime="00:10:00", **options)
        provider.script_dir = str(tmp_path)
        return provider

    return make


def test_a_job_is_followed_to_its_end(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider], wait_for: Callable[..., None]
) -> None:
    cluster = cluster_of()
    provider = provider_of(cluster, queue="workq")
    job = provider.submit(WAITS, 1)
    wait_for(lambda: provider.status([job])[0].state.name == "RUNNING", "the job to run")
    assert provider.cancel([job]) == [True]
    wait_for(lambda: provider.status([job])[0].state.name == "COMPLETED", "the end")
    wait_for(lambda: cluster.jobs()[job].get("Exit_status") == 271, "E to pass, which Parsl takes for the end")


def test_a_failed_job_reads_as_completed(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider], wait_for: Callable[..., None]
) -> None:
    """Exit_status is never read: that a worker never came is known by its absence alone."""
    cluster = cluster_of()
    provider = provider_of(cluster)
    job = provider.submit("exit 7", 1)
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", "the end")
    assert cluster.jobs()[job]["Exit_status"] == 7
    assert provider.status([job])[0].state.name == "COMPLETED"


def test_without_history_a_running_block_reads_as_completed(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider], wait_for: Callable[..., None]
) -> None:
    cluster = cluster_of(history=False)
    provider = provider_of(cluster)
    job = provider.submit(WAITS, 1)
    wait_for(lambda: " R " in cluster.run("qstat", job).stdout, "the job to run")
    assert provider.status([job])[0].state.name == "COMPLETED"
    assert " R " in cluster.run("qstat", job).stdout


def test_one_forgotten_block_freezes_the_state_of_all(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider], wait_for: Callable[..., None]
) -> None:
    cluster = cluster_of()
    provider = provider_of(cluster)
    job = provider.submit("true", 1)
    provider.resources["9999.pbs1"] = dict(provider.resources[job])
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", "the end")
    assert provider.status([job])[0].state.name == "PENDING"
    del provider.resources["9999.pbs1"]
    assert provider.status([job])[0].state.name == "COMPLETED"


def test_an_unquoted_walltime_is_taken_as_seconds(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider]
) -> None:
    """YAML reads 1:00:00 as 3600, and PBS takes that; the sites' schemas do not."""
    cluster = cluster_of()
    provider = provider_of(cluster)
    provider.walltime = 3600
    job = provider.submit("true", 1)
    assert cluster.jobs()[job]["Resource_List"]["walltime"] == "01:00:00"


def test_a_rejected_script_is_an_error_with_the_schedulers_words(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider]
) -> None:
    from parsl.providers.errors import SubmitException

    provider = provider_of(cluster_of(), select_options="ngpus=4")
    with pytest.raises(SubmitException) as caught:
        provider.submit("true", 1)
    assert "qsub: Unknown resource: ngpus" in str(caught.value)


def test_the_submitters_environment_does_not_reach_the_job(
    cluster_of: Callable[..., Cluster],
    provider_of: Callable[..., PBSProProvider],
    monkeypatch: pytest.MonkeyPatch,
    wait_for: Callable[..., None],
) -> None:
    """So `worker_init` has to put globus-compute-endpoint on PATH."""
    cluster = cluster_of()
    monkeypatch.setenv("LEAKED", "yes")
    job = provider_of(cluster).submit("echo ${LEAKED:-no}; command -v globus-compute-endpoint || echo none", 1)
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", "the end")
    output = Path(cluster.jobs()[job]["Output_Path"].partition(":")[2])
    assert output.read_text().split() == ["no", "none"]


def test_a_block_that_is_a_job_array_is_one_block(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider], wait_for: Callable[..., None]
) -> None:
    cluster = cluster_of(qdel_kill_s=1.0)
    provider = provider_of(cluster, scheduler_options="#PBS -J 0-1")
    job = provider.submit(f"touch here$PBS_ARRAY_INDEX; {WAITS}", 1)
    assert job == "0[].pbs1"
    wait_for(lambda: len(list(cluster.home.glob("here*"))) == 2, "both subjobs")
    wait_for(lambda: provider.status([job])[0].state.name == "RUNNING", "the array to have begun")
    word = PBS().look(job)
    assert word is not None
    assert "is in state B" in word.text
    assert provider.cancel([job]) == [True]
    wait_for(lambda: cluster.jobs()[job]["job_state"] == "F", "the end of both")
    assert provider.status([job])[0].state.name == "COMPLETED"


def test_a_block_of_a_lost_node_is_cancelled_once_the_node_is_given_up(
    cluster_of: Callable[..., Cluster], provider_of: Callable[..., PBSProProvider], wait_for: Callable[..., None]
) -> None:
    cluster = cluster_of(node_fail_requeue_s=2.0)
    provider = provider_of(cluster)
    job = provider.submit(f"touch here; {WAITS}", 1)
    wait_for((cluster.home / "here").exists, "the block")
    cluster.lose("pbs1")
    assert provider.cancel([job]) == [False]
    assert provider.status([job])[0].state.name == "RUNNING"
    wait_for(lambda: provider.cancel([job]) == [True], "the node to be given up")
    assert cluster.jobs()[job]["Exit_status"] == -20
