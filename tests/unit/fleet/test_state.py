"""The state on disk, and its locks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from prov_worker.fleet import fleetfile
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.launch import Launch
from prov_worker.fleet.state import BusyError, EndpointRecord, State
from prov_worker.fleet.watchlog import WatchLog
from prov_worker.globus.processes import living
from prov_worker.processes import boot_id
from support.programs import Programs


def test_what_is_saved_is_loaded(fleet: Fleet) -> None:
    state = State(fleet)
    assert state.load() == {}
    with state.records() as records:
        records["one"] = EndpointRecord(wanted="stopped", made=True, pid=3, restarts=[1.5], total=7, last_error="x")
    assert State(fleet).load() == records
    assert state.path.stat().st_mode & 0o777 == 0o600
    assert state.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"endpoints": 3}', '{"endpoints": {"one": 3}}', '{"endpoints": {"one": {"restarts": 3}}}',
        '{"endpoints": {"one": {"restarts": ["x"]}}}', '{"endpoints": {"one": {"pid": "3"}}}',
        '{"endpoints": {"one": {"wanted": "no"}}}', '{"endpoints": {"one": {"said": 3}}}',
        '{"endpoints": {"one": {"asked": "no"}}}', '{"endpoints": {"one": {"made": 1}}}',
        '{"endpoints": {"one": {"total": true}}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_kept_and_said(fleet: Fleet, text: str) -> None:
    state = State(fleet)
    state.path.write_text(text)
    copy = state.path.with_suffix(".damaged")
    assert {name: record.wanted for name, record in state.load().items()} == {"one": "unknown", "two": "unknown"}
    assert "is damaged; counts are lost" in str(state.damaged)
    assert (state.path.read_text(), copy.exists()) == (text, False), "looking changes nothing"
    with state.records() as records:
        records["one"].wanted = "up"
    assert "is damaged, kept as state.damaged; " in str(state.damaged)
    assert copy.read_text() == text
    assert {name: record.wanted for name, record in state.load().items()} == {"one": "up", "two": "unknown"}
    assert state.damaged is None


def test_keys_of_a_later_version_are_passed_over(fleet: Fleet) -> None:
    state = State(fleet)
    state.path.write_text(json.dumps({"version": 2, "endpoints": {"one": {"total": 3, "colour": "blue"}}}))
    assert state.load()["one"].total == 3


def test_without_room_the_file_stays_as_it_was(fleet: Fleet) -> None:
    """A limit on the size of files, in a process of its own, is as a full disk."""
    state = State(fleet)
    state.save({"one": EndpointRecord(total=1)})
    before = state.path.read_bytes()
    code = (
        "import sys, resource\n"
        "from pathlib import Path\n"
        "from prov_worker.fleet import fleetfile\n"
        "from prov_worker.fleet.state import State, EndpointRecord\n"
        "state = State(fleetfile.read(Path(sys.argv[1])))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "state.save({'one': EndpointRecord(total=2)})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(fleet.path)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert state.path.read_bytes() == before
    assert [path.name for path in state.directory.iterdir() if path.suffix != ".lock"] == ["state.json"]


def test_a_lock_is_held_by_one(fleet: Fleet, programs: Programs) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from prov_worker.fleet import fleetfile\n"
        "from prov_worker.fleet.state import State\n"
        "with State(fleetfile.read(Path(sys.argv[1]))).lock('watch'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    state = State(fleet)
    other = programs.start(
        [sys.executable, "-c", code, str(fleet.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=f"held by process {other.pid}"), state.lock("watch"):
        pass
    with state.lock("commands"):
        pass
    # Removed by whoever tidies up: the place on the node still tells.
    (state.directory / "watch.lock").unlink()
    with pytest.raises(BusyError), state.lock("watch"):
        pass
    other.communicate("", 30)
    with state.lock("watch"):
        pass


def test_fleet_files_have_a_state_each(fleet: Fleet, tmp_path: Path) -> None:
    other = tmp_path / "fleet.yaml"
    other.write_text(fleet.path.read_text())
    assert State(fleetfile.read(other)).directory != State(fleet).directory


def test_a_link_to_a_fleet_file_is_the_same_fleet(fleet: Fleet, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(fleet.path)
    assert State(fleetfile.read(link)).directory == State(fleet).directory


def test_a_process_of_another_boot_is_gone() -> None:
    mine = living(os.getpid())
    assert mine is not None
    record = EndpointRecord()
    record.began(mine)
    assert record.process == mine
    assert record.boot == boot_id()
    assert record.is_of(mine)
    record.start += 1  # the number is another process's by now
    assert record.process is None
    assert not record.is_of(mine)
    record.began(mine)
    record.boot = "another"
    assert record.process is None
    assert not record.is_of(mine)
    assert record.seen == os.getpid()


def test_hosts_share_the_state_if_a_batch_system_chooses_one(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = fleet.model_copy(update={"unbound_host": True})
    monkeypatch.setattr(socket, "gethostname", lambda: "first")
    own, ours = State(fleet).directory, State(shared).directory
    mine = living(os.getpid())
    assert mine is not None
    record = EndpointRecord()
    record.began(mine, Launch("s", "c", "k"))
    assert record.process == mine
    monkeypatch.setattr(socket, "gethostname", lambda: "second")
    assert State(fleet).directory != own
    assert State(shared).directory == ours
    assert record.elsewhere
    assert record.process is None
    assert record.launch == Launch("s", "c", "k")


def test_what_others_wrote_is_a_change(fleet: Fleet) -> None:
    state, other = State(fleet), State(fleet)
    state.load()
    assert not state.changed
    other.save({"one": EndpointRecord(total=1)})
    assert state.changed
    state.load()
    assert not state.changed
    state.save({"one": EndpointRecord(total=2)})
    assert not state.changed
    state.path.unlink()
    assert state.changed


def test_a_line_of_the_watch_is_one_line_whatever_a_daemon_said(fleet: Fleet) -> None:
    state, shown = State(fleet), list[str]()
    WatchLog(state, shown.append).say("one", "is down: \x1b]0;pwned\x07\n2026-01-01T00:00:00Z two: forged \udcff")
    (text,) = shown
    assert text.endswith(r" one: is down: \x1b]0;pwned\x07 2026-01-01T00:00:00Z two: forged \udcff")
    assert state.log.read_text() == f"{text}\n"
