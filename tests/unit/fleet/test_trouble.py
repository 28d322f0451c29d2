"""What a person meets: damaged markers and states, commands that are broken off, two files that name the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.fleet import fleetfile
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.state import EndpointRecord, State
from prov_worker.sites.install import MARKER, install
from support.commands import run_program
from support.marks import PARSL_SOCKET
from support.pretend import Pretender
from support.programs import Programs

pytest.importorskip("globus_compute_endpoint")
pytestmark = PARSL_SOCKET
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def fleet(write: Callable[..., Path]) -> Fleet:
    """Two endpoints that root may start as well."""
    options = {"email": "someone@example.org"}
    write({"endpoints": [{"name": name, "site": "local", "options": options} for name in ("one", "two")]})
    return fleetfile.read()


def make(fleet: Fleet, *names: str) -> None:
    """Directories as ``fleet up`` makes them."""
    for spec in fleet.chosen(names):
        owner = {"fleet": str(spec.file), "made": True}
        install(spec.site, spec.name, spec.values, user_dir=spec.user_dir, owner=owner)


def rows(capsys: Capture, *arguments: str, code: int) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert cli(["fleet", *arguments, "--json"]) == code
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("text", ["junk\n", "[]"])
def test_a_damaged_marker_is_the_trouble_of_its_endpoint_alone(fleet: Fleet, capsys: Capture, text: str) -> None:
    make(fleet)
    with State(fleet).records() as records:
        records["one"] = EndpointRecord(made=True)
    (fleet.user_dir / "one" / MARKER).write_text(text)
    endpoints = rows(capsys, "status", code=1)
    assert (endpoints["one"]["condition"], endpoints["two"]["condition"]) == ("foreign", "down")
    assert "prov-worker fleet up --take-over one keeps a copy" in endpoints["one"]["note"]
    endpoints = rows(capsys, "stop", code=1)
    assert (endpoints["one"]["action"], endpoints["two"]["action"]) == ("refused", "stopped")
    assert "fleet up --take-over one" in endpoints["one"]["detail"]
    endpoints = rows(capsys, "up", "--dry-run", code=1)
    assert (endpoints["one"]["action"], endpoints["two"]["action"]) == ("refused", "dry run")
    assert rows(capsys, "up", "--dry-run", "--take-over", "one", code=0)["one"]["action"] == "dry run"
    assert rows(capsys, "remove", "--delete", "one", code=1)["one"]["action"] == "refused"
    assert rows(capsys, "remove", "--delete", "--discard-unsent", "one", code=0)["one"]["action"] == "deleted"
    assert [path.name for path in fleet.user_dir.iterdir()] == ["two"]


def test_without_the_state_the_marker_tells_who_made_a_directory(fleet: Fleet, capsys: Capture) -> None:
    make(fleet, "one")
    spec = fleet.endpoints[1]
    install(spec.site, spec.name, spec.values, user_dir=spec.user_dir)
    endpoints = rows(capsys, "remove", "--delete", code=1)
    assert (endpoints["one"]["action"], endpoints["two"]["action"]) == ("deleted", "kept")
    assert "was not created by the fleet" in endpoints["two"]["detail"]
    assert [path.name for path in fleet.user_dir.iterdir()] == ["two"]


def test_an_empty_directory_is_what_a_full_disk_left(fleet: Fleet, capsys: Capture) -> None:
    (fleet.user_dir / "one").mkdir(parents=True)
    assert rows(capsys, "remove", "--delete", "one", code=0)["one"]["action"] == "deleted"
    assert not (fleet.user_dir / "one").exists()


def test_a_disk_that_is_full_leaves_nothing_and_is_shown(fleet: Fleet, capsys: Capture) -> None:
    command = f"trap '' XFSZ; ulimit -f 2; {sys.executable} -m prov_worker fleet up --json"
    done = run_program("bash", "-c", command)
    assert done.returncode == 1, done.stderr
    assert {row["action"] for row in json.loads(done.stdout)} == {"refused"}
    assert list(fleet.user_dir.iterdir()) == []
    for row in rows(capsys, "status", code=0).values():
        assert row["condition"] == "not created"
        assert "File too large" in row["last_error"]


def test_a_damaged_state_does_not_start_what_a_person_stopped(fleet: Fleet, capsys: Capture) -> None:
    make(fleet)
    state = State(fleet)
    state.path.write_text("junk\n")
    assert cli(["fleet", "status"]) == 1
    output = capsys.readouterr()
    assert "state.json: is damaged; counts are lost" in output.err
    assert "one: does not run, and whether a person stopped it cannot be known" in output.out
    assert state.path.read_text() == "junk\n"
    for _ in range(2):
        # The second watch has only what the first one wrote.
        assert cli(["fleet", "watch", "--once"]) == 0
        output = capsys.readouterr()
        assert "one: is down, and whether a person stopped it is not known" in output.out
        assert "restarted" not in output.out
    assert "is damaged" in "".join(state.log.read_text())
    assert state.path.with_suffix(".damaged").read_text() == "junk\n"
    assert rows(capsys, "stop", "one", code=0)["one"]["action"] == "stopped"
    endpoints = rows(capsys, "status", code=1)
    assert (endpoints["one"]["condition"], endpoints["two"]["condition"]) == ("stopped", "down")


def test_a_state_that_cannot_be_read_hides_no_endpoint(fleet: Fleet, capsys: Capture) -> None:
    make(fleet)
    State(fleet).path.mkdir()
    assert {row["condition"] for row in rows(capsys, "status", code=1).values()} == {"down"}
    assert cli(["fleet", "stop"]) == 2
    assert "state.json: cannot be read: Is a directory; repair that, or move it away" in capsys.readouterr().err


def test_a_copy_of_a_fleet_file_leaves_its_endpoints_alone(fleet: Fleet, tmp_path: Path, capsys: Capture) -> None:
    make(fleet)
    copy = tmp_path / "copy.yaml"
    shutil.copyfile(fleet.path, copy)
    for row in rows(capsys, "status", "--file", str(copy), code=1).values():
        assert row["condition"] == "foreign"
        assert f"the fleet file {fleet.path} looks after it" in row["note"]
    assert {row["action"] for row in rows(capsys, "stop", "--file", str(copy), code=1).values()} == {"not touched"}
    assert {row["action"] for row in rows(capsys, "up", "-n", "--file", str(copy), code=1).values()} == {"not touched"}
    assert cli(["fleet", "watch", "--once", "--file", str(copy)]) == 0
    assert f"one: not touched: the fleet file {fleet.path} looks after it" in capsys.readouterr().out
    # Taken over on purpose, or left by the other file.
    endpoints = rows(capsys, "up", "-n", "--take-over", "--file", str(copy), code=0)
    assert {row["action"] for row in endpoints.values()} == {"dry run"}
    fleet.path.write_text(fleet.path.read_text().replace("name: two", "name: three"))
    endpoints = rows(capsys, "status", "--file", str(copy), code=1)
    assert (endpoints["one"]["condition"], endpoints["two"]["condition"]) == ("foreign", "down")
    fleet.path.unlink()
    assert {row["condition"] for row in rows(capsys, "status", "--file", str(copy), code=1).values()} == {"down"}


def test_an_installation_by_hand_keeps_the_note_of_the_fleet(fleet: Fleet) -> None:
    make(fleet)
    spec = fleet.endpoints[0]
    install(spec.site, spec.name, {**spec.values, "retries": 1}, user_dir=spec.user_dir)
    marker = json.loads((spec.directory / MARKER).read_text())
    assert marker["owner"] == {"fleet": str(fleet.file), "made": True}


def pending(pid: int, number: int) -> bool:
    """Whether a signal waits for a process that is held."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(lines["ShdPnd"], 16) >> (number - 1) & 1)


def test_a_restart_that_is_broken_off_leaves_the_endpoint_wanted(
    fleet: Fleet,
    pretend: Pretender,
    programs: Programs,
    capsys: Capture,
) -> None:
    make(fleet, "one")
    directory = fleet.user_dir / "one"
    daemon = pretend("globus-compute-endpoint", "start", "one", opened=directory / "endpoint.log")
    (directory / "daemon.pid").write_text(f"{daemon.pid}\n")
    os.kill(daemon.pid, signal.SIGSTOP)
    restart = programs.start([sys.executable, "-m", "prov_worker", "fleet", "restart", "one"])
    deadline = time.monotonic() + 90
    while not pending(daemon.pid, signal.SIGTERM):
        assert time.monotonic() < deadline, "the restart waits for the daemon"
        time.sleep(0.05)
    restart.send_signal(signal.SIGINT)
    assert restart.wait(60) == 130
    assert daemon.poll() is None
    os.kill(daemon.pid, signal.SIGCONT)
    assert daemon.wait(60) == -signal.SIGTERM
    assert State(fleetfile.read()).load()["one"].wanted == "up"
    row = rows(capsys, "status", "one", code=1)["one"]
    assert row["condition"] in ("down", "unknown"), "the latter while its pid file is fresh"
