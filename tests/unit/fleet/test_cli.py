"""The commands, as far as they go without a daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.fleet import COMMANDS
from prov_worker.cli.main import run as cli
from support.commands import run_python
from support.marks import PARSL_SOCKET

pytestmark = PARSL_SOCKET
Write = Callable[[Any], Path]
MAIL = {"email": "someone@example.org"}


@pytest.fixture
def two(write: Write) -> Path:
    here = {"name": "polaris-one", "site": "local", "options": MAIL}
    far = {"name": "far", "site": "polaris", "host": "login99", "options": {"account": "X", "walltime": "01:00:00"}}
    return write({"endpoints": [here, far]})


def completed(command_line: str) -> list[str]:
    """What the shell would offer after a line."""
    done = run_python("-m", "prov_worker", env={
            **os.environ,
            "_PROV_WORKER_COMPLETE": "bash_complete",
            "COMP_WORDS": command_line,
            "COMP_CWORD": str(len(command_line.split(" ")) - 1),
        })  # fmt: skip
    return [line.split(",", 1)[1] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["fleet", verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: prov-worker fleet {verb} ")


def test_the_shell_completes_names_of_endpoints(two: Path, tmp_path: Path) -> None:
    assert completed("prov-worker fleet stop pol") == ["polaris-one"]
    assert completed("prov-worker fleet logs ") == ["polaris-one", "far"]
    assert completed(f"prov-worker fleet status --file {tmp_path / 'none.yaml'} ") == []


def test_nothing_made_yet(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["fleet", "status", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["condition"]) for row in rows] == [("polaris-one", "not created"), ("far", "elsewhere")]
    assert cli(["fleet", "status"]) == 0
    out = capsys.readouterr().out
    assert "on login99" in out
    assert "polaris-one: prov-worker fleet up creates it" in out


def test_validate_looks_at_endpoints_of_other_hosts_too(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("globus_compute_endpoint")
    assert cli(["fleet", "validate", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["problem"]) for row in rows] == [("polaris-one", None), ("far", None)]


def test_credentials_that_cannot_be_used_are_no_good_configuration(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("globus_compute_endpoint")
    far = {"name": "far", "site": "local", "host": "login99"}
    path = write({"credentials": "mine", "endpoints": [{"name": "one", "site": "local", "options": MAIL}, far]})
    for mode, problem in ((None, "credentials cannot be read: No such file"), (0o644, "is open to others")):
        if mode is not None:
            (path.parent / "mine").touch(mode)
            (path.parent / "mine").chmod(mode)
        assert cli(["fleet", "validate", "--json"]) == 1
        here, there = json.loads(capsys.readouterr().out)
        assert f"{path.parent / 'mine'}: {problem}" in here["problem"]
        assert there["problem"] is None


def test_a_configuration_that_the_daemon_would_refuse(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("globus_compute_endpoint")
    wrong = {**MAIL, "interface": "nosuch0"}
    write({"endpoints": [{"name": "one", "site": "local", "options": wrong}, {"name": "two", "site": "local"}]})
    assert cli(["fleet", "validate", "--json", "one"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert "nosuch0" in row["problem"]
    assert cli(["fleet", "up"]) == 2
    error = capsys.readouterr().err
    assert "one: " in error
    assert "nothing was started" in error
    assert not (tmp_path / "gc").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["stop", "--timeout", "3"], "--timeout requires --drain"),
        (["remove", "--discard-unsent"], "--discard-unsent: goes with --delete"),
        (["stop", "nobody"], "none is called nobody; there are polaris-one, far"),
        (["stop", "far"], "far: belongs to login99; it is not touched from here"),
        (["restart", "polaris-one"], "polaris-one: is not created yet: fleet up polaris-one"),
        (["restart", "--stale", "polaris-one"], "polaris-one: is not created yet: fleet up polaris-one"),
        (["status", "--timeout", "3"], "--timeout: is the limit of --online and --drained"),
        (["watch", "--once", "--stop-endpoints"], "--stop-endpoints: --once ends by itself"),
        (["logs", "polaris-one"], "there is no log yet"),
        (["logs", "polaris-one", "--user-endpoint"], "has had no user endpoint yet"),
        (["logs", "far"], "far: belongs to login99"),
        (["status", "--file", "/none.yaml"], "/none.yaml: no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line(
    two: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli(["fleet", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_directory_that_was_there_before_is_not_deleted(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("globus_compute_endpoint")
    user_dir = tmp_path / "gc"
    mail = f"email={MAIL['email']}"
    assert (
        cli(["sites", "install", "local", "polaris-one", "--no-check", "--user-dir", str(user_dir), "--set", mail]) == 0
    )
    capsys.readouterr()
    assert cli(["fleet", "remove", "--delete", "--json", "polaris-one"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["action"] == "kept"
    assert row["detail"].startswith(f"{user_dir / 'polaris-one'} was not created by the fleet")
    assert (user_dir / "polaris-one" / "config.yaml").exists()


@pytest.mark.parametrize(
    "module, message",
    [
        ("pydantic", "prov-worker: a fleet needs pydantic"),
        ("prometheus_client", "fleet.yaml: watch.metrics: need prometheus_client"),
    ],
)
def test_without_a_package_the_command_says_what_to_install(write: Write, module: str, message: str) -> None:
    write({"endpoints": [{"name": "one", "site": "local", "options": MAIL}], "watch": {"metrics": "metrics"}})
    code = f"import sys; sys.modules[{module!r}] = None\nfrom prov_worker.__main__ import main; sys.exit(main())"
    done = run_python("-c", code, "fleet", "status")
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.endswith("install it with: pip install 'prov-worker[fleet]'\n")
    assert done.stderr.count("\n") == 1


def test_the_old_name_of_remove_works_with_a_warning(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["fleet", "down", "--dry-run", "--json", "polaris-one"]) == 0
    captured = capsys.readouterr()
    assert [(row["name"], row["action"]) for row in json.loads(captured.out)] == [("polaris-one", "dry run")]
    assert captured.err == "prov-worker: fleet down is now fleet remove; the old name works in this release only\n"
    assert cli(["fleet", "--help"]) == 0
    assert "down" not in capsys.readouterr().out.split("Commands:")[1].replace("is down", "")


@pytest.mark.parametrize(
    "arguments, new, code",
    [
        (["up", "--dry-run", "--force", "polaris-one"], "--take-over", 0),
        # Refused, but as the new option is.
        (["remove", "--force"], "--discard-unsent", 2),
    ],
)
def test_old_names_of_options_work_with_a_warning(
    two: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], new: str, code: int
) -> None:
    assert cli(["fleet", *arguments]) == code
    warning, *rest = capsys.readouterr().err.splitlines()
    assert warning == f"prov-worker: --force is now {new}; the old name works in this release only"
    # Other processes of this machine may be named too.
    assert any("--discard-unsent: goes with --delete" in line for line in rest) == (code == 2)
