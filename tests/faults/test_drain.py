"""Which tasks of a living worker still run: what a drain waits for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.fleet import fleetfile
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.task_counts import Counts, Tally
from support.crate_dir import CrateDir, wait_until
from support.direct import Call, Start

ENDPOINT = "5d9f8a52-3b1c-4f0e-8a44-0d2f4a6f1c01"


@pytest.mark.timeout(600)
def test_quick_tasks_that_ended_do_not_count_as_running(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    """The end of a quick task follows in the line of its start, and its worker lives on."""
    begun, release, leave = (tmp_path / name for name in ("begun", "release", "leave"))
    calls = [Call("nothing") for _ in range(200)]
    last = Call("touch_and_wait", (str(begun), str(release)))
    start(*calls, last, linger=leave)

    endpoint = {"name": "one", "site": "local", "options": {"crate_dir": str(crate_dir.crates)}}
    file = tmp_path / "fleet.yaml"
    file.write_text(json.dumps({"user_dir": str(tmp_path), "endpoints": [endpoint]}))
    folder = ManagedEndpoint(fleetfile.read(file).endpoints[0])
    folder.directory.mkdir()
    (folder.directory / "endpoint.json").write_text(json.dumps({"endpoint_id": ENDPOINT}))

    wait_until(begun.exists, "the last task begins")
    wait_until(lambda: Tally().count(folder) == Counts(completed=200, running=1), "records are in the journal")
    assert any("dur" in line for line in crate_dir.lines("start"))
    release.touch()
    crate_dir.wait_for([last.task])
    assert Tally().count(folder) == Counts(completed=201)
