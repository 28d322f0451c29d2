"""One agent's reports for the workers of several jobs, and what is left of them for another node."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent.hardware import Hardware
from prov_worker.containers import find_container
from prov_worker.model import HardwareSnapshot, ProbeReport, host_name
from prov_worker.settings import Settings

SETTINGS = Settings(probes=("cpu", "memory", "environment", "scheduler"))
PYTHON = {"version": "3.13.0", "implementation": "CPython", "executable": "/e/bin/python", "prefix": "/e"}


def worker(tmp_path: Path, job: str, nodes: list[str], **changes: Any) -> dict[str, Any]:
    """What a worker of a PBS job notes of itself."""
    packages = tmp_path / job
    (packages / f"{job}-1.dist-info").mkdir(parents=True)
    (packages / f"{job}-1.dist-info/METADATA").write_text(f"Metadata-Version: 2.1\nName: {job}\nVersion: 1\n")
    (tmp_path / f"{job}.nodes").write_text("\n".join(nodes))
    container = find_container(os.environ)
    return {
        "job": {"PBS_JOBID": job, "PBS_NODEFILE": str(tmp_path / f"{job}.nodes"), "LOADEDMODULES": "a/1"},
        "cgroup": Path("/proc/self/cgroup").read_text(),
        "python": PYTHON,
        "path": [str(packages)],
        "container": None if container is None else container._asdict(),
    } | changes


def data(hardware: Hardware, process: dict[str, Any], probe: str) -> dict[str, Any]:
    return hardware.snapshot(host_name(), process, SETTINGS).data(probe)


def test_reports_of_two_jobs(tmp_path: Path) -> None:
    hardware = Hardware(str(tmp_path / "crates"))
    first, second = worker(tmp_path, "j1", ["x", host_name()]), worker(tmp_path, "j2", [host_name()])
    for process, job, nodes in ((first, "j1", ["x", host_name()]), (second, "j2", [host_name()])):
        facts = data(hardware, process, "scheduler")
        assert (facts["job_id"], facts["nodes"], facts["node_index"]) == (job, nodes, nodes.index(host_name()))
        software = data(hardware, process, "environment")
        assert software["python"] == PYTHON
        assert software["distributions"] == {job: "1"}
        assert software["loaded_modules"] == ["a/1"]
    assert hardware.snapshot(host_name(), first, SETTINGS).probes["cpu"].data["cgroup_error"] is None
    assert "job_id" not in data(hardware, {}, "scheduler")


def test_what_was_saved_is_read_for_the_same_job_alone(tmp_path: Path) -> None:
    """The node is gone, and another one finishes its records."""
    first, second = worker(tmp_path, "j1", ["x"]), worker(tmp_path, "j2", ["y"])
    here = Hardware(str(tmp_path / "crates"))
    saved = here.snapshot(host_name(), first, SETTINGS)
    for job in ("j1", "j2"):
        (tmp_path / f"{job}.nodes").unlink()
    elsewhere = Hardware(str(tmp_path / "crates"), take=False)
    assert elsewhere.snapshot(host_name(), first, SETTINGS).to_dict() == saved.to_dict()
    facts = data(elsewhere, second, "scheduler")
    assert (facts["job_id"], facts["nodes"]) == ("j2", [])
    assert facts["nodes_error"].endswith("cannot be read")
    software = data(elsewhere, second, "environment")
    assert (software["python"], software["distributions"]) == (PYTHON, None)
    assert software["distributions_error"] == "this report was not made on the node"
    assert software["kernel"] == saved.data("environment")["kernel"]
    memory = data(elsewhere, second, "memory")
    assert (memory["cgroup_limit_bytes"], memory["cgroup_error"]) == (None, "this report was not made on the node")
    assert memory["total_bytes"] == saved.data("memory")["total_bytes"]


def test_limits_of_a_job_that_is_over_are_unknown(tmp_path: Path) -> None:
    groups = "\n".join(
        f"{line.rpartition(':')[0]}:/prov-worker-test-{os.getpid()}"
        for line in Path("/proc/self/cgroup").read_text().splitlines()
    )
    process = worker(tmp_path, "j1", ["x"], cgroup=groups)
    hardware = Hardware(str(tmp_path / "crates"))
    memory = data(hardware, process, "memory")
    if memory["cgroup_error"] is None:
        pytest.skip("no control group of memory or CPU is mounted here")
    assert (memory["cgroup_error"], memory["cgroup_limit_bytes"]) == ("the control group of the job is gone", None)
    assert data(hardware, process, "cpu")["cgroup_cpu_limit"] is None
    (saved,) = (tmp_path / "crates/.spool").glob("*.hardware.json")
    seen = json.loads(saved.read_text())
    for report in seen["workers"].values():
        report["memory"]["data"].update(cgroup_limit_bytes=7 << 30, cgroup_error=None)
    saved.write_text(json.dumps(seen))
    memory = data(Hardware(str(tmp_path / "crates")), process, "memory")
    assert memory["cgroup_limit_bytes"] == 7 << 30, "an agent before this one saw the job while it ran"


def test_software_in_another_container_is_unknown(tmp_path: Path) -> None:
    image = {"kind": "apptainer", "image": "/i/other.sif"}
    software = data(Hardware(str(tmp_path / "crates")), worker(tmp_path, "j1", ["x"], container=image), "environment")
    assert software["container"] == image
    assert (software["distributions"], software["os"]) == (None, None)
    assert software["distributions_error"] == "the worker ran in another container than its agent"


@pytest.mark.parametrize("take", [True, False])
def test_a_worker_that_noted_nothing(take: bool, tmp_path: Path) -> None:
    """One of an earlier release, or nobody: the agent's own job and software would be a guess."""
    crates = str(tmp_path / "crates")
    Hardware(crates).snapshot(host_name(), {}, SETTINGS)
    probes = Hardware(crates, take=take).snapshot(host_name(), {}, SETTINGS).probes
    for name in ("environment", "scheduler"):
        assert (probes[name].data, probes[name].absent) == ({}, "the worker noted nothing of its job")
    assert probes["memory"].data["total_bytes"] > 0
    assert probes["memory"].data["cgroup_limit_bytes"] is None
    assert probes["cpu"].data["cgroup_error"] == "the worker noted nothing of its job"


