"""Crates that come home by Globus Transfer: the real SDK, against a stand-in of the service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.programs import Programs

pytest.importorskip("globus_sdk")

from prov_worker.cli.main import run as cli
from prov_worker.crate.sources import find_crates
from prov_worker.run.collect.transfer import Side, full_label
from prov_worker.testing import CrateFactory
from prov_worker.testing import task_id as step
from support.transfer_service import CLIENT, SECRET, TransferService

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TransferService]:
    """The stand-in, with the credentials that it takes in the environment."""
    service = TransferService()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    for name, value in {
        "GLOBUS_SDK_SERVICE_URL_AUTH": service.url,
        "GLOBUS_SDK_SERVICE_URL_TRANSFER": service.url,
        "GLOBUS_COMPUTE_CLIENT_ID": CLIENT,
        "GLOBUS_COMPUTE_CLIENT_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    yield service
    service.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def ends(service: TransferService, crates: CrateFactory, home: Path) -> list[str]:
    """SOURCE and DEST as the command takes them: four crates, a spool, a crate in the making; and a directory."""
    for number in range(4):
        crates.add(number)
    (crates.directory / ".spool").mkdir()
    (crates.directory / ".spool" / "host-1-2.jsonl").write_text("{}\n")
    (crates.directory / f".{step(9)}.crate").mkdir()
    return [f"{service.collection(crates.directory)}:/", f"{service.collection(home)}:/run"]


def content(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    }


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What stderr says last, where nothing but the task's id stands before it; it never has the secret."""
    output = capsys.readouterr()
    assert SECRET not in output.err + output.out
    lines = [line for line in output.err.splitlines() if not line.startswith("task ")]
    assert len(lines) == 1, output.err
    return lines[0]


def test_published_crates_come_whole_and_nothing_else_does(
    service: TransferService, ends: list[str], crates: CrateFactory, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["run", "transfer", *ends, "--verify-in", str(home / "run")]) == 0
    output = capsys.readouterr()
    (task,) = service.tasks
    assert f"task {task} submitted" in output.err
    assert "4 crates compared, 0 not whole" in output.out
    assert content(home / "run") == content(crates.directory)
    assert {path.name for path in (home / "run").iterdir()} == {path.name for path in find_crates(crates.directory)}


def test_what_the_service_is_asked_for(service: TransferService, ends: list[str]) -> None:
    assert cli(["run", "transfer", *ends, "--label", "Monday"]) == 0
    (document,) = service.documents
    assert (document["sync_level"], document["verify_checksum"], document["preserve_timestamp"]) == (3, True, True)
    assert {document[f"notify_on_{when}"] for when in ("succeeded", "failed", "inactive")} == {False}
    assert document["label"].startswith("Monday ")
    assert [item["recursive"] for item in document["DATA"]] == [True]
    excluded = [".*", "*.crates.zip.part", "*.crates.zip.offsets"]
    rules = [(rule["method"], rule["name"]) for rule in document["filter_rules"]]
    included = [("include", name) for name in (".software", ".software-*")]
    assert rules == [*included, *(("exclude", name) for name in excluded)]
    assert document["submission_id"]


