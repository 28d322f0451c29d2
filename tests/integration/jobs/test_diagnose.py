"""``prov-worker diagnose`` on a real endpoint: sound, and with faults that are provoked there."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from endpoint_daemon import Daemon
from worker_faults import worker_init

from prov_worker import diagnose
from prov_worker.cli.main import run as cli
from support.diagnosis import lines

if TYPE_CHECKING:
    from service_stack import Stack

    from prov_worker.diagnose import Report

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.timeout(290)]
LIMIT_S = 200.0


def line(report: Report, beginning: str) -> str:
    """The finding that begins so."""
    matches = [text for text in lines(report) if text.startswith(beginning)]
    assert matches, "\n".join([report.to_text(), *(task.error or "" for task in report.evidence.tasks)])
    return matches[0]


def test_a_sound_endpoint(endpoint: str, crate_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_crate = tmp_path / "report.crate"
    code = cli(["diagnose", endpoint, "--json", "--timeout", str(LIMIT_S), "-o", str(report_crate)])
    report = json.loads(capsys.readouterr().out)
    findings = {finding["subject"]: finding for finding in report["findings"]}
    assert (code, report["fail"], report["warn"]) == (0, 0, 0), report["findings"]
    assert findings["tasks at once"]["found"].startswith("2 of 2: 2 workers on 1 node")
    assert findings["crates"]["found"].startswith(f"4 of 4 in {crate_dir}")
    assert report["took_s"] < LIMIT_S
    assert [len([task for task in report["tasks"] if task["trip"] == trip]) for trip in (1, 2, 3)] == [1, 3, 1]
    stages = report["tasks"][0]["stages_s"]
    assert [name for name in stages if name != "start"] == ["submit", "queue", "run", "back", "crate"]
    assert json.loads((report_crate / "report.json").read_text())["findings"] == report["findings"]
    task = report["tasks"][0]["id"]
    assert cli(["list", str(crate_dir), "--json", "--task", task]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert cli(["list", str(crate_dir), "--json", "--task", task, "--diagnoses"]) == 0
    assert [row["status"] for row in json.loads(capsys.readouterr().out)] == ["completed"]


def test_faults_of_workers(endpoint: str, tmp_path: Path) -> None:
    """Many at once, as one sick endpoint has them; each by itself is below."""
    faults = worker_init(tmp_path / "sick", "clock", "python", "dill", "proxy", "launcher")
    report = diagnose.endpoint(
        endpoint,
        ["environment", "parallel", "affinity", "gpu", "mpi"],
        tasks=2,
        site="polaris",
        options={"worker_init": faults, "cpu_affinity": "list:0:0"},
        timeout=LIMIT_S,
    )
    for beginning in (
        "warn Python: 3.9.7 at the workers",
        "warn dill: 0.3.6 at the workers, 0.3.9 here",
        "fail proxy: HTTPS_PROXY=http://***@127.0.0.1:1 takes no connection from the worker: Connection refused",
        "pass tasks at once: 2 of 2: 2 workers on 1 node",
        "fail CPUs: worker 0 may use CPUs 0, and the template of polaris binds it to 24-31,56-63",
        "fail CPUs: worker 0 shares cores with worker 1 (cores 0)",
        "fail launcher: MPI launcher missing: mpiexec, mpirun or srun is not on the PATH of workers",
        "fail GPU: no GPU on",
    ):
        assert line(report, beginning)
    clock = line(report, "fail clock:")
    assert "1 h 00 min ahead of this machine's; by the web service's clock, the worker's is wrong" in clock
    assert "lovelace" not in json.dumps(report.to_json())


def test_offline_without_rights_and_unknown(
    stack: Stack, tmp_path: Path, wait_for: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stack.daemon is not None
    daemon = Daemon(tmp_path / "gc", stack.daemon.environment)
    daemon.configure()
    with (daemon.user_dir / "ep" / "config.yaml").open("a") as config:
        config.write(f"allowed_functions: ['{uuid.uuid4()}']\n")
    daemon.start()
    try:
        refusal = "fail rights: no rights to use this endpoint: refused by the web service: 403"
        wait_for(lambda: lines(diagnosed(daemon.id, "connectivity"))[0].startswith(refusal), "a refusal")
    finally:
        daemon.stop()
    wait_for(lambda: "offline" in lines(diagnosed(daemon.id, "connectivity"))[0], "its end")
    offline = diagnosed(daemon.id, "crates")
    assert lines(offline)[0].startswith("fail endpoint: offline: heard of last at 20")
    assert lines(offline)[1] == "skipped crates: no task of this endpoint has ended well"
    assert offline.evidence.took_s < LIMIT_S
    assert cli(["diagnose", str(uuid.uuid4())]) == 2
    assert "there is none, or it is another's and not shared: 404" in capsys.readouterr().err


def diagnosed(endpoint: str, *checks: str, **options: Any) -> Report:
    return diagnose.endpoint(endpoint, checks, timeout=LIMIT_S, **options)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "check", "expected"),
    [
        ("python", "environment", "warn Python: 3.9.7 at the workers"),
        ("dill", "environment", "warn dill: 0.3.6 at the workers"),
        ("clock", "environment", "fail clock: "),
        ("proxy", "environment", "fail proxy: HTTPS_PROXY=http://***@127.0.0.1:1 takes no connection"),
        ("launcher", "mpi", "fail launcher: MPI launcher missing: mpiexec, mpirun or srun is not on the PATH"),
        ("package", "crates", "fail crates: package missing: prov_worker is not installed for"),
    ],
)
def test_one_fault_and_no_other(endpoint: str, tmp_path: Path, fault: str, check: str, expected: str) -> None:
    report = diagnosed(endpoint, check, options={"worker_init": worker_init(tmp_path / "sick", fault)})
    assert line(report, expected)
    assert report.counts()["fail"] + report.counts()["warn"] == 1, report.to_text()


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "settings", "check", "expected"),
    [
        ({"workers": 1}, {"tasks": 2}, "parallel", "fail tasks at once: only 1 of 2 tasks ran at once"),
        ({"cpu_affinity": "list:0:0"}, {}, "affinity", "fail CPUs: worker 0 shares cores with worker 1 (cores 0)"),
        ({}, {"site": "polaris", "tasks": 2}, "gpu", "fail GPU: no GPU on"),
        ({"engine": "GlobusComputeEngine"}, {}, "crates", "fail crates: tasks are not recorded, though prov_worker"),
    ],
)
def test_one_option_that_is_wrong(
    endpoint: str, options: dict[str, Any], settings: dict[str, Any], check: str, expected: str
) -> None:
    report = diagnosed(endpoint, check, options=options, **settings)
    assert line(report, expected)
    assert report.counts()["fail"] == 1, report.to_text()


@contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    """A file system without room; its files are its owner's own."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(directory)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs root and the right to mount")
    try:
        (directory / "all").write_bytes(bytes(48 << 10))
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.mark.long
def test_a_crate_directory_that_is_full(endpoint: str, tmp_path: Path) -> None:
    crates = tmp_path / "full"
    with full_disk(crates):
        report = diagnosed(endpoint, "crates", options={"crate_dir": str(crates)})
        assert "cannot be written: No space left on device" in line(report, f"fail crate directory: {crates} on")
        assert line(report, "fail crates: 0 of 1 crate appeared in")


@pytest.mark.long
def test_an_environment_that_ends_each_block_is_an_answer_within_the_limit(endpoint: str) -> None:
    report = diagnose.endpoint(endpoint, options={"worker_init": "exit 3"}, timeout=20)
    assert report.evidence.took_s < 21
    assert line(report, "fail task: ")
