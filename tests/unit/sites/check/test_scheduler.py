"""Preflight of a site: what the scheduler would refuse, told without a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.finding import Finding
from prov_worker.sites.check import file_systems, scheduler
from support.marks import PARSL_SOCKET
from support.preflight import only, program, statuses, subject

pytestmark = PARSL_SOCKET


QUEUES = {
    "debug": {
        "queue_type": "Execution",
        "resources_max": {"nodect": 2, "walltime": "01:00:00"},
        "resources_min": {"nodect": 1, "walltime": "00:05:00"},
        "enabled": "True",
        "started": "True",
    },
    "run_next": {"queue_type": "Execution", "enabled": "False", "started": "False"},
    "small": {"queue_type": "Execution", "from_route_only": "True", "enabled": "True", "started": "True"},
    "drained": {"queue_type": "Execution", "enabled": "True", "started": "False"},
}


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that answer as PBS's on Polaris do: their presence and these answers are all that is asked for."""
    bin_dir = tmp_path / "pbs"
    answer = json.dumps({"timestamp": 1, "pbs_version": "23.06.06", "pbs_server": "pbs1", "Queue": QUEUES})
    server = "Server: pbs1\n    job_history_enable = True\n"
    program(bin_dir, "qstat", f"case $1 in -Q) echo '{answer}';; -B) echo '{server}';; esac\n")
    for name in ("qsub", "qdel", "mpiexec"):
        program(bin_dir, name, "exit 1\n")
    for name in ("home", "eagle"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    return bin_dir


def on_polaris(tmp_path: Path, **values: Any) -> list[Finding]:
    crates = str(tmp_path / "eagle" / "crates")
    user_dir = tmp_path / "home" / "compute"
    polaris = subject("polaris", user_dir, interface="lo", crate_dir=crates, **values)
    return [*scheduler.check(polaris), *file_systems.check(polaris)]


def test_pbs_answers_for_the_queue_and_the_history(pbs: Path, tmp_path: Path) -> None:
    states = statuses(on_polaris(tmp_path))
    assert {name for name, status in states.items() if status == "pass"} >= {
        "scheduler commands",
        "launcher",
        "scheduler answers",
        "queue",
        "job history",
    }
    assert states["account"] == "warn", "there is no program that knows accounts"


HYDRA = (
    "Usage: ./mpiexec [global opts]\n    -env {name} {value}\n    -ppn   processes per node\n    -bind-to   binding\n"
)
PALS = "Usage: mpiexec [OPTION...]\n  -d, --depth=N\n      --ppn=N\n      --cpu-bind=TYPE\n      --env=NAME=VALUE\n"


@pytest.mark.parametrize(
    ("text", "status", "detail"),
    [
        (PALS, "pass", "which has --cpu-bind, --depth, --ppn, --env"),
        (HYDRA, "warn", "has no option --cpu-bind, --depth, --ppn, --env"),
    ],
    ids=["PALS", "Hydra"],
)
def test_a_launcher_is_asked_for_its_options(pbs: Path, tmp_path: Path, text: str, status: str, detail: str) -> None:
    """OpenPBS and MPICH have a mpiexec as well: with PALS' options it fails, and each block ends at once."""
    program(pbs, "mpiexec", f"[ \"$1\" = --help ] || exit 1\ncat <<'EOT'\n{text}EOT\n")
    (finding,) = [line for line in on_polaris(tmp_path) if line.subject == "launcher"]
    assert (finding.status, detail in finding.found) == (status, True), finding


@pytest.mark.parametrize(
    "values, message",
    [
        ({"queue": "nosuch"}, "there is no queue nosuch"),
        ({"queue": "run_next"}, "takes no jobs now"),
        ({"queue": "small"}, "from a routing queue alone"),
        ({"nodes_per_block": 3}, "at most 2 nodes"),
        ({"walltime": "01:00:01"}, "at most 01:00:00"),
        ({"walltime": "00:04:59"}, "at least 00:05:00"),
    ],
)
def test_what_a_queue_of_pbs_would_refuse(pbs: Path, tmp_path: Path, values: dict[str, Any], message: str) -> None:
    (finding,) = [line for line in on_polaris(tmp_path, **values) if line.subject == "queue"]
    assert (finding.status, bool(finding.remedy)) == ("fail", True)
    assert message in finding.found


def test_a_queue_of_pbs_that_starts_nothing_is_a_warning(pbs: Path, tmp_path: Path) -> None:
    assert statuses(on_polaris(tmp_path, queue="drained"))["queue"] == "warn"


def test_pbs_without_job_history_makes_parsl_give_up_running_jobs(pbs: Path, tmp_path: Path) -> None:
    program(
        pbs, "qstat", 'test "$1" = -Q && echo "{}" || echo "qstat: PBS is not configured to maintain job history" >&2\n'
    )
    states = statuses(on_polaris(tmp_path))
    assert states["job history"] == "fail"
    assert states["scheduler answers"] == "warn"


def test_a_pbs_server_that_says_nothing_of_history_is_a_warning(pbs: Path, tmp_path: Path) -> None:
    program(pbs, "qstat", 'test "$1" = -Q && echo "{}"; exit 0\n')
    assert statuses(on_polaris(tmp_path))["job history"] == "warn"


def test_a_pbs_server_that_is_down(pbs: Path, tmp_path: Path) -> None:
    program(pbs, "qstat", 'echo "qstat: cannot connect to server pbs1 (errno=15010)" >&2; exit 255\n')
    finding = only([line for line in on_polaris(tmp_path) if line.subject == "scheduler answers"], "fail")
    assert "cannot connect to server pbs1" in finding.found


def test_an_account_that_the_bank_knows_or_not(pbs: Path, tmp_path: Path) -> None:
    program(pbs, "sbank-list-allocations", "echo ' 1  2026  polaris  MyProject  3  4.0'\n")
    assert statuses(on_polaris(tmp_path))["account"] == "pass"
    assert statuses(on_polaris(tmp_path, account="MyProj"))["account"] == "fail"


def test_a_directory_on_a_file_system_that_the_job_does_not_ask_for(pbs: Path, tmp_path: Path) -> None:
    findings = on_polaris(tmp_path, filesystems="home:grand")
    details = [finding.found for finding in findings if finding.subject == "file systems"]
    assert any("grand: no mount" in detail for detail in details)
    assert any("crate_dir" in detail and "is on none of home:grand" in detail for detail in details)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that answer as Slurm's do."""
    bin_dir = tmp_path / "slurm"
    program(bin_dir, "squeue", "exit 0\n")
    program(
        bin_dir, "sbatch", 'grep -q "^#SBATCH.*--account=MyProject" "$2" && echo "sbatch: Job 9 to start at 2026" >&2\n'
    )
    program(bin_dir, "scontrol", 'echo "PartitionName=$4 State=UP MaxTime=1-00:00:00 MaxNodes=2"\n')
    program(bin_dir, "sacctmgr", "echo 'MyProject_g|gpu_debug,gpu_regular'; echo 'MyProject|cpu'\n")
    for name in ("scancel", "srun"):
        program(bin_dir, name, "exit 1\n")
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    return bin_dir


def on_perlmutter(user_dir: Path, **values: Any) -> list[Finding]:
    return list(scheduler.check(subject("perlmutter-gpu", user_dir, interface="lo", **values)))


def test_slurm_answers_for_account_qos_partition_and_the_very_script(slurm: Path, private: Path) -> None:
    findings = on_perlmutter(private, partition="gpu")
    assert {finding.status for finding in findings} == {"pass"}
    assert [finding.found for finding in findings if finding.subject == "trial of the batch script"] == [
        "Job 9 to start at 2026"
    ]


@pytest.mark.parametrize(
    "values, line, message",
    [
        ({"account": "Other"}, "account", "Other is not one of your accounts"),
        ({"qos": "premium"}, "account", "no QOS premium"),
        ({"partition": "gpu", "walltime": "24:00:01"}, "partition", "allows 1-00:00:00"),
        ({"account": "Other"}, "trial of the batch script", "exit status 1"),
    ],
)
def test_what_slurm_would_refuse(slurm: Path, private: Path, values: dict[str, Any], line: str, message: str) -> None:
    (finding,) = [finding for finding in on_perlmutter(private, **values) if finding.subject == line]
    assert (finding.status, bool(finding.remedy)) == ("fail", True)
    assert message in finding.found


def test_slurms_refusal_is_shown_in_its_own_words(slurm: Path, private: Path) -> None:
    """The words are those of Slurm 22.05 for a partition that does not exist."""
    message = "sbatch: error: invalid partition specified: nope"
    program(slurm, "sbatch", f'echo "{message}" >&2; exit 1\n')
    program(slurm, "scontrol", 'echo "Partition nope not found" >&2; exit 1\n')
    program(slurm, "sinfo", "echo debug\n")
    program(slurm, "sacctmgr", 'echo "Slurm accounting storage is disabled" >&2; exit 1\n')
    findings = {finding.subject: finding for finding in on_perlmutter(private, partition="nope")}
    assert message in findings["trial of the batch script"].found
    assert findings["partition"].remedy == "--set partition= one of debug"
    assert findings["account"].status == "warn"
