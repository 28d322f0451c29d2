"""Preflight of a site: the command, versions at both ends, containers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.cli.main import run as cli
from prov_worker.finding import Finding
from prov_worker.globus.daemons import wants_email
from prov_worker.sites.check import container, user, versions
from support.commands import run_program
from support.marks import PARSL_SOCKET
from support.preflight import only, program, subject

pytestmark = PARSL_SOCKET


def test_this_machine_is_fit_for_an_endpoint_of_its_own(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--set", "workers=1", "--set", "email=a@example.org"]
    assert cli(["sites", "check", "local", "--user-dir", str(private), "--offline", "--json", *given]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["fail"], document["site"], document["options"]["workers"]) == (0, "local", 1)
    findings = {finding["subject"]: finding for finding in document["findings"]}
    assert findings["versions here"]["status"] == findings["versions at the workers"]["status"] == "pass"
    assert f"({sys.prefix}" in findings["versions at the workers"]["found"]
    assert findings["egress"]["status"] == "warn"
    assert list(private.iterdir()) == [], "nothing is left behind"


def test_a_host_that_lacks_what_a_site_needs_fails_with_remedies(
    private: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    given = ["--set", "account=X", "--set", "interface=nosuch0", "--user-dir", str(private), "--offline"]
    assert cli(["sites", "check", "polaris", *given]) == 1
    lines = capsys.readouterr().out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("fail  interface")]
    assert "nosuch0 is not on this host" in lines[at]
    assert "--set interface=" in lines[at + 1]
    assert any(line.startswith("fail  scheduler commands") and "qsub, qstat, qdel" in line for line in lines)
    assert lines[-1].startswith("polaris: ")


def test_wrong_options_are_refused_before_anything_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["sites", "check", "polaris"]) == 2
    assert "account: must be set" in capsys.readouterr().err


def test_an_installed_endpoint_is_checked_with_its_own_options(
    private: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--user-dir", str(private)]
    assert (
        cli(
            [
                "sites",
                "install",
                "local",
                "mine",
                "--no-check",
                "--set",
                "workers=3",
                "--set",
                "email=a@example.org",
                *where,
            ]
        )
        == 0
    )
    capsys.readouterr()
    assert cli(["sites", "check", "local", "--name", "mine", "--offline", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["options"]["workers"] == 3
    assert cli(["sites", "check", "polaris", "--name", "mine", *where]) == 2
    assert "was installed for local" in capsys.readouterr().err


def test_a_worker_init_that_hides_the_endpoints_program_is_a_job_that_comes_back_for_ever(private: Path) -> None:
    finding = only(versions.check(subject("local", private, worker_init="export PATH=/usr/bin:/bin")), "fail")
    assert finding.subject == "versions at the workers"
    assert "no globus-compute-endpoint on its PATH" in finding.found


def test_commands_of_worker_init_that_fail_are_named(private: Path, tmp_path: Path) -> None:
    """The program may be on PATH all the same, of another environment than the one that was meant."""
    (tmp_path / "inner").write_text("false\ntrue\n")
    init = "\n".join(
        (
            "source /no/such/env/bin/activate",
            "false || true",
            "if false; then :; fi",
            f"source {tmp_path}/inner",
            "within() { false; return 0; }; within",
            "(exit 7)",
        )
    )
    findings = list(versions.check(subject("local", private, worker_init=init)))
    assert [finding.status for finding in findings] == ["pass", "warn", "warn", "pass"]
    assert "`source /no/such/env/bin/activate` ended with exit status 1" in findings[1].found
    assert "`( exit 7 )` ended with exit status 7" in findings[2].found
    assert [finding.status for finding in versions.check(subject("local", private, worker_init="true"))] == [
        "pass",
        "pass",
    ]


@pytest.mark.parametrize("privileged", [True, False])
def test_root_needs_a_contact_address(private: Path, monkeypatch: pytest.MonkeyPatch, privileged: bool) -> None:
    monkeypatch.setattr(user, "wants_email", lambda: privileged)
    (bare,) = user.check(subject("local", private))
    assert bare.status == ("fail" if privileged else "pass")
    assert ("--set email=" in bare.remedy) is privileged
    assert [finding.status for finding in user.check(subject("local", private, email="a@example.org"))] == ["pass"]


def test_what_the_daemon_takes_for_privileged_is_its_own_business() -> None:
    from globus_compute_endpoint.endpoint.utils import is_privileged

    assert wants_email() is is_privileged()


def test_a_batch_job_of_pbs_knows_nothing_of_this_environment(private: Path) -> None:
    bare = only(versions.check(subject("polaris", private, interface="lo")), "fail")
    assert "no globus-compute-endpoint on its PATH" in bare.found
    activate = f"source {sys.prefix}/bin/activate"
    assert {
        finding.status for finding in versions.check(subject("polaris", private, interface="lo", worker_init=activate))
    } == {"pass"}


@pytest.mark.parametrize(
    "name, version, status",
    [("parsl", "1.0", "fail"), ("prov-worker", "9", "fail"), ("globus-compute-endpoint", "3", "warn")],
)
def test_other_versions_at_the_workers(private: Path, tmp_path: Path, name: str, version: str, status: str) -> None:
    """A distribution of that name that Python finds first, as an environment of other versions has it."""
    other = tmp_path / "other" / f"{name.replace('-', '_')}-{version}.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    finding = only(versions.check(subject("local", private, worker_init=f"export PYTHONPATH={other.parent}")), status)
    assert f"{name} {version}" in finding.found


def test_a_worker_init_that_ends_the_shell_is_told_in_its_own_words(private: Path) -> None:
    finding = only(versions.check(subject("local", private, worker_init="echo no such module >&2; exit 3")), "fail")
    assert "no such module" in finding.found


def test_an_image_in_a_file_and_its_digest(private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "apptainer", "exit 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    image = tmp_path / "image.sif"
    image.write_bytes(b"an image")
    digest = "sha256:" + run_program("sha256sum", image, check=True).stdout[:64]
    given = {"interface": "lo", "runtime": "container", "worker_init": f"export PATH={tmp_path}/bin:$PATH"}

    def checked_image(**values: Any) -> Finding:
        (finding,) = [
            finding
            for finding in container.check(subject("polaris", private, **given, **values))
            if finding.subject == "image"
        ]
        return finding

    assert checked_image(image=str(image), image_digest=digest).status == "pass"
    assert checked_image(image=str(image)).remedy.startswith(f"--set image_digest={digest}")
    assert checked_image(image=str(image), image_digest="sha256:" + "0" * 64).status == "fail"
    assert checked_image(image="/no/such.sif").status == "fail"
    assert checked_image(image="docker://example/image").status == "warn"
    runtimes = list(container.check(subject("polaris", private, **given, image=str(image))))
    assert runtimes[0].found == f"{tmp_path}/bin/apptainer"


def test_a_site_whose_runtime_is_on_compute_nodes_alone(private: Path) -> None:
    values = {"interface": "lo", "runtime": "container", "image": "/no/such.sif"}
    first = next(container.check(subject("polaris", private, **values)))
    assert (first.subject, first.status) == ("container runtime", "warn")