def test_a_second_time_only_what_is_missing_is_sent(
    service: TransferService, ends: list[str], crates: CrateFactory, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["run", "transfer", *ends, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["sent"], first["skipped"]) == (len(content(crates.directory)), 0)
    crates.add(7)
    assert cli(["run", "transfer", *ends, "--json"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second["task"] != first["task"]
    assert second["skipped"] == first["sent"]
    assert second["sent"] == len(content(crates.directory)) - first["sent"] > 0
    assert content(home / "run") == content(crates.directory)


def test_a_dry_run_submits_nothing(
    service: TransferService, ends: list[str], crates: CrateFactory, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli(["run", "transfer", *ends, "--dry-run", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["new"], seen["known"]) == ([path.name for path in find_crates(crates.directory)], 0)
    assert (service.tasks, list(home.iterdir())) == ({}, [])
    assert cli(["run", "transfer", *ends]) == 0
    crates.add(7)
    capsys.readouterr()
    assert cli(["run", "transfer", *ends, "-n"]) == 0
    assert "1 entry would come, 4 are there" in capsys.readouterr().out


@pytest.mark.parametrize("again", ["same command", "task"])
def test_a_killed_client_finds_its_task_again(
    service: TransferService, ends: list[str], crates: CrateFactory, home: Path,
    capsys: pytest.CaptureFixture[str], programs: Programs, again: str,
) -> None:  # fmt: skip
    service.hold = True
    command = [sys.executable, "-m", "prov_worker", "run", "transfer", *ends]
    process = programs.start(command, env=dict(os.environ), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    process.send_signal(signal.SIGKILL)
    process.wait(90)
    (task,) = service.tasks
    assert line == f"task {task} submitted\n"
    assert service.tasks[task]["status"] == "ACTIVE"
    if again == "task":
        service.finish(task)
        assert cli(["run", "transfer", "--task", task, "--verify-in", str(home / "run")]) == 0
    else:
        assert cli(["run", "transfer", *ends, "--no-wait"]) == 0
        assert f"task {task} is under way" in capsys.readouterr().err
        service.finish(task)
    assert list(service.tasks) == [task], "no second task"
    assert content(home / "run") == content(crates.directory)


def test_another_destination_is_another_task(service: TransferService, ends: list[str]) -> None:
    service.hold = True
    assert cli(["run", "transfer", *ends, "--no-wait", "--label", "x"]) == 0
    assert cli(["run", "transfer", ends[0], f"{ends[1]}-2", "--no-wait", "--label", "x"]) == 0
    assert len(service.tasks) == 2


def test_it_does_not_wait_for_ever(
    service: TransferService, ends: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    service.hold = True
    assert cli(["run", "transfer", *ends, "--timeout", "0.5"]) == 1
    (task,) = service.tasks
    assert f"task {task} is not done after 0.5 s; wait on with --task {task}" in one_line(capsys)


def test_what_holds_a_task_up_is_told_once(
    service: TransferService, ends: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    service.hold = True
    assert cli(["run", "transfer", *ends, "--no-wait"]) == 0
    (task,) = service.tasks
    service.tasks[task] |= {"is_ok": False, "nice_status": "PERMISSION_DENIED"}
    capsys.readouterr()
    assert cli(["run", "transfer", "--task", task, "--timeout", "0.6"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"task {task}: PERMISSION_DENIED"
    assert len(lines) == 2
    assert "is not done after 0.6 s: PERMISSION_DENIED; wait on with" in lines[1]


def test_a_task_that_failed_says_why(
    service: TransferService, ends: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    service.fault = "Path not allowed: /run"
    assert cli(["run", "transfer", *ends]) == 1
    assert "FAILED: Path not allowed: /run" in one_line(capsys)


def test_a_task_that_waits_for_a_person_is_named(
    service: TransferService, ends: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    service.hold = True
    assert cli(["run", "transfer", *ends, "--no-wait"]) == 0
    (task,) = service.tasks
    service.tasks[task] |= {"status": "INACTIVE", "is_ok": None, "nice_status_details": "credentials expired"}
    capsys.readouterr()
    assert cli(["run", "transfer", "--task", task]) == 1
    assert "is INACTIVE: credentials expired" in one_line(capsys)


def test_a_consent_is_asked_for_and_used(service: TransferService, ends: list[str]) -> None:
    collection = ends[0].partition(":")[0]
    access = f"https://auth.globus.org/scopes/{collection}/data_access"
    service.consent = f"urn:globus:auth:scope:transfer.api.globus.org:all[*{access}]"
    assert cli(["run", "transfer", *ends]) == 0
    assert len(service.tasks) == 1


def test_a_consent_that_is_not_given_is_named(
    service: TransferService, ends: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    service.consent = "urn:globus:auth:scope:transfer.api.globus.org:all[*https://auth.globus.org/scopes/x/data_access]"
    service.grants = False
    assert cli(["run", "transfer", *ends]) == 1
    line = one_line(capsys)
    assert "ConsentRequired" in line
    assert service.consent in line


def test_unknown_things_are_named(
    service: TransferService, ends: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = str(uuid.uuid4())
    assert cli(["run", "transfer", ends[0], f"{unknown}:/run"]) == 1
    assert f"No such endpoint '{unknown}' (404 EndpointNotFound)" in one_line(capsys)
    assert cli(["run", "transfer", "--task", unknown]) == 1
    assert f"task {unknown}: Globus Transfer: No such task (404" in one_line(capsys)
    assert cli(["run", "transfer", "-n", f"{ends[0]}nowhere", ends[1]]) == 1
    assert "not found (404 ClientError.NotFound)" in one_line(capsys)


def test_credentials_that_are_refused_or_missing_are_one_line(
    service: TransferService, ends: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOBUS_COMPUTE_CLIENT_ID", str(uuid.uuid4()))
    assert cli(["run", "transfer", *ends]) == 1
    assert "refused the credentials" in one_line(capsys)
    monkeypatch.delenv("GLOBUS_COMPUTE_CLIENT_ID")
    assert cli(["run", "transfer", *ends]) == 2
    assert "GLOBUS_COMPUTE_CLIENT_ID: not set" in one_line(capsys)
    monkeypatch.delenv("GLOBUS_COMPUTE_CLIENT_SECRET")
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert cli(["run", "transfer", *ends]) == 2
    assert "no credentials: set GLOBUS_COMPUTE_CLIENT_ID" in one_line(capsys)
    assert service.tasks == {}


def test_a_service_that_is_gone_is_one_line(
    ends: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the SDK's pauses between its attempts
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_TRANSFER", "http://127.0.0.1:1/")
    assert cli(["run", "transfer", *ends]) == 1
    assert "Globus cannot be reached" in one_line(capsys)


def test_a_crate_that_is_not_whole_is_named(
    service: TransferService, ends: list[str], crates: CrateFactory, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = crates.directory / f"{step(1)}.crate" / "ro-crate-metadata.json"
    broken.write_text("{")
    assert cli(["run", "transfer", *ends, "--verify-in", str(home / "run")]) == 1
    assert f"{step(1)}.crate" in one_line(capsys)
    assert cli(["run", "transfer", *ends, "--verify-in", str(home / "run" / f"{step(2)}.crate" / "data")]) == 1
    assert "no crate is there" in one_line(capsys)


@pytest.mark.parametrize(
    "arguments, line",
    [
        ([], "expected SOURCE_COLLECTION:PATH"),
        (["{a}:/x"], "expected SOURCE_COLLECTION:PATH"),
        (["home", "{b}:/x"], "home: expected COLLECTION:PATH"),
        (["{a}:x", "{b}:/x"], "the path must begin with / or ~/"),
        (["{a}:/x", "{a}:/x/"], "is the destination itself"),
        (["{a}:/x", "{b}:/x", "--label", "x" * 200], "--label: longer than 115 characters"),
        (["{a}:/x", "{b}:/x", "--no-wait", "--verify-in", "x"], "--verify-in goes without"),
        (["--task", "{a}", "--dry-run"], "--task goes without"),
    ],
)
def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    given = [argument.format(a=uuid.UUID(int=1), b=uuid.UUID(int=2)) for argument in arguments]
    assert cli(["run", "transfer", *given]) == 2
    assert line in one_line(capsys)


def test_a_label_tells_directories_apart() -> None:
    a, b = Side.parse(f"{uuid.UUID(int=1)}:/x"), Side.parse(f"{uuid.UUID(int=1)}:/y/")
    assert full_label(a, b, "n") != full_label(b, a, "n")
    assert full_label(a, b, "n") == full_label(a, b, "n")


def test_bills_of_materials_come_too(
    service: TransferService,
    billed: Callable[..., CrateFactory],
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    billed(tmp_path / "there", b"{}").add(1)
    (bill,) = (tmp_path / "there/.software").iterdir()
    source = f"{service.collection(tmp_path / 'there')}:/"
    command = ["run", "transfer", source, f"{service.collection(home)}:/run", "--verify-in", str(home / "run")]
    assert cli(command) == 0
    assert (home / "run/.software" / bill.name).read_bytes() == b"{}"
    (home / "run/.software" / bill.name).write_bytes(b"{} ")
    bill.write_bytes(b"{} ")
    assert cli(command) == 1
    assert "is not the bill of materials that its name says" in capsys.readouterr().err
