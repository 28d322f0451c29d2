"""Options that are right one by one and wrong together are refused: by file or --set, key, and remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.cli.main import run as cli
from prov_worker.sites.check import limits, storage
from support.marks import PARSL_SOCKET
from support.preflight import subject

pytestmark = PARSL_SOCKET


def given(*assignments: str) -> list[str]:
    return [word for assignment in ("account=X", *assignments) for word in ("--set", assignment)]


@pytest.mark.parametrize(
    "site, assignments, message",
    [
        ("perlmutter-cpu", ["workers=300"], "--set: workers: 300 for 256 CPUs (cpus_per_task)"),
        ("perlmutter-cpu", ["cpus_per_task=64"], "--set: workers: 128 for 64 CPUs (cpus_per_task)"),
        ("perlmutter-gpu", ["workers=2"], "--set: affinity: 4 lists for 2 workers; Parsl wants one for each"),
        ("perlmutter-gpu", ["affinity=list:0-3"], "affinity: 1 list for 4 workers"),
        ("perlmutter-gpu", ["workers=1", "affinity=none"], "accelerators: 4 for 1 worker;"),
        ("perlmutter-gpu", ["gpus_per_node=2"], "--set: accelerators: 0,1,2,3 are more than the 2 that gpus_per_node"),
        ("perlmutter-gpu", ["accelerators=0,1,2,4"], "--set: accelerators: 0,1,2,4 are more than the 4"),
        ("perlmutter-gpu", ["constraint=cpu"], "--set: constraint: nodes of kind cpu have none of the 4 GPUs"),
        ("perlmutter-cpu", ["qos=shared"], "--set: exclusive: whole nodes are not what qos=shared gives"),
        ("polaris", ["select_options=ngpus=2"], "--set: accelerators: 0,1,2,3 are more than the 2 that select_options"),
        ("polaris", ["affinity=list:0-999:1:2:3"], "affinity: CPU 999 is not on a node of 64; name those of 0 to 63"),
        ("polaris", ["affinity=list:0-:1:2:3"], "--set: affinity: '0-' is not a CPU"),
        ("polaris", ["filesystems=eagle"], '--set: filesystems: "eagle" is not allowed'),
        ("polaris", ["image=x.sif"], "--set: image: is used with runtime=container alone"),
        ("polaris", ["image_digest=sha256:" + "0" * 64], "--set: image_digest: is used with runtime=container alone"),
        ("polaris", ["worker_init=a\x1bb"], '--set: worker_init: "a\\u001bb" has a control character'),
        ("polaris", ["account=X\n"], '--set: account: "X\\n" has a control character'),
        ("aurora", [], "aurora: submit_dir: must be set: --set submit_dir=..., or in a file; Directory that jobs"),
    ],
)  # fmt: skip
def test_refused(site: str, assignments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["sites", "render", site, *given(*assignments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "site, assignments",
    [
        ("perlmutter-cpu", ["workers=300", "affinity=none"]),
        ("perlmutter-cpu", ["workers=2"]),
        ("perlmutter-cpu", ["qos=shared", "exclusive=false"]),
        ("perlmutter-gpu", ["workers=2", "affinity=alternating", "accelerators=0,1", "gpus_per_node=2"]),
        ("perlmutter-gpu", ["accelerators=0,0,1,1", "gpus_per_node=2"]),
        ("perlmutter-gpu", ["constraint=gpu&hbm80g"]),
        ("polaris", ["worker_init=module load x\n\texport A=1\n"]),
        ("polaris", ["filesystems=eagle:home"]),
        ("polaris", ["runtime=container", "image=x.sif"]),
    ],
)
def test_taken(site: str, assignments: list[str]) -> None:
    assert cli(["sites", "render", site, *given(*assignments)]) == 0


def test_a_combination_of_a_file_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "v.yaml"
    file.write_text('account: X\nworkers: 300\nworker_init: "a\\0b"\n')
    assert cli(["sites", "render", "perlmutter-cpu", "-f", str(file)]) == 2
    assert f'{file}: worker_init: "a\\u0000b" has a control character' in capsys.readouterr().err
    file.write_text("account: X\nworkers: 300\n")
    assert cli(["sites", "render", "perlmutter-cpu", "-f", str(file)]) == 2
    assert f"{file}: workers: 300 for 256 CPUs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "assignments, message",
    [
        (["walltime=02:00:00"], "walltime: 02:00:00, and debug takes 01:00:00 at most"),
        (["queue=prod"], "nodes_per_block: 1, and prod takes 10 to 496"),
        ([], ""),
        (["queue=by_request", "walltime=02:00:00"], ""),
    ],
)
def test_a_queues_documented_limits_are_told_and_not_refused(
    assignments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They change; the scheduler has the last word, and `check` asks it."""
    assert cli(["sites", "render", "polaris", *given(*assignments)]) == 0
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert bool(error) == bool(message)


