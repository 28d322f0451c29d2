"""Tasks in threads of one process: what the kernel counts for the process alone is absent, or said to be of samples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Measured, close
from prov_worker.crate.reader import StepCrate

SECONDS = 0.6
SCRIPT = """
import json, sys, time
from pathlib import Path
from prov_worker.globus.embedded import EmbeddedEndpoint
import workloads
if __name__ == "__main__":
    with EmbeddedEndpoint(engine="ThreadPoolEngine", workers=2, run_dir=sys.argv[1] + "-run") as endpoint:
        results = {}
        def wait(**futures):
            for name, future in futures.items():
                results[name] = [str(future.task_id), future.result(200)]
                crate = Path(sys.argv[1], f"{future.task_id}.crate")
                deadline = time.monotonic() + 60
                while not crate.exists() and time.monotonic() < deadline:
                    time.sleep(0.05)
        seconds = float(sys.argv[2])
        wait(warm=endpoint.submit(workloads.sleep, 0.2))
        wait(own=endpoint.submit(workloads.in_thread, "own_thread", seconds))
        wait(alone=endpoint.submit(workloads.in_thread, "child", seconds))
        beside = endpoint.submit(workloads.in_thread, "sleep", seconds * 4 + 2)
        time.sleep(0.3)
        wait(child=endpoint.submit(workloads.in_thread, "lingering_child", seconds))
        wait(beside=beside)
        print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measured]:
    directory = tmp_path_factory.mktemp("threads")
    crates, script = directory / "crates", directory / "client.py"
    script.write_text(SCRIPT)
    switches = {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    done = subprocess.run(
        [sys.executable, str(script), str(crates), str(SECONDS)],
        env=os.environ | switches,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return {
        name: Measured(StepCrate.open(Path(crates, f"{task}.crate")), result)
        for name, (task, result) in json.loads(done.stdout.splitlines()[-1]).items()
    }


def test_a_thread_has_its_own_time(tasks: dict[str, Measured]) -> None:
    assert close(tasks["own"].usage("cpu"), tasks["own"].result["thread_s"])
    assert tasks["own"].result["thread_s"] >= SECONDS
    assert tasks["beside"].usage("cpu") <= tasks["beside"].result["thread_s"] + 0.02


def test_children_of_a_thread_that_runs_alone_are_counted(tasks: dict[str, Measured]) -> None:
    task = tasks["alone"]
    assert task.result["children_s"] >= SECONDS
    assert close(task.usage("cpu"), task.result["thread_s"] + task.result["children_s"])


def test_children_of_a_thread_beside_others_are_those_of_samples_and_the_crate_says_so(
    tasks: dict[str, Measured],
) -> None:
    task = tasks["child"]
    assert "children-cpu-user-s" not in task.crate.usage
    assert close(task.usage("cpu"), task.result["thread_s"] + task.result["children_s"])
    assert any("samples alone" in note for note in task.crate.notes)
    assert "children-cpu-user-s" not in tasks["beside"].crate.usage