def test_reports_that_are_kept_are_bounded(tmp_path: Path) -> None:
    crates = str(tmp_path / "crates")
    jobs = [worker(tmp_path, f"j{number}", [f"n{number}"]) for number in range(18)]
    hardware = Hardware(crates)
    for process in jobs:
        hardware.snapshot(host_name(), process, SETTINGS)
    for number in range(18):
        (tmp_path / f"j{number}.nodes").unlink()
    elsewhere = Hardware(crates, take=False)
    kept = [bool(data(elsewhere, process, "scheduler")["nodes"]) for process in jobs]
    assert kept == [False, False] + [True] * 16


@pytest.mark.parametrize(
    ("own_job", "of_node", "seen"),
    [("j1", 4, True), ("j2", 2, True), ("j2", 4, False), (None, 4, False)],
    ids=["same-job", "all-are-listed", "other-job", "agent-in-no-job"],
)
def test_gpus_of_another_job(
    own_job: str | None, of_node: int, seen: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Device cgroups and GPUs are not to be had where tests run: listing and count are put in."""
    monkeypatch.delenv("PBS_JOBID", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if own_job is not None:
        monkeypatch.setenv("PBS_JOBID", own_job)
    gpu = {"vendor": "nvidia", "model": "A100", "mig": False}
    listing = ProbeReport("gpu", True, 0.1, {"devices": [gpu, gpu, {**gpu, "mig": True}], "notes": []})
    hardware = Hardware(str(tmp_path / "crates"), gpus_of_node=lambda: of_node)
    monkeypatch.setattr(hardware, "_probe", lambda settings: HardwareSnapshot(host_name(), 1, {"gpu": listing}))
    report = hardware.snapshot(host_name(), worker(tmp_path, "j1", ["x"]), SETTINGS).probes["gpu"]
    assert (report == listing) == seen
    if not seen:
        assert report.absent == "the agent runs in another job of the node, whose GPUs may be others"


def test_what_is_installed_later_is_not_what_a_worker_runs(tmp_path: Path) -> None:
    hardware = Hardware(str(tmp_path / "crates"))
    before = worker(tmp_path, "j1", ["x"], noted_ns=1)
    assert data(hardware, before, "environment")["distributions"] == {"j1": "1"}
    (tmp_path / "j1/later-2.dist-info").mkdir()
    (tmp_path / "j1/later-2.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 2\n")
    assert data(hardware, before, "environment")["distributions"] == {"j1": "1"}
    after = {**before, "noted_ns": 2}
    assert data(hardware, after, "environment")["distributions"] == {"j1": "1", "later": "2"}


def test_a_report_that_is_not_this_users_own_is_not_read(tmp_path: Path) -> None:
    first = worker(tmp_path, "j1", ["x"])
    crates = tmp_path / "crates"
    saved = Hardware(str(crates)).snapshot(host_name(), first, SETTINGS)
    (report,) = (crates / ".spool").glob("*.hardware.json")
    assert report.stat().st_mode & 0o077 == 0
    assert Hardware(str(crates), take=False).snapshot(host_name(), {}, SETTINGS).taken_ns == saved.taken_ns
    report.rename(tmp_path / "elsewhere.json")
    report.symlink_to(tmp_path / "elsewhere.json")
    assert Hardware(str(crates), take=False).snapshot(host_name(), {}, SETTINGS).taken_ns == 0


def test_no_report_is_kept_in_a_spool_that_others_may_write_to(tmp_path: Path) -> None:
    spool = tmp_path / "crates/.spool"
    spool.mkdir(parents=True)
    hardware = Hardware(str(tmp_path / "crates"))
    spool.chmod(0o777)
    assert data(hardware, worker(tmp_path, "j1", ["x"]), "memory")["total_bytes"] > 0
    assert list(spool.iterdir()) == []
