"""Which tasks of a living worker still run: what a drain waits for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.crate_dir import CrateDir, wait_until
from support.direct import Call, Start

STATUS = Path(__file__).parents[2] / "ansible" / "roles" / "service" / "files" / "status.py"


@pytest.mark.timeout(600)
def test_quick_tasks_that_ended_do_not_count_as_running(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    """The end of a quick task follows in the line of its start, and its worker lives on."""
    begun, release, leave = (tmp_path / name for name in ("begun", "release", "leave"))
    calls = [Call("nothing") for _ in range(200)]
    last = Call("touch_and_wait", (str(begun), str(release)))
    start(*calls, last, linger=leave)

    def status() -> tuple[int, dict[str, Any]]:
        arguments = [tmp_path / "endpoint", crate_dir.crates, tmp_path / "log", tmp_path / "host", "--drained", "0.1"]
        done = subprocess.run(
            [sys.executable, STATUS, *arguments], capture_output=True, text=True, timeout=180, check=False
        )
        return done.returncode, json.loads(done.stdout)

    wait_until(begun.exists, "the last task begins")
    assert any("dur" in line for line in crate_dir.lines("start"))
    code, report = status()
    assert (code, report["tasks_under_way"]) == (1, 1)
    release.touch()
    crate_dir.wait_for([last.task])
    code, report = status()
    assert (code, report["tasks_under_way"]) == (0, 0)
