from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from prov_worker.probes import NoData, ProbeContext
from prov_worker.probes.node.scheduler import SchedulerProbe

PBS = {
    "PBS_JOBID": "123.polaris-pbs-01",
    "PBS_JOBNAME": "parsl.block-0",
    "PBS_QUEUE": "debug",
    "PBS_ENVIRONMENT": "PBS_BATCH",
    "PBS_O_HOST": "polaris-login-01",
    "PBS_NODENUM": "0",
    "NCPUS": "64",
}
SLURM = {
    "SLURM_JOB_ID": "42",
    "SLURM_JOB_NAME": "parsl.block-1",
    "SLURM_JOB_PARTITION": "gpu_ss11",
    "SLURM_JOB_NODELIST": "nid[001234-001235,002000]",
    "SLURM_JOB_NUM_NODES": "3",
    "SLURM_CLUSTER_NAME": "perlmutter",
    "SLURM_NODEID": "1",
}


class OnlyByName(Mapping[str, str]):
    """An environment that tells which names were read, and that cannot be walked through."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the environment is walked through")

    def __len__(self) -> int:
        return len(self._values)


def test_pbs(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.write_text("x3001c0s1b0n0\nx3001c0s1b0n0\nx3001c0s7b0n0\n")
    context = ProbeContext(environ={**PBS, "PBS_NODEFILE": str(nodes)}, process={"host": "x3001c0s7b0n0"})
    data = SchedulerProbe().take(context)
    assert (data["kind"], data["job_id"], data["job_name"]) == ("pbs", "123.polaris-pbs-01", "parsl.block-0")
    assert (data["queue"], data["submit_host"]) == ("debug", "polaris-login-01")
    assert data["cpus"] == 64
    assert data["node_index"] == 1, "mpiexec passes the first node's PBS_NODENUM on to all"
    assert (data["nodes"], data["nodes_error"]) == (["x3001c0s1b0n0", "x3001c0s7b0n0"], None)


def test_pbs_without_its_node_file(tmp_path: Path) -> None:
    data = SchedulerProbe().take(ProbeContext(environ=PBS))
    assert (data["nodes"], data["nodes_error"]) == ([], "PBS_NODEFILE is not set")
    data = SchedulerProbe().take(ProbeContext(environ={**PBS, "PBS_NODEFILE": str(tmp_path / "gone")}))
    assert data["nodes"] == []
    assert data["nodes_error"].endswith("gone cannot be read")


def test_slurm() -> None:
    data = SchedulerProbe().take(ProbeContext(environ=SLURM))
    assert (data["kind"], data["job_id"], data["partition"]) == ("slurm", "42", "gpu_ss11")
    assert (data["node_count"], data["node_index"], data["cluster"]) == (3, 1, "perlmutter")
    assert data["nodes"] == ["nid001234", "nid001235", "nid002000"]
    assert data["qos"] is None


def test_slurm_with_a_list_that_is_none() -> None:
    data = SchedulerProbe().take(ProbeContext(environ={**SLURM, "SLURM_JOB_NODELIST": "n[1-"}))
    assert (data["nodes"], data["node_list"]) == ([], "n[1-")
    assert data["nodes_error"].startswith("SLURM_JOB_NODELIST: brackets")


@pytest.mark.parametrize("job", [PBS, SLURM, {}])
def test_the_cookie_is_never_read(job: dict[str, str]) -> None:
    environ = OnlyByName({**job, "PBS_JOBCOOKIE": "5F3A", "SLURM_JWT": "ey", "GLOBUS_COMPUTE_CLIENT_SECRET": "s"})
    try:
        data = SchedulerProbe().take(ProbeContext(environ=environ))
    except NoData:
        assert not job
        data = {}
    assert environ.read
    assert not environ.read & {"PBS_JOBCOOKIE", "SLURM_JWT", "GLOBUS_COMPUTE_CLIENT_SECRET"}
    assert "5F3A" not in repr(data)


def test_outside_of_a_job() -> None:
    with pytest.raises(NoData, match="not in a job"):
        SchedulerProbe().take(ProbeContext(environ={"HOME": "/home/u"}))


@pytest.mark.parametrize(
    ("names", "host", "index"),
    [
        (["pbs1.site", "pbs2.site"], "pbs2", 1),
        (["pbs1", "pbs2"], "pbs2.site", 1),
        (["pbs1", "pbs2"], "elsewhere", None),
        (["n.a", "n.b"], "n", None),
    ],
)
def test_position_among_the_nodes_of_pbs(names: list[str], host: str, index: int | None, tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.write_text("\n".join(names))
    context = ProbeContext(environ={**PBS, "PBS_NODEFILE": str(nodes)}, process={"host": host})
    assert SchedulerProbe().take(context)["node_index"] == index


def test_arrays() -> None:
    environ = {**SLURM, "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "2", "SLURM_RESTART_COUNT": "1"}
    data = SchedulerProbe().take(ProbeContext(environ=environ))
    assert (data["job_id"], data["array_job_id"], data["array_index"], data["restarts"]) == ("42", "40", 2, 1)
    data = SchedulerProbe().take(ProbeContext(environ={**PBS, "PBS_ARRAY_ID": "56[].pbs1", "PBS_ARRAY_INDEX": "1"}))
    assert (data["array_job_id"], data["array_index"]) == ("56[].pbs1", 1)
