"""What a unit forbids an endpoint, and whether the site's commands work under it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

pytest.importorskip("globus_compute_endpoint")

from prov_worker.cli.main import run as cli
from prov_worker.sites import confinement
from prov_worker.sites.catalog import site
from prov_worker.sites.check import unit
from prov_worker.sites.check.context import Subject
from support.commands import run_program
from support.marks import PARSL_SOCKET
from support.preflight import only, subject

pytestmark = PARSL_SOCKET

#: Does with NoNewPrivileges what a user manager does; the other properties are for one that is there.
SYSTEMD_RUN = """#!/bin/sh
for option; do
    shift
    case $option in
        --property=NoNewPrivileges=yes) confined=1 ;;
        --) break ;;
    esac
done
[ -z "$confined" ] || exec setpriv --no-new-privs -- "$@"
exec "$@"
"""
#: A client that must become another user to ask its server.
CLIENT = """#!/bin/sh
[ "$1" = --version ] || grep -q 'NoNewPrivs:.0' /proc/self/status || { echo "the server knows no user" >&2; exit 1; }
"""


def fleet_file(directory: Path, *sites: str) -> Path:
    options = {"account": "m1", "interface": "lo"}
    endpoints = [
        {"name": f"e{n}", "site": name, "options": {} if name == "local" else options} for n, name in enumerate(sites)
    ]
    path = directory / "fleet of mine.yaml"
    path.write_text(yaml.safe_dump({"endpoints": endpoints}))
    return path


def test_nothing_is_forbidden_that_tasks_would_notice() -> None:
    assert confinement.options(site("local"), {}) == {"OOMPolicy": "continue"}


def test_new_privileges_are_left_to_pbs_and_to_containers() -> None:
    slurm = site("perlmutter-cpu")
    assert confinement.options(slurm, {"runtime": "venv"})["NoNewPrivileges"] == "yes"
    for options in (
        confinement.options(slurm, {"runtime": "container"}),
        confinement.options(site("polaris"), {"runtime": "venv"}),
    ):
        assert "MemoryMax" in options
        # A filter of system calls implies it (systemd.exec(5)).
        assert not {"NoNewPrivileges", "RestrictSUIDSGID", "LockPersonality", "SystemCallArchitectures"} & set(options)


def test_a_watch_of_several_endpoints_has_what_all_of_them_bear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["fleet", "unit", "--options", "--file", str(fleet_file(tmp_path, "perlmutter-cpu", "polaris"))]) == 0
    assert capsys.readouterr().out.split() == [
        *("OOMPolicy=continue", "LimitCORE=0", "MemoryMax=4294967296", "TasksMax=2048", "UMask=0077")
    ]
    assert cli(["fleet", "unit", "--options", "--file", str(fleet_file(tmp_path, "perlmutter-cpu", "local"))]) == 0
    assert capsys.readouterr().out.split() == ["OOMPolicy=continue"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["fleet", "unit", "--file", str(fleet_file(tmp_path, "perlmutter-cpu"))]) == 0
    path = tmp_path / "endpoints.service"
    path.write_text(capsys.readouterr().out)
    verdict = run_program("systemd-analyze", "verify", path)
    assert (verdict.returncode, str(path.name) in verdict.stderr) == (0, False), verdict.stderr


def test_cron_limits_a_process_as_the_unit_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["fleet", "unit", "--ulimit", "--file", str(fleet_file(tmp_path, "polaris"))]) == 0
    limits = capsys.readouterr().out.strip()
    shown = run_program("sh", "-c", f"{limits} ulimit -d; ulimit -c; umask", check=True)
    assert (shown.stdout.split(), shown.stderr) == (["4194304", "0", "0077"], "")
    assert cli(["fleet", "unit", "--ulimit", "--file", str(fleet_file(tmp_path, "local"))]) == 0
    assert capsys.readouterr().out.strip() == ""


def passed(endpoint: Subject) -> str:
    (finding,) = unit.check(endpoint)
    assert finding.status == "pass"
    return finding.found


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is looked at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("systemd-run", SYSTEMD_RUN), *((name, CLIENT) for name in ("sbatch", "squeue", "scancel"))):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_command_that_the_unit_stops_is_named(commands: Path, private: Path) -> None:
    slurm = subject("perlmutter-cpu", private, interface="lo")
    finding = only(unit.check(slurm), "fail")
    assert "squeue --me --noheader: the server knows no user" in finding.found
    assert "NoNewPrivileges" in finding.found
    for name in ("sbatch", "squeue", "scancel"):
        (commands / name).write_text("#!/bin/sh\n")
    assert "4 questions to the scheduler are answered" in passed(slurm)


def test_commands_that_work_nowhere_are_no_fault_of_the_unit(commands: Path, private: Path) -> None:
    for name in ("sbatch", "squeue", "scancel"):
        (commands / name).write_text("#!/bin/sh\nexit 1\n")
    assert passed(subject("perlmutter-cpu", private, interface="lo"))


def test_without_a_user_manager_nothing_is_tried(commands: Path, private: Path) -> None:
    (commands / "systemd-run").write_text("#!/bin/sh\nexit 1\n")
    assert "no user manager" in passed(subject("perlmutter-cpu", private, interface="lo"))