@pytest.mark.parametrize("text", ["account: &a [*a]\n", "account: &a {b: *a}\n"])
def test_an_alias_of_what_holds_it_in_a_file_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(text)
    assert cli(["sites", "render", "polaris", "-f", str(file)]) == 2
    assert "an alias of what holds it" in capsys.readouterr().err
    assert cli(["sites", "render", "polaris", "--set", "mount_points=&a [*a]"]) == 2
    assert "--set: mount_points[0]: " in capsys.readouterr().err


def test_a_whole_number_with_a_point_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["sites", "render", "polaris", "--json", *given("workers=4.0")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.dumps(document["options"]["workers"]) == "4"
    assert "max_workers_per_node: 4\n" in document["config"]
    assert cli(["sites", "render", "polaris", *given("workers=4.5")]) == 2
    assert "--set: workers: 4.5 is not allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("acc=X", "--set: acc: polaris has no such option; did you mean 'account'? All are in"),
        ("colour=red", "--set: colour: polaris has no such option. All are in `prov-worker sites show polaris`"),
        ("=3", "--set =3: expected KEY=VALUE"),
    ],
)
def test_an_option_that_is_none(assignment: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["sites", "render", "polaris", "--set", assignment]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error) < 130


@pytest.mark.parametrize(
    "site, values, status, message",
    [
        ("perlmutter-cpu", {}, "pass", "128 workers for 256 logical CPUs of a node with 128 cores"),
        (
            "perlmutter-cpu",
            {"affinity": "block"},
            "warn",
            "affinity=block binds workers 0 and 64 of 128 to core 0",
        ),
        ("perlmutter-cpu", {"workers": 256}, "warn", "256 workers for 128 cores"),
        ("polaris", {"interface": "lo"}, "pass", "4 workers for 64 logical CPUs of a node with 32 cores"),
    ],
)
def test_workers_on_one_core_are_a_warning(
    site: str, values: dict[str, object], status: str, message: str, private: Path
) -> None:
    (finding,) = [finding for finding in limits.check(subject(site, private, **values)) if finding.subject == "CPUs"]
    assert (finding.status, finding.found) == (status, message)
    assert bool(finding.remedy) == (status == "warn")


def test_the_directory_that_jobs_are_submitted_from(
    tmp_path: Path, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("home/mine", "project"):
        (tmp_path / name).mkdir(parents=True)

    def looked_at(submit_dir: str) -> tuple[str, str]:
        lines = storage.check(subject("aurora", private, submit_dir=submit_dir))
        (finding,) = [line for line in lines if line.subject == "submit_dir"]
        return finding.status, finding.found

    assert looked_at(str(tmp_path / "project"))[0] == "pass"
    assert looked_at(str(tmp_path / "home" / "mine")) == (
        "fail",
        f"{tmp_path}/home/mine is in your home, from which jobs are not allowed",
    )
    assert looked_at(str(tmp_path / "none")) == ("fail", f"{tmp_path}/none: no directory of this host")
    assert looked_at("") == ("fail", "none is named, and jobs from home are not allowed")
